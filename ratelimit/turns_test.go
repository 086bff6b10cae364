package ratelimit

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// await starts what waits for a turn in order, and returns a channel that tells who
// gets one.
func await(t *testing.T, turns *Turns, who ...string) <-chan string {
	t.Helper()
	order := make(chan string, len(who))
	for _, name := range who {
		go func() {
			if turns.Take(t.Context(), name[0] == 'k') == nil {
				order <- name
			}
		}()
		synctest.Wait()
	}
	return order
}

// TestTurnsOrder: the known in order, then strangers with the last first.
func TestTurnsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(1)
		if !turns.Try(false) {
			t.Fatal("no turn where nobody is")
		}
		order := await(t, turns, "s1", "k1", "s2", "k2", "s3")
		var got []string
		for range 5 {
			turns.Give()
			synctest.Wait()
			got = append(got, <-order)
		}
		if want := []string{"k1", "k2", "s3", "s2", "s1"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// TestTurnsResize: turns that have begun count when there are to be fewer, and who waits
// goes on when there are more.
func TestTurnsResize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(3)
		for range 3 {
			turns.Try(true)
		}
		turns.Resize(1)
		for left := range 3 {
			if turns.Try(true) {
				t.Fatalf("a turn beside %d, want one at once", 3-left)
			}
			turns.Give()
		}
		if !turns.Try(true) || turns.Try(true) {
			t.Error("want one at once")
		}
		order := await(t, turns, "s1", "k1")
		turns.Resize(8)
		synctest.Wait()
		if len(order) != 2 {
			t.Errorf("%d of two go on", len(order))
		}
		for i := range 5 {
			if got, want := turns.Try(false), i < 3; got != want {
				t.Errorf("stranger %d: %v", i+4, got)
			}
		}
	})
}

// TestTurnsReserve: strangers leave a quarter of the places to the known, also those
// of them who wait already.
func TestTurnsReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(8)
		for i := range 8 {
			if got, want := turns.Try(false), i < 6; got != want {
				t.Errorf("stranger %d of 8 places: %v", i, got)
			}
		}
		order := await(t, turns, "s1")
		for i := range 3 {
			if got, want := turns.Try(true), i < 2; got != want {
				t.Errorf("known %d of 2 places: %v", i, got)
			}
		}
		turns.Give()
		turns.Give()
		synctest.Wait()
		if len(order) != 0 {
			t.Error("a stranger has a place that is kept")
		}
		turns.Give()
		synctest.Wait()
		if len(order) != 1 {
			t.Error("a stranger waits though there is a place")
		}
	})
}

// TestTurnsStarveNobody: with a known always waiting, a stranger in eight goes first.
func TestTurnsStarveNobody(t *testing.T) {
	for _, places := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			turns := NewTurns(places)
			for turns.Try(true) {
			}
			order := await(t, turns, "s1")
			known := await(t, turns, slices.Repeat([]string{"k"}, 20)...)
			for i := range strangersTurn {
				if len(order) != 0 {
					t.Fatalf("%d places: after %d", places, i)
				}
				turns.Give()
				synctest.Wait()
			}
			if len(order) != 1 || len(known) != strangersTurn-1 {
				t.Errorf("%d places: %d strangers and %d known went", places, len(order), len(known))
			}
		})
	}
}

func TestTurnsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(1)
		turns.Try(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := turns.Take(ctx, false); err != context.DeadlineExceeded {
			t.Errorf("after a second: %v", err)
		}
		if err := turns.Take(ctx, true); err == nil {
			t.Error("a turn for who has no time")
		}
		turns.Give()
		if turns.known.Len()+turns.strange.Len() != 0 || !turns.Try(false) || turns.Try(true) {
			t.Error("who gave up is still there")
		}
	})
}

// TestTurnsConcurrently never lets more go at once than there are places, and loses
// none of them.
func TestTurnsConcurrently(t *testing.T) {
	const places = 4
	turns := NewTurns(places)
	var at atomic.Int64
	var wg sync.WaitGroup
	for worker := range 32 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(100))*time.Microsecond)
				if turns.Take(ctx, r.IntN(2) == 0) == nil {
					if n := at.Add(1); n > places {
						t.Errorf("%d at once", n)
					}
					at.Add(-1)
					turns.Give()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	for i := range places + 1 {
		if turns.Try(true) != (i < places) {
			t.Errorf("place %d", i)
		}
	}
}
