package main

import (
	"testing"
	"time"
)

func TestLatency(t *testing.T) {
	a, b := new(client), new(client)
	if got := latencyOf([]*client{a, b}); got != nil {
		t.Errorf("%+v of nothing", got)
	}
	a.took.add(3 * time.Microsecond)
	b.took.add(time.Microsecond)
	a.took.add(2500 * time.Nanosecond)
	if got := latencyOf([]*client{a, b}); got == nil || *got != (latency{2.5, 3, 3}) {
		t.Errorf("%+v", got)
	}
}

// TestSamples: what is kept is bounded, and spread evenly.
func TestSamples(t *testing.T) {
	var s samples
	const all = 5 * maxSamples
	for i := range all {
		s.add(time.Duration(i))
	}
	if len(s.kept) > maxSamples || len(s.kept) < maxSamples/2 {
		t.Fatalf("%d kept", len(s.kept))
	}
	for i := 1; i < len(s.kept); i++ {
		if got := s.kept[i] - s.kept[i-1]; got < 4 || got > 16 {
			t.Fatalf("%d lie between two that are kept", got)
		}
	}
	if last := s.kept[len(s.kept)-1]; last < all-16 {
		t.Errorf("%d is the last of %d", last, all)
	}
}
