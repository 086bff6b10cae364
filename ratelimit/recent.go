package ratelimit

import (
	"container/list"
	"hash/maphash"
	"sync"
	"time"
)

// recent remembers keys for a while, in bounded memory: about 150 bytes for each
// of at most max. When it is full, the key that was not noted for the longest
// time is forgotten.
//
// Keys are known by a 64-bit hash under a secret seed, as those of Keyed.
type recent[K comparable] struct {
	max  int
	keep time.Duration
	seed maphash.Seed

	mu    sync.Mutex
	keys  map[uint64]*list.Element
	noted *list.List // of noted; the latest first
}

type noted struct {
	hash uint64
	at   time.Time
}

func newRecent[K comparable](max int, keep time.Duration) *recent[K] {
	return &recent[K]{max: max, keep: keep, seed: maphash.MakeSeed(), keys: make(map[uint64]*list.Element), noted: list.New()}
}

// note remembers key from now on.
func (r *recent[K]) note(now time.Time, key K) {
	hash := maphash.Comparable(r.seed, key)
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.keys[hash]; ok {
		e.Value = noted{hash, now}
		r.noted.MoveToFront(e)
		return
	}
	if oldest := r.noted.Back(); r.noted.Len() >= r.max {
		n, _ := r.noted.Remove(oldest).(noted)
		delete(r.keys, n.hash)
	}
	r.keys[hash] = r.noted.PushFront(noted{hash, now})
}

// has reports whether key was noted and not forgotten.
func (r *recent[K]) has(now time.Time, key K) bool {
	hash := maphash.Comparable(r.seed, key)
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.keys[hash]
	if !ok {
		return false
	}
	n, _ := e.Value.(noted)
	return now.Sub(n.at) < r.keep
}
