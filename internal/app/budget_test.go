package app

import (
	"math"
	"testing"
	"time"
)

// TestBudget: what is garbage is found out before anybody is turned away for it, but
// not more often than every second.
func TestBudget(t *testing.T) {
	const mib = 1 << 20
	var b budget
	b.limit.Store(100 * mib)
	start := time.Now()
	for i, step := range []struct {
		at      time.Duration
		m       memory
		want    float64
		collect bool
	}{
		{0, memory{objects: 40 * mib, live: 10 * mib, rest: 5 * mib, cycles: 1}, 0.45, false},
		{10 * time.Second, memory{objects: 70 * mib, live: 10 * mib, rest: 5 * mib, cycles: 1}, 0.75, false},
		{11 * time.Second, memory{objects: 93 * mib, live: 10 * mib, rest: 5 * mib, cycles: 1}, 0.18, true}, // how much of it is garbage?
		{11*time.Second + budgetEvery, memory{objects: 94 * mib, live: 10 * mib, rest: 5 * mib, cycles: 1}, 0.18, false},
		{11*time.Second + sweepEvery, memory{objects: 94 * mib, live: 10 * mib, rest: 5 * mib, cycles: 1}, 0.18, true},
		{12 * time.Second, memory{objects: 94 * mib, live: 10 * mib, rest: 5 * mib, cycles: 1}, 0.99, true}, // it takes too long to find out
		{12*time.Second + budgetEvery, memory{objects: 62 * mib, live: 60 * mib, rest: 5 * mib, cycles: 2}, 0.67, false},
		{13 * time.Second, memory{objects: 74 * mib, live: 72 * mib, rest: 5 * mib, cycles: 3}, 0.79, false},
		{14 * time.Second, memory{objects: 86 * mib, live: 72 * mib, rest: 5 * mib, cycles: 3}, 0.80, true},
		{14*time.Second + budgetEvery, memory{objects: 90 * mib, live: 88 * mib, rest: 5 * mib, cycles: 4}, 0.95, false},
		{16 * time.Second, memory{objects: 20 * mib, live: 20 * mib, rest: 5 * mib, cycles: 5}, 0.25, false},
	} {
		collect := b.look(start.Add(step.at), step.m)
		if got := math.Float64frombits(b.used.Load()); math.Abs(got-step.want) > 1e-9 || collect != step.collect {
			t.Errorf("step %d: %v, collect %v; want %v, %v", i, got, collect, step.want, step.collect)
		}
	}
}

func TestBudgetOfThisProcess(t *testing.T) {
	var b budget
	if got := b.share(); got != 0 {
		t.Errorf("without a limit %v is in use", got)
	}
	b.limit.Store(noLimit)
	if got := b.share(); got != 0 {
		t.Errorf("with no limit %v is in use", got)
	}
	b.limit.Store(1 << 40)
	if got := b.share(); got <= 0 || got > 0.1 {
		t.Errorf("%v of a TiB is in use", got)
	}
	b.limit.Store(1) // the answer holds for a while
	if got := b.share(); got > 0.1 {
		t.Errorf("asked anew at once: %v", got)
	}
	if n := testing.AllocsPerRun(100, func() { b.share() }); n > 1 {
		t.Errorf("an answer that holds allocates %v times", n)
	}
}
