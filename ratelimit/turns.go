package ratelimit

import (
	"container/list"
	"context"
	"sync"
)

// Turns lets a bounded number at once do what is dear, and those who are known
// before strangers. Its methods may be called from many goroutines.
//
// A quarter of the places, where there are as many, is kept for the known. They
// wait in the order in which they came. Of the strangers who wait, the one who came
// last goes first: when more come than can be served, those who have waited for long
// would have given up before they got anything, and everybody's turn would be spent
// on them. One in strangersTurn is a stranger's, so that they go on under any load.
//
// It queues without bound: who waits is a connection, and these are counted.
type Turns struct {
	mu       sync.Mutex
	places   int
	free     int       // of these; below zero: there were more before
	reserved int       // for the known
	known    list.List // of chan struct{}, closed by who gives the turn
	strange  list.List // the last who came at the front
	passed   int       // known who went before strangers who wait, in a row
}

// strangersTurn is how many have gone, when both wait, until a stranger has.
const strangersTurn = 8

// reserve is the part of anything that is kept for those who are known.
const reserve = 4

// NewTurns returns Turns for n ≥ 1 at once.
func NewTurns(n int) *Turns { return &Turns{places: n, free: n, reserved: n / reserve} }

// Resize lets n ≥ 1 at once from now on. Turns that have begun go on, and count.
func (t *Turns) Resize(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free += n - t.places
	t.places, t.reserved = n, n/reserve
	t.next()
}

// Take waits for a turn, which ends with Give. If ctx ends before, its error is
// returned and there was no turn.
func (t *Turns) Take(ctx context.Context, known bool) error {
	if err := ctx.Err(); err != nil || t.Try(known) {
		return err
	}
	queue, place := t.queue(known)
	turn, _ := place.Value.(chan struct{})
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-turn: // it came at the same moment
		t.give()
	default:
		queue.Remove(place)
	}
	return ctx.Err()
}

// Try reports whether there was a turn at once.
func (t *Turns) Try(known bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free <= 0 || !known && t.free <= t.reserved {
		return false
	}
	t.free--
	return true
}

// queue has the caller wait.
func (t *Turns) queue(known bool) (*list.List, *list.Element) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn := make(chan struct{})
	defer t.next() // there may have been a turn since Try
	if known {
		return &t.known, t.known.PushBack(turn)
	}
	return &t.strange, t.strange.PushFront(turn)
}

// Give ends a turn.
func (t *Turns) Give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.give()
}

func (t *Turns) give() {
	t.free++
	t.next()
}

// next gives who waits what there is to give. The caller holds t.mu.
func (t *Turns) next() {
	for t.free > 0 {
		known, stranger := t.known.Front(), t.strange.Front()
		switch {
		case known != nil && (stranger == nil || t.passed < strangersTurn-1):
			t.start(&t.known, known)
			t.passed++
		case stranger != nil && (known != nil || t.free > t.reserved):
			t.start(&t.strange, stranger)
			t.passed = 0
		default:
			return
		}
	}
}

func (t *Turns) start(queue *list.List, place *list.Element) {
	t.free--
	turn, _ := queue.Remove(place).(chan struct{})
	close(turn)
}
