package main

import (
	"slices"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

// maxSamples bounds what one client keeps; 50 of them have 50 MB.
const maxSamples = 1 << 17

// samples are how long messages took. When there is no more room every other
// is left out, and of those that follow: what remains is spread evenly over
// the time.
type samples struct {
	kept   []time.Duration
	stride int // one of so many is kept; zero is one
	passed int // since the last that was kept
}

func (s *samples) add(d time.Duration) {
	if s.passed++; s.passed < s.stride {
		return
	}
	s.passed = 0
	if len(s.kept) == maxSamples {
		for i := range maxSamples / 2 {
			s.kept[i] = s.kept[2*i]
		}
		s.kept, s.stride = s.kept[:maxSamples/2], 2*max(s.stride, 1)
	}
	s.kept = append(s.kept, d)
}

// latency are percentiles in microseconds.
type latency struct{ P50, P99, P999 float64 }

// latencyOf returns nil if nothing was timed.
func latencyOf(clients []*client) *latency {
	var all []time.Duration
	for _, c := range clients {
		all = append(all, c.took.kept...)
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	at := func(permille int) float64 {
		return float64(rig.Percentile(all, permille)) / float64(time.Microsecond)
	}
	return &latency{at(500), at(990), at(999)}
}
