package ratelimit

import (
	"cmp"
	"errors"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"
)

// Ban keeps a subject out.
type Ban struct {
	Subject
	Reason string    `json:"reason,omitempty"` // of an automatic ban its Offence; of a manual one the operator's text
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is lifted; manual bans only
	Manual bool      `json:"manual,omitempty"`
	Times  int       `json:"times,omitempty"` // which one in a row this is; automatic bans only

	// User is who has offended under a client identifier, and is kept out with it. Others
	// may have the same one, at another time, and are not to pay.
	User string `json:"user,omitempty"`
}

// of reports whether the ban keeps out who has the subject as user.
func (b *Ban) of(user string) bool {
	return b.Manual || b.User == short(user)
}

const (
	// maxManual is how many manual bans there may be.
	maxManual = 10_000
	// maxAutomatic is how many automatic bans are in force or remembered. Each takes
	// some hundred bytes.
	maxAutomatic = 1 << 16
)

// Why Put puts no ban.
var (
	ErrExempt   = errors.New("the subject is exempt from bans")
	ErrTooMany  = errors.New("there are too many manual bans: ban a network that contains several of them")
	errNoFuture = errors.New("the ban would be over already")
)

// Bans are the subjects that are kept out: by hand, and for their offences, with
// each ban twice as long as the one before. Its methods may be called from many
// goroutines.
//
// Memory is bounded. When there is no room for another automatic ban, one makes room
// that is over and only remembered, or else the one that ends next; manual bans are
// never given up for others. To count offences there is a bound too: beyond it the
// subject with the fewest is forgotten, so that nobody is ever banned for what
// others did.
//
// A ban that ends is over at once, but its memory is used until Sweep.
type Bans struct {
	seed    maphash.Seed
	epoch   time.Time     // what times of offences are counted from
	version atomic.Uint64 // see Version
	entries atomic.Int64  // as inForce has: without any, nobody waits for mu

	mu         sync.RWMutex
	rules      map[Offence]BanRule
	exempt     *exempt
	counts     map[uint64]*count // offences, by the hash of subject and Offence
	stamps     int               // offences in counts
	inForce    map[Subject]*ban
	networks   bart.Table[*ban] // those of inForce
	remembered map[Subject]*ban // automatic ones that are over
	manual     int              // of inForce
	ending     [2]queue         // of inForce what ends, automatic and manual
	forgetting queue            // of remembered
	begun      map[string]uint64
}

// ban is a Ban in a table.
type ban struct {
	Ban
	network netip.Prefix // valid if the subject is one
	forget  time.Time    // when an automatic one is not remembered any more
	due     time.Time    // when something happens to it: Until, or forget
	place   int          // in its queue
}

func (b *ban) over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// NewBans returns Bans without rules: nobody is banned but by hand.
func NewBans() *Bans {
	return &Bans{
		seed:       maphash.MakeSeed(),
		epoch:      time.Now(),
		exempt:     newExempt(Exempt{}),
		counts:     make(map[uint64]*count),
		inForce:    make(map[Subject]*ban),
		remembered: make(map[Subject]*ban),
		begun:      make(map[string]uint64),
	}
}

// Version changes with every change of what List returns but that a ban ends.
func (b *Bans) Version() uint64 { return b.version.Load() }

// Find returns the ban of a user or a client identifier.
func (b *Bans) Find(now time.Time, s Subject) (Ban, bool) {
	if b.entries.Load() == 0 {
		return Ban{}, false
	}
	s.Value = short(s.Value)
	b.mu.RLock()
	defer b.mu.RUnlock()
	found, ok := b.inForce[s]
	if !ok || found.over(now) {
		return Ban{}, false
	}
	return found.Ban, true
}

// FindAddr returns the ban of a network that contains addr, a manual one before
// others, which may make exceptions. The invalid Addr, of a
// Unix socket, is in none; nor is one that is exempt.
func (b *Bans) FindAddr(now time.Time, addr netip.Addr) (found Ban, ok bool) {
	if b.entries.Load() == 0 || !addr.IsValid() {
		return Ban{}, false
	}
	addr = addr.Unmap().WithZone("") // no prefix contains an address with a zone
	b.mu.RLock()
	defer b.mu.RUnlock()
	narrow, ok := b.networks.Lookup(addr)
	if !ok || b.exempt.networks.Contains(addr) {
		return Ban{}, false
	}
	ok = false
	for _, banned := range b.networks.Supernets(narrow.network) {
		if !banned.over(now) && (!ok || banned.Manual && !found.Manual) {
			found, ok = banned.Ban, true
		}
	}
	return found, ok
}

// Put bans by hand: the Subject for the Reason, Until then. It replaces an earlier
// ban of the subject. A network may contain networks that are exempt; these stay so.
func (b *Bans) Put(now time.Time, manual Ban) error {
	subject, network, err := manual.canonical()
	if err != nil {
		return err
	}
	entry := &ban{Ban: Ban{Subject: subject, Reason: manual.Reason, Since: now, Until: manual.Until, Manual: true}, network: network}
	if entry.over(now) {
		return errNoFuture
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweep(now)
	if b.exempt.covers(subject, network) {
		return ErrExempt
	}
	if earlier, ok := b.inForce[subject]; b.manual >= maxManual && (!ok || !earlier.Manual) {
		return ErrTooMany
	}
	b.forget(subject)
	b.add(entry)
	b.begun[ByHand]++
	return nil
}

// Lift ends the ban of s and reports whether there was one. What s has done before
// is forgotten: its next automatic ban is a first one.
func (b *Bans) Lift(s Subject) bool {
	s, _, err := s.canonical()
	if err != nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bans := range []map[Subject]*ban{b.inForce, b.remembered} {
		if old, ok := bans[s]; ok {
			b.uncountAll(s, old.User)
		}
	}
	b.uncountAll(s, "")
	return b.forget(s)
}

// List returns the bans in force, in the order of their kinds and values, with their
// times in UTC.
func (b *Bans) List(now time.Time) []Ban {
	b.mu.RLock()
	list := make([]Ban, 0, len(b.inForce))
	for _, entry := range b.inForce {
		if !entry.over(now) {
			list = append(list, entry.Ban)
		}
	}
	b.mu.RUnlock()
	for i := range list {
		list[i].Since, list[i].Until = list[i].Since.UTC(), list[i].Until.UTC()
	}
	slices.SortFunc(list, func(a, b Ban) int { return a.Compare(b.Subject) })
	return list
}

// Compare orders subjects by kind and value.
func (s Subject) Compare(other Subject) int {
	return cmp.Or(cmp.Compare(s.Kind, other.Kind), cmp.Compare(s.Value, other.Value))
}

// Tally is how many bans there are.
type Tally struct {
	InForce map[Kind]int
	Begun   map[string]uint64 // ever, by Offence or ByHand
}

// Tally counts the bans as of the last Sweep.
func (b *Bans) Tally() Tally {
	b.mu.RLock()
	defer b.mu.RUnlock()
	t := Tally{InForce: make(map[Kind]int), Begun: make(map[string]uint64)}
	for subject := range b.inForce {
		t.InForce[subject.Kind]++
	}
	for reason, n := range b.begun {
		t.Begun[reason] = n
	}
	return t
}
