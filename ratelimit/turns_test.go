package ratelimit

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
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
			if turns.Take(t.Context(), strings.IndexByte("csk", name[0])) == nil {
				order <- name
			}
		}()
		synctest.Wait()
	}
	return order
}

// TestTurnsOrder: the known in order, then strangers with the last first, then a crowd
// with the last first.
func TestTurnsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(1)
		if !turns.Try(Stranger) {
			t.Fatal("no turn where nobody is")
		}
		order := await(t, turns, "c1", "s1", "k1", "s2", "k2", "c2")
		var got []string
		for range 6 {
			turns.Give()
			synctest.Wait()
			got = append(got, <-order)
		}
		if want := []string{"k1", "k2", "s2", "s1", "c2", "c1"}; !slices.Equal(got, want) {
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
			turns.Try(Known)
		}
		turns.Resize(1)
		for left := range 3 {
			if turns.Try(Known) {
				t.Fatalf("a turn beside %d, want one at once", 3-left)
			}
			turns.Give()
		}
		if !turns.Try(Known) || turns.Try(Known) {
			t.Error("want one at once")
		}
		order := await(t, turns, "s1", "k1")
		turns.Resize(8)
		synctest.Wait()
		if len(order) != 2 {
			t.Errorf("%d of two go on", len(order))
		}
		for i := range 5 {
			if got, want := turns.Try(Stranger), i < 4; got != want {
				t.Errorf("stranger %d: %v", i+4, got)
			}
		}
	})
}

// TestTurnsReserve: a quarter of the places is kept from a crowd and half of that from
// strangers, also while they wait already.
func TestTurnsReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(8)
		take := func(rank, want int) {
			t.Helper()
			got := 0
			for turns.Try(rank) {
				got++
			}
			if got != want {
				t.Errorf("rank %d takes %d places, want %d", rank, got, want)
			}
		}
		take(-1, 6) // which is none, and so the lowest
		crowd := await(t, turns, "c1")
		take(Stranger, 1)
		strangers := await(t, turns, "s1")
		take(Known, 1)
		for i, want := range [][2]int{{0, 0}, {1, 0}, {1, 0}, {1, 1}} { // strangers and crowd that have a place
			turns.Give()
			synctest.Wait()
			if got := [2]int{len(strangers), len(crowd)}; got != want {
				t.Errorf("after %d: %v went, want %v", i+1, got, want)
			}
		}
	})
}

// TestTurnsStarveNobody: with higher ranks always waiting, one of a lower rank in eight
// goes first, the lowest too.
func TestTurnsStarveNobody(t *testing.T) {
	for _, places := range []int{1, 8} {
		synctest.Test(t, func(t *testing.T) {
			turns := NewTurns(places)
			for turns.Try(Known) {
			}
			crowd := await(t, turns, "c1", "c2")
			strangers := await(t, turns, slices.Repeat([]string{"s"}, 10)...)
			known := await(t, turns, slices.Repeat([]string{"k"}, 40)...)
			for range 4 * lowerTurn {
				turns.Give()
				synctest.Wait()
			}
			if len(crowd) != 2 || len(strangers) != 2 || len(known) != 4*lowerTurn-4 {
				t.Errorf("%d places: %d of the crowd, %d strangers, %d known", places, len(crowd), len(strangers), len(known))
			}
		})
	}
}

// TestTurnsIdle: who waits for somebody else for long makes room when others want it,
// the longest first.
func TestTurnsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(3)
		var left []string
		idle := func(name string, rank int) (back func()) {
			if !turns.Try(Known) {
				t.Fatal("no place")
			}
			return turns.Idle(rank, func() {
				left = append(left, name)
				go turns.Give()
			})
		}
		idle("known", Known)
		back := idle("back", Stranger)
		time.Sleep(idleFor)
		idle("idle", Crowd)
		back()
		first := await(t, turns, "s1")
		if len(left) != 0 || len(first) != 0 {
			t.Errorf("%v left, of which none was idle for long", left)
		}
		time.Sleep(idleFor)
		second := await(t, turns, "s2")
		if !slices.Equal(left, []string{"idle"}) || len(second) != 1 {
			t.Errorf("%v left, and %d went", left, len(second))
		}
		await(t, turns, "s3")
		if len(left) != 1 {
			t.Errorf("%v left, one of them twice or without need", left)
		}
	})
}

func TestTurnsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(1)
		turns.Try(Known)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := turns.Take(ctx, Stranger); err != context.DeadlineExceeded {
			t.Errorf("after a second: %v", err)
		}
		if err := turns.Take(ctx, Known); err == nil {
			t.Error("a turn for who has no time")
		}
		turns.Give()
		if turns.highest(Known) >= 0 || !turns.Try(Crowd) || turns.Try(Known) {
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
				if turns.Take(ctx, r.IntN(3)) == nil {
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
		if turns.Try(Known) != (i < places) {
			t.Errorf("place %d", i)
		}
	}
}
