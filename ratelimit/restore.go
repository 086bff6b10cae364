package ratelimit

import (
	"net/netip"
	"slices"
	"time"
)

// Lasting returns the bans of the list that are to outlast a restart. Those are not that
// make exceptions for who has logged in before: after a restart nobody knows who has,
// and a name that somebody else guesses at would be locked to its owner.
func (g *Gate) Lasting(now time.Time) []Ban {
	return slices.DeleteFunc(g.bans.List(now), func(b Ban) bool {
		switch {
		case b.Manual:
			return false
		case b.Kind == User:
			return b.Reason == string(AuthFailure)
		}
		network, err := netip.ParsePrefix(b.Value)
		return b.Kind == Network && err == nil && g.known.has(now, network)
	})
}

// Restore puts bans in force again that List returned before a restart. SetRules
// comes first. Those that are over or exempt stay away. If the clock was set back
// since, none lasts longer from now than it was meant to last in all.
func (b *Bans) Restore(now time.Time, bans []Ban) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, saved := range bans {
		subject, network, err := saved.canonical()
		if err != nil || b.exempt.covers(subject, network) || saved.Manual && b.manual >= maxManual {
			continue
		}
		entry := &ban{Ban: saved, network: network}
		entry.Subject, entry.User = subject, short(saved.User)
		b.rebase(now, &entry.Ban)
		if !entry.over(now) {
			b.forget(subject)
			b.remember(entry)
			b.add(entry)
		}
	}
}

// rebase gives a ban from a file times that go on with the clock of this process,
// which nobody can set.
func (b *Bans) rebase(now time.Time, saved *Ban) {
	left := min(saved.Until.Sub(now), saved.Until.Sub(saved.Since))
	saved.Since = now.Add(-max(now.Sub(saved.Since), 0))
	switch {
	case !saved.Manual:
		saved.Times = min(max(saved.Times, 1), maxTimes)
		left = min(left, b.rules[Offence(saved.Reason)].lasts(saved.Times))
	case saved.Until.IsZero():
		return
	}
	saved.Until = now.Add(left)
}
