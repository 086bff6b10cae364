package ratelimit

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"
)

// Offence is what leads to an automatic ban. The strings are stable: they stand in
// files and label metrics.
type Offence string

// The offences.
const (
	AuthFailure   Offence = "auth_failures"
	ProtocolError Offence = "protocol_errors"
	Flapping      Offence = "flapping"      // to connect again and again
	UserFlapping  Offence = "user_flapping" // the same of all clients of a user together
	Takeover      Offence = "takeovers"     // to take a client identifier from a connection that has it
)

// ByHand stands in a Tally where automatic bans have their Offence.
const ByHand = "manual"

// BanRule bans who commits more than Max offences within Window; their times are
// kept, so Max is to be thousands, not millions. Of bans in a row
// each lasts twice as long as the one before, the first Ban, up to a day, or Ban if
// that is longer. The zero BanRule never bans.
type BanRule struct {
	Max         int
	Window, Ban time.Duration
}

const (
	// longestBan is what doubling leads to.
	longestBan = 24 * time.Hour
	// maxTimes is where counting how often in a row ends: what lasts a nanosecond
	// has long become a day.
	maxTimes = 64

	// maxCounts and maxStamps are for how many subjects offences are counted, and
	// how many of all of them. They take 30 MiB at most.
	maxCounts = 1 << 16
	maxStamps = 1 << 20
	// sweepLooks is how many counts a Sweep looks at.
	sweepLooks = 1 << 12
)

// lasts returns how long the ban lasts that is the times-th in a row.
func (r BanRule) lasts(times int) time.Duration {
	longest := max(longestBan, r.Ban)
	if r.Ban <= 0 {
		return longest // of a rule that is gone
	}
	lasts := r.Ban
	for range times - 1 {
		if lasts >= longest/2 {
			return longest
		}
		lasts *= 2
	}
	return lasts
}

// Exempt is who is never banned.
type Exempt struct {
	Networks         []netip.Prefix
	Users, ClientIDs []string
}

// exempt is an Exempt that is quick to ask.
type exempt struct {
	networks bart.Lite
	subjects map[Subject]bool
}

func newExempt(e Exempt) *exempt {
	x := &exempt{subjects: make(map[Subject]bool)}
	for _, network := range e.Networks {
		x.networks.Insert(unmapped(network))
	}
	for _, user := range e.Users {
		x.subjects[Subject{Kind: User, Value: short(user)}] = true
	}
	for _, id := range e.ClientIDs {
		x.subjects[Subject{Kind: Client, Value: short(id)}] = true
	}
	return x
}

// covers reports whether all of a subject is exempt.
func (x *exempt) covers(s Subject, network netip.Prefix) bool {
	if s.Kind == Network {
		return x.networks.LookupPrefix(network)
	}
	return x.subjects[s]
}

// SetRules puts rules in force, and lifts the bans of those who are exempt. Other
// bans stay as they are.
func (b *Bans) SetRules(rules map[Offence]BanRule, e Exempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules, b.exempt = rules, newExempt(e)
	for subject, entry := range b.inForce {
		if b.exempt.covers(subject, entry.network) {
			b.forget(subject)
		}
	}
}

// Offend counts an offence of s, and returns the ban that it has led to, if it has.
// Who is banned, exempt or empty is not counted.
func (b *Bans) Offend(now time.Time, s Subject, o Offence) (Ban, bool) {
	return b.offend(now, s, "", o)
}

// offend counts an offence of s, a client identifier in the hands of user.
func (b *Bans) offend(now time.Time, s Subject, user string, o Offence) (Ban, bool) {
	s, network, err := s.canonical()
	if err != nil {
		return Ban{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	rule := b.rules[o]
	if rule.Max <= 0 || b.exempt.covers(s, network) {
		return Ban{}, false
	}
	b.sweep(now)
	if last, banned := b.inForce[s]; banned && last.of(user) || !b.exceeds(now, b.hash(s, user, o), rule) {
		return Ban{}, false
	}
	entry := &ban{Ban: Ban{Subject: s, Reason: string(o), Since: now, Times: 1, User: short(user)}, network: network}
	if last, ok := b.remembered[s]; ok && last.of(user) {
		entry.Times = min(last.Times+1, maxTimes)
	}
	entry.Until = now.Add(rule.lasts(entry.Times))
	b.forget(s)
	b.remember(entry)
	b.add(entry)
	b.begun[entry.Reason]++
	return entry.Ban, true
}

// forgive takes back the last offence of s that counts.
func (b *Bans) forgive(s Subject, user string, o Offence) {
	s, _, err := s.canonical()
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.counts[b.hash(s, user, o)]; ok && len(c.times) > 0 {
		c.times = c.times[:len(c.times)-1]
		b.stamps--
	}
}

// remember sets until when an automatic ban is remembered: twice as long again as it
// has lasted, and at least for the time in which offences count.
func (b *Bans) remember(entry *ban) {
	entry.forget = entry.Until.Add(max(2*entry.Until.Sub(entry.Since), b.rules[Offence(entry.Reason)].Window))
}

// count is when a subject has offended, the earliest time first. It is not a Bucket,
// which would let pass twice as many within a window as it gives.
type count struct {
	window time.Duration   // of the rule then
	times  []time.Duration // since Bans.epoch
}

// fresh drops what is as old as the window, and what a clock that was set back has
// left in the future. It returns how many it dropped.
func (c *count) fresh(now time.Duration) int {
	before := len(c.times)
	old, _ := slices.BinarySearch(c.times, now-c.window+1)
	c.times = slices.Delete(c.times, 0, old)
	ahead, _ := slices.BinarySearch(c.times, now+clockStep+1)
	c.times = c.times[:ahead]
	return before - len(c.times)
}

func (b *Bans) hash(s Subject, user string, o Offence) uint64 {
	return maphash.Comparable(b.seed, struct {
		Subject
		Offence
		user string
	}{s, o, short(user)})
}

// exceeds counts an offence, and reports whether these are more than rule allows;
// then it begins anew. The caller holds b.mu.
func (b *Bans) exceeds(now time.Time, hash uint64, rule BanRule) bool {
	since := now.Sub(b.epoch)
	c, ok := b.counts[hash]
	if ok {
		c.window = rule.Window
		b.stamps -= c.fresh(since)
	}
	if ok && len(c.times) >= rule.Max {
		b.uncount(hash)
		return true
	}
	for len(b.counts) >= maxCounts && !ok || b.stamps >= maxStamps {
		b.uncount(b.fewest(since, hash))
	}
	if c, ok = b.counts[hash]; !ok {
		c = &count{window: rule.Window}
		b.counts[hash] = c
	}
	at, _ := slices.BinarySearch(c.times, since) // the end, unless the clock was read late
	c.times = slices.Insert(c.times, at, since)
	b.stamps++
	return false
}

// fewest returns, of a few counts, the one with the fewest offences that still
// count, or spared if there is no other. The caller holds b.mu.
func (b *Bans) fewest(now time.Duration, spared uint64) (least uint64) {
	least = spared
	looks := 0
	for hash, c := range b.counts {
		b.stamps -= c.fresh(now)
		if hash != spared && (least == spared || len(c.times) < len(b.counts[least].times)) {
			least = hash
		}
		if looks++; looks == evictionLooks {
			break
		}
	}
	return least
}

func (b *Bans) uncount(hash uint64) {
	if c, ok := b.counts[hash]; ok {
		b.stamps -= len(c.times)
		delete(b.counts, hash)
	}
}

func (b *Bans) uncountAll(s Subject, user string) {
	for offence := range b.rules {
		b.uncount(b.hash(s, user, offence))
	}
}

// sweepCounts forgets some of the offences that do not count any more. The caller
// holds b.mu.
func (b *Bans) sweepCounts(now time.Time) {
	looks := 0
	for hash, c := range b.counts {
		if b.stamps -= c.fresh(now.Sub(b.epoch)); len(c.times) == 0 {
			delete(b.counts, hash)
		}
		if looks++; looks == sweepLooks {
			return
		}
	}
}
