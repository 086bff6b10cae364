package ratelimit

import "time"

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
