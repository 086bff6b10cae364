package main

import (
	"slices"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

// spread are percentiles in milliseconds.
type spread struct{ P50, P99 float64 }

func spreadOf(took []time.Duration) (s spread) {
	if len(took) == 0 {
		return s
	}
	took = slices.Sorted(slices.Values(took))
	at := func(permille int) float64 {
		return float64(rig.Percentile(took, permille)) / float64(time.Millisecond)
	}
	return spread{at(500), at(990)}
}
