package ratelimit

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestKeysAreApart(t *testing.T) {
	k := NewKeyed[string](Rate{PerSecond: 1, Burst: 2}, 10)
	for _, key := range []string{"a", "b"} {
		for i := range 3 {
			if got, want := k.Allow(start, key), i < 2; got != want {
				t.Errorf("Allow(%q) = %v the time %d", key, got, i)
			}
		}
	}
	if !k.Allow(at(time.Second), "a") {
		t.Error("a second earned a nothing")
	}
}

func TestAcquireSharesWithAllow(t *testing.T) {
	k := NewKeyed[string](Rate{PerSecond: 1, Burst: 3}, 10)
	first, second := k.Acquire(start, "a"), k.Acquire(start, "a")
	if !first.Take(start, 1) || !second.Take(start, 1) || !k.Allow(start, "a") {
		t.Error("the burst is not there")
	}
	if first.Take(start, 1) || second.Take(start, 1) || k.Allow(start, "a") {
		t.Error("one key has several buckets")
	}
}

func TestUnlimitedKeepsNoKeys(t *testing.T) {
	k := NewKeyed[int](Rate{}, 10)
	for key := range 100 {
		if !k.Allow(start, key) || !k.Acquire(start, key).Take(start, 1000) {
			t.Fatal("the zero Rate limits")
		}
	}
	if len(k.buckets) != 0 {
		t.Errorf("%d keys are kept", len(k.buckets))
	}
}

func TestBoundedMemory(t *testing.T) {
	const most = 1000
	random := rand.New(rand.NewPCG(1, 2))
	k := NewKeyed[uint64](Rate{PerSecond: 1, Burst: 2}, most)
	var held []*Bucket
	now := start
	for i := range 100_000 {
		now = now.Add(time.Duration(random.IntN(int(time.Millisecond))))
		switch key := random.Uint64(); i % 3 {
		case 0:
			held = append(held, k.Acquire(now, key))
		case 1:
			k.Allow(now, key)
		case 2:
			held[0].Take(now, 1)
			held[0].Release()
			held = held[1:]
		}
		if len(k.buckets) > most {
			t.Fatalf("%d keys are kept", len(k.buckets))
		}
	}
}

func TestEviction(t *testing.T) {
	k := NewKeyed[string](Rate{PerSecond: 1, Burst: 1}, 1)
	now := at(time.Minute)
	kept := func(key string) bool {
		b := k.Acquire(now, key)
		defer b.Release()
		for _, own := range k.buckets {
			if own == b {
				return true
			}
		}
		return false
	}

	held := k.Acquire(now, "held")
	if kept("other") {
		t.Error("a bucket in use was evicted")
	}
	held.Take(now, 1)
	held.Release()
	if kept("other") {
		t.Error("a bucket that owes something was evicted")
	}
	now = now.Add(time.Second)
	if !kept("other") {
		t.Error("a bucket as good as new was not evicted")
	}
	if len(k.buckets) != 1 {
		t.Errorf("%d keys are kept", len(k.buckets))
	}
}

func TestOverflowIsLimited(t *testing.T) {
	k := NewKeyed[int](Rate{PerSecond: 1, Burst: 1}, 0)
	allowed := 0
	for key := range 10_000 {
		if k.Allow(start, key) {
			allowed++
		}
	}
	if allowed != overflowBuckets {
		t.Errorf("%d keys without a bucket of their own went through, want %d", allowed, overflowBuckets)
	}
}

// TestKeyNeverMore has keys come, go and move between buckets of their own and
// shared ones. None may gain by it.
func TestKeyNeverMore(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 1))
		rate := Rate{PerSecond: 1, Burst: 1 + random.IntN(20)}
		k := NewKeyed[string](rate, 1+random.IntN(20))
		first, taken := map[string]time.Duration{}, map[string]int{}
		var now time.Duration
		for range 2000 {
			now += time.Duration(random.IntN(int(100 * time.Millisecond)))
			key := strconv.Itoa(random.IntN(40))
			if _, ok := first[key]; !ok {
				first[key] = now
			}
			for range 100 {
				if !k.Allow(at(now), key) {
					break
				}
				taken[key]++
			}
			allowed := rate.PerSecond*(now-first[key]).Seconds() + float64(rate.Burst)
			if float64(taken[key]) > allowed+1e-6 {
				t.Fatalf("%+v: key %s took %d, %.3f are allowed", rate, key, taken[key], allowed)
			}
		}
	}
}

// TestKeyNeverStarves floods with other keys: one that was there before gets
// its rate.
func TestKeyNeverStarves(t *testing.T) {
	k := NewKeyed[int](Rate{PerSecond: 10, Burst: 1}, 100)
	session := k.Acquire(start, -1)
	defer session.Release()
	flood := 0
	for i := range 1000 {
		now := at(time.Duration(i) * 101 * time.Millisecond)
		if !session.Take(now, 1) {
			t.Fatal("the flood of other keys costs a session its rate")
		}
		for range 100 {
			k.Allow(now, flood)
			flood++
		}
	}
}

func TestHeirHasNoDebt(t *testing.T) {
	b := NewBucket(Rate{PerSecond: 1, Burst: 5})
	b.Take(start, 2)
	if !b.heir(start).Take(start, 3) || b.heir(start).Take(start, 4) {
		t.Error("the heir has not what the bucket has")
	}
	b.Delay(start, 100, time.Hour)
	if b.heir(start).Take(start, 1) || !b.heir(start).Take(at(time.Second), 1) {
		t.Error("the heir of a debt does not begin at nothing")
	}
}

func TestKeyedConcurrently(t *testing.T) {
	const burst, keys = 50, 20
	k := NewKeyed[int](Rate{PerSecond: 1, Burst: burst}, keys/2)
	var taken [keys]atomic.Int64
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 5000 {
				key := random.IntN(keys)
				if worker%2 == 0 {
					if k.Allow(start, key) {
						taken[key].Add(1)
					}
					continue
				}
				b := k.Acquire(start, key)
				if b.Take(start, 1) {
					taken[key].Add(1)
				}
				b.Release()
			}
		})
	}
	wg.Wait()
	for key := range taken {
		if n := taken[key].Load(); n > burst {
			t.Errorf("key %d took %d at once", key, n)
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	k := NewKeyed[int](Rate{PerSecond: 1000, Burst: 10}, 1000)
	now := start
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Microsecond)
		k.Allow(now, i%500)
	}
}

// BenchmarkFlood inserts without end into buckets that may not be evicted.
func BenchmarkFlood(b *testing.B) {
	k := NewKeyed[int](Rate{PerSecond: 0.001, Burst: 10}, 1<<16)
	for i := 0; b.Loop(); i++ {
		k.Allow(start, i)
	}
}
