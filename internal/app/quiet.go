package app

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	// quietLooks is how many looks in a row must find nothing going on.
	quietLooks = 3
	lookEvery  = time.Second

	quietBytes = 1 << 20 // what is allocated between two looks when nothing goes on
	worthIt    = 4 << 20 // least garbage that is worth to be collected
)

// quiet finds the moment to give memory back. A storm of connections leaves garbage
// and grown stacks behind, and what is passed on allocates nothing: without it they
// would lie there for minutes.
type quiet struct {
	seen      uint64 // bytes ever allocated, at the last look
	collected uint64 // and when memory was last given back
	looks     int    // that have found nothing going on
}

// look reports whether it is the moment. allocated is the bytes that were ever
// allocated, live what is in use.
func (q *quiet) look(allocated, live uint64) bool {
	q.looks++
	if allocated-q.seen > quietBytes {
		q.looks = 0
	}
	q.seen = allocated
	if q.looks < quietLooks || allocated-q.collected < max(worthIt, live/8) {
		return false
	}
	q.collected = allocated
	return true
}

// giveBack gives memory back to the system whenever nothing goes on, until ctx ends.
func (c *collector) giveBack(ctx context.Context) {
	var q quiet
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if c.follows() && q.look(readMetrics("/gc/heap/allocs:bytes"), inUse()) {
			debug.FreeOSMemory()
		}
	}
}
