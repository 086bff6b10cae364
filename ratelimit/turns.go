package ratelimit

import (
	"container/list"
	"context"
	"sync"
)

// The ranks, in which those who want the same go before each other. Any other number
// is the nearest of them.
const (
	Crowd    = iota // a stranger from a network of which many come
	Stranger        // any other
	Known           // who has logged in before
	ranks
)

// Turns lets a bounded number at once do what is dear, higher ranks before lower ones.
// Its methods may be called from many goroutines.
//
// Of the places, where there are as many, an eighth is kept from Strangers and a
// quarter from the Crowd. The Known wait in the order in which they came. Of the
// others, the one who came last goes first: when more come than can be served, those
// who have waited for long would have given up before they got anything, and
// everybody's turn would be spent on them. One turn in lowerTurn is for a lower rank, so
// that all go on under any load.
//
// It queues without bound: who waits is a connection, and these are counted.
type Turns struct {
	mu       sync.Mutex
	places   int
	free     int // of these; below zero: there were more before
	reserved [ranks]int
	waiting  [ranks]list.List // of chan struct{}, closed by who gives the turn; the next one at the front
	passed   int              // turns in a row that went to others though a lower rank waited
	lowest   bool             // the next turn for a lower rank is for the lowest
	idle     list.List        // of idler; the longest first
}

// lowerTurn is how many have gone, when both wait, until one of a lower rank has.
const lowerTurn = 8

// reserve is the part of anything that is kept from the Crowd. Half of it is kept from
// Strangers.
const reserve = 4

// NewTurns returns Turns for n ≥ 1 at once.
func NewTurns(n int) *Turns {
	t := &Turns{}
	t.Resize(n)
	return t
}

// Resize lets n ≥ 1 at once from now on. Turns that have begun go on, and count.
func (t *Turns) Resize(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free += n - t.places
	t.places, t.reserved = n, [ranks]int{Crowd: kept(n, Crowd), Stranger: kept(n, Stranger)}
	t.next()
}

func clamp(rank int) int { return min(max(rank, Crowd), Known) }

// Take waits for a turn, which ends with Give. If ctx ends before, its error is
// returned and there was no turn.
func (t *Turns) Take(ctx context.Context, rank int) error {
	if err := ctx.Err(); err != nil || t.Try(rank) {
		return err
	}
	queue, place := t.queue(clamp(rank))
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
func (t *Turns) Try(rank int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free <= t.reserved[clamp(rank)] {
		return false
	}
	t.free--
	return true
}

// queue has the caller wait.
func (t *Turns) queue(rank int) (*list.List, *list.Element) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn, queue := make(chan struct{}), &t.waiting[rank]
	defer t.next() // there may have been a turn since Try
	t.evict()
	if rank == Known {
		place := queue.PushBack(turn)
		return queue, place
	}
	place := queue.PushFront(turn)
	return queue, place
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

// next gives those who wait what there is to give. The caller holds t.mu.
func (t *Turns) next() {
	for t.free > 0 {
		rank := t.highest(Known)
		for rank >= 0 && t.free <= t.reserved[rank] {
			rank = t.highest(rank - 1)
		}
		if rank < 0 {
			return
		}
		lower := t.highest(rank - 1)
		if t.lowest && lower == Stranger && t.waiting[Crowd].Len() > 0 {
			lower = Crowd
		}
		switch {
		case lower < 0:
			t.passed = 0
		case t.passed == lowerTurn-1:
			rank, t.passed, t.lowest = lower, 0, !t.lowest
		default:
			t.passed++
		}
		t.free--
		turn, _ := t.waiting[rank].Remove(t.waiting[rank].Front()).(chan struct{})
		close(turn)
	}
}

// highest returns the highest rank up to most of which somebody waits, -1 if nobody
// does. The caller holds t.mu.
func (t *Turns) highest(most int) int {
	for most >= 0 && t.waiting[most].Len() == 0 {
		most--
	}
	return most
}
