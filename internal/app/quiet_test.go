package app

import (
	"slices"
	"testing"
)

// TestQuiet goes through storms and calms, a look each.
func TestQuiet(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		name      string
		live      uint64
		allocated []uint64 // in each second
		gives     []int    // the looks after which memory is given back
	}{
		{"nothing has happened", 5 * mib, []uint64{0, 0, 0, 0, 0, 0}, nil},
		{"after a storm, once", 5 * mib, []uint64{100 * mib, 200 * mib, 0, 0, 0, 0, 0, 0, 0}, []int{4}},
		{"a little goes on", 5 * mib, []uint64{100 * mib, mib, mib, mib, mib, mib, mib, mib}, []int{3, 7}},
		{"too little for what is in use", 80 * mib, []uint64{9 * mib, 0, 0, 0, 0, mib, 0, 0}, []int{5}},
		{"too little at all", 5 * mib, []uint64{mib, mib, mib, 0, 0, 0, 0, 0}, nil},
		{"it never calms down", 5 * mib, []uint64{9 * mib, 0, 0, 9 * mib, 0, 0, 9 * mib, 0, 0, 2 * mib}, nil},
	} {
		var q quiet
		var total uint64
		var gives []int
		for i, n := range test.allocated {
			total += n
			if q.look(total, test.live) {
				gives = append(gives, i)
			}
		}
		if !slices.Equal(gives, test.gives) {
			t.Errorf("%s: after the looks %v, want %v", test.name, gives, test.gives)
		}
	}
}
