package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
)

// The Go runtime collects garbage when there is as much of it as of what is in use.
// A proxy with few clients uses some megabytes, and a storm of TLS handshakes, of
// which each leaves tens of kilobytes, then makes it collect many times a second.
const (
	// headroom is how much garbage may gather, if that is more than the runtime
	// would let. Full TLS handshakes with a heap of 6 MiB cost 12 % less processor
	// time with 8 times as much garbage as is in use than with as much, and 7 % less
	// with 4 times (bench -only handshake, GOGC=100, 400, 800). From a heap of this
	// size on, which some thousand idle clients have, nothing is gained and memory
	// would be lost: it is the runtime's default then, and 4,000 idle connections
	// take what they did without this.
	headroom = 32 << 20

	defaultGCPercent = 100 // the runtime's
	maxGCPercent     = 800 // what little is in use right after a start says nothing
)

// gcPercent returns which garbage may gather beside live bytes, in percent.
func gcPercent(live uint64) int {
	if live == 0 {
		return maxGCPercent
	}
	return int(min(max(100*headroom/live, defaultGCPercent), maxGCPercent))
}

// collector sets when the runtime collects garbage: to a fixed percentage, or, after
// each collection, by what it has found in use.
type collector struct {
	mu      sync.Mutex
	auto    bool
	armed   bool   // after runs after the next collection
	percent int    // in force; 0: the runtime's own
	before  int    // the runtime's own, once percent is set
	most    uint64 // what has been in use; it fades
}

// set puts a fixed percentage in force, or with 0 one that follows what is in use.
// It returns a text for the log.
func (c *collector) set(percent int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.auto = percent == 0
	if c.auto {
		c.arm()
		c.put(gcPercent(inUse()))
		return "auto"
	}
	c.put(percent)
	return strconv.Itoa(percent)
}

// follows reports whether the percentage follows what is in use.
func (c *collector) follows() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.auto
}

// stop gives the runtime back its own percentage.
func (c *collector) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.auto = false
	if c.percent != 0 {
		c.put(c.before)
	}
}

// put needs mu. It stops the world for a moment, so it is not for small differences.
func (c *collector) put(percent int) {
	if difference := percent - c.percent; c.auto && c.percent != 0 && max(difference, -difference) < c.percent/8 {
		return
	}
	old := debug.SetGCPercent(percent)
	if c.percent == 0 {
		c.before = old
	}
	c.percent = percent
}

// sentinel is garbage as soon as it is made. The pointer keeps it out of the blocks
// that the runtime shares between small values, whose cleanups may never run.
type sentinel struct{ _ *collector }

// arm needs mu.
func (c *collector) arm() {
	if !c.armed {
		c.armed = true
		runtime.AddCleanup(&sentinel{}, (*collector).after, c)
	}
}

// after runs after each collection.
func (c *collector) after() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = false
	if c.auto {
		c.put(gcPercent(c.lately(inUse())))
		c.arm()
	}
}

// lately returns the most that was in use, where what is long ago counts for less. A
// password can take 46 MiB for a moment: by what there is between two of them, there
// would be room for nine times as much with the next.
func (c *collector) lately(now uint64) uint64 {
	c.most = max(now, c.most-(c.most+7)/8)
	return c.most
}

// inUse returns what the runtime's percentage is of: what the last collection has
// left, and the roots that it began with, in bytes.
func inUse() uint64 {
	return readMetrics("/gc/heap/live:bytes", "/gc/scan/stack:bytes", "/gc/scan/globals:bytes")
}

// readMetrics returns the sum of some of the runtime's metrics.
func readMetrics(names ...string) (total uint64) {
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	for _, s := range samples {
		total += s.Value.Uint64()
	}
	return total
}
