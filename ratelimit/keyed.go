package ratelimit

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

const (
	// overflowBuckets is how many buckets the keys share that find no room.
	overflowBuckets = 64
	// evictionLooks is how many buckets an insertion looks at for one to evict.
	evictionLooks = 8
)

// Keyed is a token bucket for each key, in bounded memory: about 100 bytes for
// each of at most max keys.
//
// A bucket that nobody holds and that is full again is as good as new, and
// makes room when another key needs it. While there is no room, new keys share
// a few overflow buckets of the same rate: a flood of keys limits itself and
// those that come after it, not those that were there before.
//
// Keys are known by a 64-bit hash under a secret seed, so that their length
// costs no memory. Two of a million keys share a bucket with a chance of
// 1 in 37 million.
type Keyed[K comparable] struct {
	max      int
	seed     maphash.Seed
	overflow [overflowBuckets]*Bucket

	mu      sync.Mutex
	buckets map[uint64]*Bucket
}

// NewKeyed returns buckets of the given rate for up to max keys. None are
// kept for a Rate that is no limit.
func NewKeyed[K comparable](rate Rate, max int) *Keyed[K] { return newKeyed[K](rate, 0, max) }

// NewWindows returns buckets that earn nothing and give n > 0 tokens in each
// window, which begins with the first that is taken and lasts for every.
func NewWindows[K comparable](n int, every time.Duration, max int) *Keyed[K] {
	return newKeyed[K](Rate{Burst: n}, every, max)
}

func newKeyed[K comparable](rate Rate, every time.Duration, max int) *Keyed[K] {
	if rate.Unlimited() {
		max = 0
	}
	k := &Keyed[K]{max: max, seed: maphash.MakeSeed(), buckets: make(map[uint64]*Bucket)}
	for i := range k.overflow {
		k.overflow[i] = NewBucket(rate)
		k.overflow[i].every = every
	}
	return k
}

// Allow takes one token from the bucket of key and reports whether there was
// one.
func (k *Keyed[K]) Allow(now time.Time, key K) bool {
	k.mu.Lock()
	defer k.mu.Unlock() // not before the token is taken: the bucket looks new until then
	return k.bucket(now, key).Take(now, 1)
}

// Has reports whether there is a token in the bucket of key, and leaves it there.
func (k *Keyed[K]) Has(now time.Time, key K) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.bucket(now, key).takeAbove(now, 0, 1)
}

// Charge takes a token from the bucket of key, even one that is not there yet.
func (k *Keyed[K]) Charge(now time.Time, key K) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bucket(now, key).Delay(now, 1, math.MaxInt64)
}

// Acquire returns the bucket of key for a user who needs it for some time, as
// a session does, and must call its Release in the end. To use the bucket
// takes no lock that other keys take.
//
// A key that found no room uses a shared bucket until it is released, even if
// another Acquire finds room meanwhile.
func (k *Keyed[K]) Acquire(now time.Time, key K) *Bucket {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.bucket(now, key)
	b.holders.Add(1)
	return b
}

// bucket finds or makes the bucket of key. The caller holds k.mu.
func (k *Keyed[K]) bucket(now time.Time, key K) *Bucket {
	hash := maphash.Comparable(k.seed, key)
	if b, ok := k.buckets[hash]; ok {
		return b
	}
	shared := k.overflow[hash%overflowBuckets]
	if len(k.buckets) >= k.max && !k.evict(now) {
		return shared
	}
	b := shared.heir(now)
	k.buckets[hash] = b
	return b
}

// evict makes room for a key. It looks at a few buckets only, others each
// time since maps are walked from a random place. The caller holds k.mu, so
// that no bucket finds its first holder meanwhile.
func (k *Keyed[K]) evict(now time.Time) bool {
	looks := 0
	for hash, b := range k.buckets {
		if b.holders.Load() == 0 && b.full(now) {
			delete(k.buckets, hash)
			return true
		}
		if looks++; looks == evictionLooks {
			break
		}
	}
	return false
}
