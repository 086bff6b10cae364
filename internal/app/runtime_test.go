package app

import (
	"errors"
	"log/slog"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/mqttward/mqttward/configs"
)

func TestMemoryLimit(t *testing.T) {
	const gib = 1 << 30
	unreadable := errors.New("unreadable")
	share := func(n int) configs.MemoryLimit { return configs.MemoryLimit{Percent: n} }
	for _, tt := range []struct {
		name   string
		limit  configs.MemoryLimit
		cgroup uint64
		err    error
		want   int64
		fails  bool
	}{
		{"a share of the cgroup's", share(75), gib, nil, gib * 3 / 4, false},
		{"all of it", share(100), gib, nil, gib, false},
		{"a cgroup without a limit", share(90), 0, memlimit.ErrNoLimit, noLimit, false},
		{"no cgroup", share(90), 0, memlimit.ErrNoCgroup, noLimit, false},
		{"another system", share(90), 0, memlimit.ErrCgroupsNotSupported, noLimit, false},
		{"a cgroup that cannot be read", share(90), 0, unreadable, noLimit, true},
		{"more than there can be", share(90), 1 << 63, nil, noLimit, false},
		{"a size", configs.MemoryLimit{Size: configs.GiB}, gib / 2, nil, gib, false},
		{"off", configs.MemoryLimit{}, gib, nil, noLimit, false},
	} {
		got, err := memoryLimit(tt.limit, func() (uint64, error) { return tt.cgroup, tt.err })
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s: %d, %v; want %d", tt.name, got, err, tt.want)
		}
	}
}

func TestGCPercent(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		inUse uint64
		want  int
	}{
		{0, 800},
		{1, 800},
		{4 * mib, 800},
		{5 * mib, 640},
		{16 * mib, 200},
		{32 * mib, 100},
		{33 * mib, 100},
		{1 << 40, 100},
	} {
		if got := gcPercent(tt.inUse); got != tt.want {
			t.Errorf("%d bytes in use: %d %%, want %d", tt.inUse, got, tt.want)
		}
	}
}

// TestCollector lets the heap grow and shrink: the percentage follows.
func TestCollector(t *testing.T) {
	before := debug.SetGCPercent(-1)
	debug.SetGCPercent(before)
	c := &collector{}
	inForce := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.percent
	}
	// Garbage is collected until it has shown: after runs at some time behind it.
	expect := func(what string, holds func(percent int) bool) {
		t.Helper()
		for range 10_000 {
			if holds(inForce()) {
				break
			}
			runtime.GC()
			runtime.Gosched()
		}
		if !holds(inForce()) {
			t.Fatalf("%s: %d %%", what, inForce())
		}
		if got := debug.SetGCPercent(inForce()); got != inForce() {
			t.Errorf("%s: the runtime has %d %%, and is said to have %d", what, got, inForce())
		}
	}
	c.set(0)
	expect("little in use", func(p int) bool { return p > 2*defaultGCPercent })
	held := make([]byte, 2*headroom)
	expect("much in use", func(p int) bool { return p == defaultGCPercent })
	runtime.KeepAlive(held)
	expect("little in use again", func(p int) bool { return p > 2*defaultGCPercent })

	if text := c.set(150); text != "150" || inForce() != 150 {
		t.Errorf("a fixed percentage: %s, %d in force", text, inForce())
	}
	for range 3 {
		runtime.GC()
	}
	expect("fixed", func(p int) bool { return p == 150 })
	c.set(0)
	c.stop()
	if got := debug.SetGCPercent(before); got != before {
		t.Errorf("after the end the runtime has %d %%, want %d as before", got, before)
	}
}

// TestTune lets the environment win.
func TestTune(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	defer func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}()
	in := func() (int64, int) {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return debug.SetMemoryLimit(-1), p
	}
	r := configs.Runtime{MemoryLimit: configs.MemoryLimit{Size: 4 * configs.GiB}, GCPercent: 70}
	a := &App{logs: &Logs{Log: slog.New(slog.DiscardHandler)}, shared: newShared()}
	t.Setenv("GOMEMLIMIT", "8GiB") // the runtime has read it long ago
	t.Setenv("GOGC", "90")
	a.tune(r)
	if l, p := in(); l != limit || p != 100 {
		t.Errorf("against the environment: %d bytes, %d %%", l, p)
	}
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "")
	a.tune(r)
	if l, p := in(); l != 4<<30 || p != 70 {
		t.Errorf("%d bytes, %d %%, want 4 GiB and 70 %%", l, p)
	}
}

// TestLately: what was in use for a moment counts for some collections.
func TestLately(t *testing.T) {
	var c collector
	for i, step := range []struct{ now, want uint64 }{{8, 8}, {56, 56}, {8, 49}, {8, 42}, {60, 60}} {
		if got := c.lately(step.now); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
	for range 30 {
		c.lately(8)
	}
	if got := c.lately(8); got != 8 {
		t.Errorf("in the end it is %d", got)
	}
}
