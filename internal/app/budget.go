package app

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// budgetEvery is how long an answer about memory is good for. To ask takes some
	// microseconds; twelve strangers come in this time, and may take 128 KiB each.
	budgetEvery = 10 * time.Millisecond

	// sweepFrom is the part of the memory from which it is worth to know what of it is
	// garbage, if it is not known of more than sweepSlack. It is found out every
	// sweepEvery, and in sweepTime.
	sweepFrom  = 0.75
	sweepSlack = 0.03
	sweepEvery = 200 * time.Millisecond
	sweepTime  = time.Second
)

// budget says how much of the memory that the process may have is in use. Without a
// limit it is never short.
type budget struct {
	limit atomic.Int64  // bytes; zero or noLimit: none
	used  atomic.Uint64 // the bits of the last answer

	mu     sync.Mutex
	asked  time.Time
	cycles uint64    // collections of garbage, when last asked
	begun  time.Time // when one was last begun here
	waits  time.Time // since when none has ended that was begun here; zero: it has
}

// share returns the part that is in use. It is asked for each connection.
func (b *budget) share() float64 {
	if limit := b.limit.Load(); limit == 0 || limit == noLimit {
		return 0
	}
	if b.mu.TryLock() { // who comes meanwhile has the answer before
		if now := time.Now(); now.Sub(b.asked) >= budgetEvery {
			b.asked = now
			if b.look(now, memoryNow()) {
				go runtime.GC()
			}
		}
		b.mu.Unlock()
	}
	return math.Float64frombits(b.used.Load())
}

// memory is what the runtime has.
type memory struct {
	objects uint64 // bytes, garbage among them
	live    uint64 // of these, what the last collection has left
	rest    uint64 // stacks and what else is no object
	cycles  uint64 // collections so far
}

func memoryNow() memory {
	return memory{
		objects: readMetrics("/memory/classes/heap/objects:bytes"),
		live:    readMetrics("/gc/heap/live:bytes"),
		rest: readMetrics("/memory/classes/heap/stacks:bytes", "/memory/classes/metadata/mcache/inuse:bytes",
			"/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/other:bytes", "/memory/classes/os-stacks:bytes", "/memory/classes/other:bytes"),
		cycles: readMetrics("/gc/cycles/total:gc-cycles"),
	}
}

// look answers anew, and reports whether garbage is to be collected. What the runtime
// has includes garbage, as much of it as there is room for: once it is much, what
// counts is what a collection leaves. If there is no time for one, all of it does.
func (b *budget) look(now time.Time, m memory) (collect bool) {
	limit := float64(b.limit.Load())
	used := float64(m.objects+m.rest) / limit
	if m.cycles != b.cycles {
		b.cycles, b.waits = m.cycles, time.Time{}
	}
	if used > sweepFrom && float64(m.objects)-float64(m.live) > sweepSlack*limit {
		if collect = now.Sub(b.begun) >= sweepEvery; collect {
			b.begun = now
			if b.waits.IsZero() {
				b.waits = now
			}
		}
		if b.waits.IsZero() || now.Sub(b.waits) < sweepTime {
			used = float64(m.live+m.rest)/limit + sweepSlack
		}
	}
	b.used.Store(math.Float64bits(used))
	return collect
}
