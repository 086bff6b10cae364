package rig

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var sorted []time.Duration
	for i := range 1000 {
		sorted = append(sorted, time.Duration(i+1))
	}
	tests := []struct {
		sorted   []time.Duration
		permille int
		want     time.Duration
	}{
		{sorted, 500, 500},
		{sorted, 990, 990},
		{sorted, 999, 999},
		{sorted[:1], 500, 1},
		{sorted[:1], 999, 1},
		{sorted[:3], 500, 2},
		{sorted[:100], 999, 100},
		{sorted, 0, 1},
	}
	for _, tt := range tests {
		if got := Percentile(tt.sorted, tt.permille); got != tt.want {
			t.Errorf("%d permille of %d: %d, want %d", tt.permille, len(tt.sorted), got, tt.want)
		}
	}
}
