package ratelimit

import (
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gaissmai/bart"
)

// Kind is what a ban keeps out.
type Kind string

// The kinds of subjects.
const (
	Network Kind = "network"   // all addresses of a prefix
	User    Kind = "user"      // by its name
	Client  Kind = "client_id" // by the Client Identifier that the broker knows
)

// Subject is whom a ban is about. The Value of a Network is its prefix as
// netip.Prefix prints it.
type Subject struct {
	Kind  Kind   `json:"kind"`
	Value string `json:"value"`
}

// Ban keeps somebody out for a time.
type Ban struct {
	Subject
	Reason string    `json:"reason,omitempty"` // the Offence or, of a manual one, what the operator says
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is lifted, and only of a manual one
	Manual bool      `json:"manual,omitempty"`
	Times  int       `json:"times,omitempty"` // how often in a row, if it is not manual
}

func (b *Ban) holds(now time.Time) bool { return b.Until.IsZero() || now.Before(b.Until) }

const (
	maxAutomatic = 1 << 16 // bans, those included that are over and remembered
	maxManual    = 10_000
	maxValue     = 256 // bytes of a Value; see bounded
)

// Bans are all that are in force, in bounded memory. When there are too many, the
// one that is forgotten soonest anyway goes; manual ones stay, and there is an end to
// what can be added. Its methods may be called from many goroutines.
type Bans struct {
	mu        sync.Mutex
	rules     map[Offence]BanRule
	offences  map[Offence]*Keyed[Subject]
	exempt    exempt
	manual    map[Subject]Ban
	automatic map[Subject]*remembered
	queue     forgetting
	networks  bart.Lite // of bans, some of which may be over
	version   uint64
}

// NewBans returns no bans, and no rules that would lead to one.
func NewBans() *Bans {
	return &Bans{manual: make(map[Subject]Ban), automatic: make(map[Subject]*remembered)}
}

// Version changes with every change that is worth to be saved.
func (b *Bans) Version() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.version
}

// Find returns the ban of s that is in force.
func (b *Bans) Find(now time.Time, s Subject) (Ban, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.find(now, bounded(s))
}

// find is Find. The caller holds b.mu.
func (b *Bans) find(now time.Time, s Subject) (Ban, bool) {
	if ban, ok := b.manual[s]; ok && ban.holds(now) {
		return ban, true
	}
	if r, ok := b.automatic[s]; ok && r.holds(now) {
		return r.Ban, true
	}
	return Ban{}, false
}

// FindAddr returns the ban of a network that contains addr, a manual one before
// others. The invalid Addr, of a Unix socket, is in none.
func (b *Bans) FindAddr(now time.Time, addr netip.Addr) (found Ban, ok bool) {
	if !addr.IsValid() {
		return Ban{}, false
	}
	addr = addr.Unmap().WithZone("")
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.networks.Contains(addr) || b.exempt.networks != nil && b.exempt.networks.Contains(addr) {
		return Ban{}, false
	}
	for prefix := range b.networks.Supernets(netip.PrefixFrom(addr, addr.BitLen())) {
		ban, holds := b.find(now, Subject{Network, prefix.String()})
		if holds && (!ok || ban.Manual) {
			found, ok = ban, true
		}
	}
	return found, ok
}

// Put adds a ban by hand, in the place of another of the same subject.
func (b *Bans) Put(now time.Time, ban Ban) error {
	if err := ban.check(now); err != nil {
		return err
	}
	ban.Manual, ban.Since, ban.Times = true, now, 0
	ban.Subject = bounded(ban.Subject)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.exempt.is(ban.Subject) {
		return fmt.Errorf("%s %q is exempt by the configuration", ban.Kind, ban.Value)
	}
	if len(b.manual) >= maxManual {
		b.forget(now)
		if len(b.manual) >= maxManual {
			return fmt.Errorf("there are %d bans already: lift some", maxManual)
		}
	}
	b.manual[ban.Subject] = ban
	b.watch(ban.Subject)
	b.version++
	return nil
}

func (b *Ban) check(now time.Time) error {
	switch b.Kind {
	case Network:
		prefix, err := netip.ParsePrefix(b.Value)
		if err != nil || prefix.Masked().String() != b.Value {
			return fmt.Errorf("%q is no network such as 192.0.2.0/24", b.Value)
		}
	case User, Client:
		if b.Value == "" {
			return errors.New("an empty name is nobody's")
		}
	default:
		return fmt.Errorf("nobody can be banned by %q", b.Kind)
	}
	if !b.holds(now) {
		return errors.New("the ban would be over already")
	}
	return nil
}

// Lift ends the ban of s, and forgets what it has done. It reports whether there was
// one, in force or remembered.
func (b *Bans) Lift(s Subject) bool {
	s = bounded(s)
	b.mu.Lock()
	defer b.mu.Unlock()
	_, manual := b.manual[s]
	r, automatic := b.automatic[s]
	if !manual && !automatic {
		return false
	}
	delete(b.manual, s)
	if automatic {
		heap.Remove(&b.queue, r.place)
		delete(b.automatic, s)
	}
	b.unwatch(s)
	b.version++
	return true
}

// List returns the bans that are in force, ordered by kind and value.
func (b *Bans) List(now time.Time) []Ban {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	list := []Ban{}
	for s := range b.automatic {
		if _, manual := b.manual[s]; manual {
			continue // which is what counts
		}
		if ban, ok := b.find(now, s); ok {
			list = append(list, ban)
		}
	}
	for _, ban := range b.manual {
		list = append(list, ban)
	}
	slices.SortFunc(list, func(x, y Ban) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Value, y.Value))
	})
	return list
}

// forget drops what is over. The caller holds b.mu.
func (b *Bans) forget(now time.Time) {
	for len(b.queue) > 0 && !now.Before(b.queue[0].forgotten) {
		b.drop(b.queue[0])
	}
	for s, ban := range b.manual {
		if !ban.holds(now) {
			delete(b.manual, s)
			b.unwatch(s)
		}
	}
}

// watch has FindAddr find s, if it is a network. The caller holds b.mu.
func (b *Bans) watch(s Subject) {
	if prefix, err := netip.ParsePrefix(s.Value); s.Kind == Network && err == nil {
		b.networks.Insert(prefix)
	}
}

// unwatch is the opposite, unless there is another ban of s. The caller holds b.mu.
func (b *Bans) unwatch(s Subject) {
	_, manual := b.manual[s]
	_, automatic := b.automatic[s]
	if prefix, err := netip.ParsePrefix(s.Value); s.Kind == Network && err == nil && !manual && !automatic {
		b.networks.Delete(prefix)
	}
}

// bounded is s in bounded memory: of a long value there is the beginning and a hash.
func bounded(s Subject) Subject {
	if len(s.Value) > maxValue {
		sum := sha256.Sum256([]byte(s.Value))
		s.Value = s.Value[:maxValue/2] + "…" + hex.EncodeToString(sum[:])
	}
	return s
}
