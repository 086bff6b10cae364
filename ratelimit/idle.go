package ratelimit

import "time"

// idleFor is how long who has a turn may wait for somebody else, if others want it.
const idleFor = time.Second

// idler has a turn and waits for somebody else.
type idler struct {
	since time.Time
	leave func()
}

// Idle says that who has a turn waits for somebody else. If that lasts, and others
// want the turn, leave is called, once, which leads to Give. It must neither block nor
// call the Turns, and is not called any more once back has been, which comes before
// Give. The Known are left alone.
func (t *Turns) Idle(rank int, leave func()) (back func()) {
	if rank >= Known {
		return func() {}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	place := t.idle.PushBack(idler{time.Now(), leave})
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.idle.Remove(place) // does nothing if it has left
	}
}

// evict has the one leave who has been idle for the longest time. The caller holds t.mu.
func (t *Turns) evict() {
	place := t.idle.Front()
	if place == nil {
		return
	}
	if i, _ := place.Value.(idler); time.Since(i.since) >= idleFor {
		t.idle.Remove(place)
		i.leave()
	}
}
