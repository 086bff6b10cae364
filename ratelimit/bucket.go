// Package ratelimit holds what limits clients: token buckets, one or many by
// key in bounded memory, the gate that admits connections, and bans.
//
// It starts no goroutine and waits for nothing: a caller passes the time and
// is told no, or how long to wait. It knows no packets and no identities.
//
// It fails closed. When memory for another key is spent, keys share buckets
// and none goes free. Time that runs backwards earns nothing.
package ratelimit

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Rate is what a bucket lets through: PerSecond units a second in the long
// run, Burst at once. The zero Rate is no limit. If only PerSecond is zero,
// Burst is all that is ever let through; if only Burst is, nothing.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Unlimited reports whether r is no limit.
func (r Rate) Unlimited() bool { return r == Rate{} }

// clockStep is how far time must run back to be a clock that was set back.
// Less is a caller who read the clock before another one and came later.
const clockStep = time.Second

// Bucket is a token bucket: full at first, it loses what is taken and earns
// its Rate. Over any time, it gives at most rate × time + burst. Its methods
// may be called from many goroutines.
//
// It is not a rate.Limiter of x/time, which has a lock of its own, gives no more
// than a burst at once and earns time twice that runs back: what had to be put
// around it cost more than what is here (BenchmarkTake: 52 ns, now 19).
type Bucket struct {
	rate    Rate
	every   time.Duration // not zero: it earns nothing, but is full again so long after the first was taken
	holders atomic.Int32  // see Keyed

	mu     sync.Mutex
	last   time.Time // the latest time that it has seen; with every, when the first was taken
	tokens float64   // were there then; below zero: were taken in advance
}

// NewBucket returns a full bucket.
func NewBucket(r Rate) *Bucket { return &Bucket{rate: r, tokens: float64(r.Burst)} }

// Take takes n ≥ 0 tokens if there are so many, and reports whether there
// were; otherwise it takes none. More than the burst are never there.
func (b *Bucket) Take(now time.Time, n int) bool { return b.takeAbove(now, n, 0) }

// takeAbove takes n tokens if floor are left then: those are for others.
func (b *Bucket) takeAbove(now time.Time, n int, floor float64) bool {
	if b.rate.Unlimited() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	if b.tokens < float64(n)+floor {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// Put gives back n tokens that Take has taken and that were of no use.
func (b *Bucket) Put(n int) {
	if b.rate.Unlimited() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.tokens+float64(n), float64(b.rate.Burst))
}

// Delay takes n ≥ 0 tokens, also those that are not there yet, and returns how
// long after now the caller must wait until they are. They may be more than the
// burst: a large packet pays all that it costs. If the wait would be longer than
// most, it takes none and reports false.
func (b *Bucket) Delay(now time.Time, n int, most time.Duration) (wait time.Duration, ok bool) {
	if b.rate.Unlimited() || n == 0 {
		return 0, true
	}
	if b.rate.Burst <= 0 {
		return 0, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	left := b.tokens - float64(n)
	if left < 0 {
		// What it lacks is counted from the last time that it has seen.
		lacks := math.Ceil(-left/b.rate.PerSecond*float64(time.Second)) + float64(b.last.Sub(now))
		if lacks > float64(most) {
			return 0, false
		}
		wait = time.Duration(lacks)
	}
	b.tokens = left
	return wait, true
}

// Release gives back a bucket that Keyed.Acquire lent. It must be called once
// for each Acquire, and the bucket not be used after it.
func (b *Bucket) Release() { b.holders.Add(-1) }

// advance earns what is due at the time now. A caller who read the clock before
// another one and came later earns nothing. If the clock was set back, earning
// goes on from there, or clients would stand still until it has caught up; a
// debt, which was counted by the other clock, is forgiven. The caller holds b.mu.
func (b *Bucket) advance(now time.Time) {
	switch passed := now.Sub(b.last); {
	case b.every > 0:
		b.turn(now, passed)
	case passed > 0:
		b.tokens = min(b.tokens+passed.Seconds()*b.rate.PerSecond, float64(b.rate.Burst))
		b.last = now
	case passed < -clockStep:
		b.tokens = max(b.tokens, 0)
		b.last = now
	}
}

// turn begins another window if there is none or it is over. If the clock was set
// back, the window lasts from there with what is left in it: nobody gains by that,
// and nobody waits for longer than a window.
func (b *Bucket) turn(now time.Time, passed time.Duration) {
	full := float64(b.rate.Burst)
	switch {
	case b.tokens >= full || passed >= b.every:
		b.tokens, b.last = full, now
	case passed < -clockStep:
		b.last = now
	}
}

// full reports whether b is as good as new.
func (b *Bucket) full(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	return b.tokens >= float64(b.rate.Burst)
}

// heir returns a bucket for one of the keys that shared b. It has what b has,
// so that nobody gains a second burst by moving; the debt, which others may
// have made, stays behind.
func (b *Bucket) heir(now time.Time) *Bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	return &Bucket{rate: b.rate, every: b.every, last: b.last, tokens: math.Floor(max(b.tokens, 0))}
}
