package proxy_test

import (
	"sync"
	"time"

	"github.com/mqttward/mqttward/proxy"
)

// guest is a visit that a test steers and looks at. The zero one is let in.
type guest struct {
	h     *house
	known bool
	claim func(username string, certified bool) *proxy.Refusal
	enter func(proxy.Newcomer) *proxy.Refusal

	mu    sync.Mutex
	fault proxy.Fault // of Leave
	left  bool
}

func (g *guest) Known() bool { return g.known }

func (g *guest) Claim(_ time.Time, username string, certified bool) *proxy.Refusal {
	if g.claim == nil {
		return nil
	}
	return g.claim(username, certified)
}

func (g *guest) Enter(_ time.Time, n proxy.Newcomer) *proxy.Refusal {
	if g.enter == nil {
		return nil
	}
	return g.enter(n)
}

func (g *guest) Leave(_ time.Time, f proxy.Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left {
		g.h.t.Error("a visit ends twice")
	}
	g.left, g.fault = true, f
	g.h.slots.Add(-1)
}
