// Package ratelimit holds what limits clients: token buckets, one or many by
// key in bounded memory, and the gate that admits connections.
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

	"golang.org/x/time/rate"
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

// maxWait is the longest wait that Delay returns.
const maxWait = time.Duration(math.MaxInt64)

// Bucket is a token bucket: full at first, it loses what is taken and earns
// its Rate. Over any time, it gives at most rate × time + burst. Its methods
// may be called from many goroutines.
type Bucket struct {
	rate    Rate
	holders atomic.Int32 // see Keyed

	mu      sync.Mutex
	last    time.Time // the latest time that the limiter has seen
	limiter *rate.Limiter
}

// NewBucket returns a full bucket.
func NewBucket(r Rate) *Bucket {
	return &Bucket{rate: r, limiter: rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)}
}

// Take takes n ≥ 0 tokens if there are so many, and reports whether there
// were; otherwise it takes none. More than the burst are never there.
func (b *Bucket) Take(now time.Time, n int) bool {
	if b.rate.Unlimited() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limiter.AllowN(b.advance(now), n)
}

// Delay takes n ≥ 0 tokens, also those that are not there yet, and returns
// how long after now the caller must wait until they are. As n may exceed the
// burst, which a rate.Limiter never gives at once, it is taken in pieces: a
// large packet pays all that it costs.
func (b *Bucket) Delay(now time.Time, n int) time.Duration {
	if b.rate.Unlimited() {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.advance(now)
	var wait time.Duration
	for n > 0 {
		piece := min(n, max(b.rate.Burst, 1))
		r := b.limiter.ReserveN(at, piece)
		if !r.OK() {
			return maxWait
		}
		wait = r.DelayFrom(now)
		n -= piece
	}
	return wait
}

// Release gives back a bucket that Keyed.Acquire lent. It must be called once
// for each Acquire, and the bucket not be used after it.
func (b *Bucket) Release() { b.holders.Add(-1) }

// advance returns the time to give to the limiter. A rate.Limiter that sees
// time run back and on again earns the same time twice, so a late caller gets
// the time of the one before. If the clock was set back, a limiter that begins
// there takes over, or its clients would stand still until the clock has
// caught up. The caller holds b.mu.
func (b *Bucket) advance(now time.Time) time.Time {
	back := b.last.Sub(now)
	if 0 < back && back <= clockStep {
		return b.last
	}
	if back > clockStep {
		b.limiter = limiterWith(b.rate, b.limiter.TokensAt(b.last), now)
	}
	b.last = now
	return now
}

// limiterWith returns a limiter that has so many whole tokens at the time now,
// none if tokens is a debt.
func limiterWith(r Rate, tokens float64, now time.Time) *rate.Limiter {
	l := rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)
	l.AllowN(now, r.Burst-int(max(tokens, 0)))
	return l
}

// full reports whether b is as good as new.
func (b *Bucket) full(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limiter.TokensAt(b.advance(now)) >= float64(b.rate.Burst)
}

// heir returns a bucket for one of the keys that shared b. It has what b has,
// so that nobody gains a second burst by moving; the debt, which others may
// have made, stays behind.
func (b *Bucket) heir(now time.Time) *Bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.advance(now)
	return &Bucket{rate: b.rate, last: at, limiter: limiterWith(b.rate, b.limiter.TokensAt(at), at)}
}
