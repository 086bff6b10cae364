package ratelimit

import (
	"container/heap"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"
)

// Offence is what leads to a ban when it is done too often.
type Offence string

// The offences.
const (
	AuthFailure   Offence = "auth_failures"
	ProtocolError Offence = "protocol_errors"
	Flapping      Offence = "flapping"      // to connect again and again
	UserFlapping  Offence = "user_flapping" // the same of all clients of a user together
	Takeover      Offence = "takeovers"     // to take a client identifier from a connection that has it
)

// BanRule is how often is too often: more than Max within Window leads to a Ban. A
// Max of zero never does.
type BanRule struct {
	Max         int
	Window, Ban time.Duration
}

// Exempt are never banned, whoever says so.
type Exempt struct {
	Networks         []netip.Prefix // and all that lies within
	Users, ClientIDs []string
}

// longestBan is the most to which bans in a row grow, unless the rule begins with more.
const longestBan = 24 * time.Hour

// maxOffenders is for how many subjects offences are counted apart.
const maxOffenders = 1 << 16

// SetRules changes the rules and who is exempt. Bans stay, but for those of the exempt.
func (b *Bans) SetRules(rules map[Offence]BanRule, e Exempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	offences := make(map[Offence]*Keyed[Subject], len(rules))
	for o, rule := range rules {
		if b.rules[o] == rule {
			offences[o] = b.offences[o]
		} else if rule.Max > 0 {
			offences[o] = NewKeyed[Subject](Rate{PerSecond: float64(rule.Max) / rule.Window.Seconds(), Burst: rule.Max}, maxOffenders)
		}
	}
	b.rules, b.offences, b.exempt = rules, offences, newExempt(e)
	for s := range b.manual {
		if b.exempt.is(s) {
			delete(b.manual, s)
			b.unwatch(s)
			b.version++
		}
	}
	for s, r := range b.automatic {
		if b.exempt.is(s) {
			b.drop(r)
			b.version++
		}
	}
}

// Offend notes an offence of s. If it has led to a ban now, that is returned with
// true. The ban lasts twice as long as the one before, if that is not long ago; what
// is done during a ban does not count.
func (b *Bans) Offend(now time.Time, s Subject, o Offence) (Ban, bool) {
	s = bounded(s)
	b.mu.Lock()
	defer b.mu.Unlock()
	counted := b.offences[o]
	if counted == nil || b.exempt.is(s) {
		return Ban{}, false
	}
	if ban, ok := b.find(now, s); ok {
		return ban, false
	}
	if counted.Allow(now, s) {
		return Ban{}, false
	}
	b.forget(now)
	times := 1
	if r, ok := b.automatic[s]; ok {
		times = r.Times + 1
	}
	rule := b.rules[o]
	length := rule.length(times)
	ban := Ban{Subject: s, Reason: string(o), Since: now, Until: now.Add(length), Times: times}
	b.remember(ban, ban.Until.Add(max(2*length, rule.Window)))
	b.version++
	return ban, true
}

// length is how long a ban lasts that is not the first in a row.
func (r BanRule) length(times int) time.Duration {
	most := max(r.Ban, longestBan)
	if times > bits.Len64(uint64(most/r.Ban)) { //nolint:gosec // G115: not negative
		return most
	}
	return min(r.Ban<<(times-1), most)
}

// Restore takes over bans of an earlier process. What could not have been made here
// is left out, and no automatic one lasts longer than any could.
func (b *Bans) Restore(now time.Time, bans []Ban) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ban := range bans {
		ban.Subject = bounded(ban.Subject)
		if ban.check(now) != nil || b.exempt.is(ban.Subject) {
			continue
		}
		if ban.Manual {
			if len(b.manual) < maxManual {
				b.manual[ban.Subject] = ban
				b.watch(ban.Subject)
			}
			continue
		}
		most := longestBan
		if rule, ok := b.rules[Offence(ban.Reason)]; ok {
			most = rule.length(max(ban.Times, 1))
		}
		if latest := now.Add(most); ban.Until.IsZero() || ban.Until.After(latest) {
			ban.Until = latest
		}
		b.remember(ban, ban.Until.Add(2*most))
	}
}

// remembered is an automatic ban, which makes the next one longer for some time after
// its end.
type remembered struct {
	Ban
	forgotten time.Time
	place     int // in the queue
}

// remember puts a ban in force. The caller holds b.mu.
func (b *Bans) remember(ban Ban, forgotten time.Time) {
	if r, ok := b.automatic[ban.Subject]; ok {
		r.Ban, r.forgotten = ban, forgotten
		heap.Fix(&b.queue, r.place)
		return
	}
	if len(b.automatic) >= maxAutomatic {
		b.drop(b.queue[0])
	}
	r := &remembered{Ban: ban, forgotten: forgotten}
	b.automatic[ban.Subject] = r
	heap.Push(&b.queue, r)
	b.watch(ban.Subject)
}

// drop forgets an automatic ban. The caller holds b.mu.
func (b *Bans) drop(r *remembered) {
	heap.Remove(&b.queue, r.place)
	delete(b.automatic, r.Subject)
	b.unwatch(r.Subject)
}

// forgetting is a heap of automatic bans: what is forgotten first comes first.
type forgetting []*remembered

func (q forgetting) Len() int           { return len(q) }
func (q forgetting) Less(i, j int) bool { return q[i].forgotten.Before(q[j].forgotten) }
func (q forgetting) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements heap.Interface.
func (q *forgetting) Push(x any) {
	r, _ := x.(*remembered)
	r.place = len(*q)
	*q = append(*q, r)
}

// Pop implements heap.Interface.
func (q *forgetting) Pop() any {
	last := len(*q) - 1
	r := (*q)[last]
	*q = slices.Delete(*q, last, last+1)
	return r
}

// exempt is an Exempt as it is looked up.
type exempt struct {
	networks         *bart.Lite // nil: none
	users, clientIDs map[string]bool
}

func newExempt(e Exempt) exempt {
	set := func(names []string) map[string]bool {
		m := make(map[string]bool, len(names))
		for _, name := range names {
			m[name] = true
		}
		return m
	}
	return exempt{trie(e.Networks), set(e.Users), set(e.ClientIDs)}
}

// is reports whether s is never banned: of a network, whether all of it is not.
func (e exempt) is(s Subject) bool {
	switch s.Kind {
	case Network:
		prefix, err := netip.ParsePrefix(s.Value)
		return err == nil && e.networks != nil && e.networks.LookupPrefix(prefix)
	case User:
		return e.users[s.Value]
	case Client:
		return e.clientIDs[s.Value]
	}
	return false
}
