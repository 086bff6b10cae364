package ratelimit

import (
	"net/netip"
	"sync"
	"time"
)

// Refusal is why a connection was turned away, empty if it was not. The string
// is stable: it labels metrics.
type Refusal string

// The refusals, in the order in which a Gate looks for them.
const (
	DeniedNetwork       Refusal = "denied_network"
	MaxConnectionsPerIP Refusal = "max_connections_per_ip"
	MaxConnections      Refusal = "max_connections"
	ConnectRatePerIP    Refusal = "connect_rate_per_ip"
	ConnectRate         Refusal = "connect_rate"
)

// Limits is what a Gate admits. A zero number is no limit.
type Limits struct {
	Total, PerPrefix    int  // connections that are open at once
	Rate, PerPrefixRate Rate // connections a second
}

// maxPrefixes is for how many prefixes a Gate knows the rate. More prefixes
// share buckets.
const maxPrefixes = 1 << 16

// Gate admits connections by their source, before anything is spent on them.
// It counts by Prefix. Its methods may be called from many goroutines.
//
// It refuses for what concerns the source alone before what concerns all, and
// counts before rates, which a question uses up: a source over its own limits
// takes nothing from others. A connection refused for the rate of all has
// cost its source a token, and no more.
type Gate struct {
	mu         sync.Mutex
	limits     Limits
	open       int
	prefixes   map[netip.Prefix]int // open connections; none is zero
	rate       *Bucket
	prefixRate *Keyed[netip.Prefix]
}

// NewGate returns a gate without open connections.
func NewGate(limits Limits) *Gate {
	g := &Gate{prefixes: make(map[netip.Prefix]int)}
	g.SetLimits(limits)
	return g
}

// SetLimits changes the limits for the connections to come. Those that are
// open stay and count. A rate that did not change keeps its state.
func (g *Gate) SetLimits(limits Limits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rate == nil || limits.Rate != g.limits.Rate {
		g.rate = NewBucket(limits.Rate)
	}
	if g.prefixRate == nil || limits.PerPrefixRate != g.limits.PerPrefixRate {
		g.prefixRate = NewKeyed[netip.Prefix](limits.PerPrefixRate, maxPrefixes)
	}
	g.limits = limits
}

// Open returns the number of open connections.
func (g *Gate) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// Admit admits a connection from addr, or returns a Refusal and no release.
// The caller calls release when the connection has ended; only the first call
// counts. The invalid Addr, of a Unix socket, is subject to Total and Rate
// only.
func (g *Gate) Admit(now time.Time, addr netip.Addr) (release func(), refusal Refusal) {
	prefix := Prefix(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if refusal := g.check(now, prefix); refusal != "" {
		return nil, refusal
	}
	g.open++
	if prefix.IsValid() {
		g.prefixes[prefix]++
	}
	return sync.OnceFunc(func() { g.leave(prefix) }), ""
}

func (g *Gate) leave(prefix netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if !prefix.IsValid() {
		return
	}
	if g.prefixes[prefix]--; g.prefixes[prefix] == 0 {
		delete(g.prefixes, prefix)
	}
}

// check looks for a refusal. The caller holds g.mu.
func (g *Gate) check(now time.Time, prefix netip.Prefix) Refusal {
	remote := prefix.IsValid()
	switch {
	case remote && reached(g.limits.PerPrefix, g.prefixes[prefix]):
		return MaxConnectionsPerIP
	case reached(g.limits.Total, g.open):
		return MaxConnections
	case remote && !g.prefixRate.Allow(now, prefix):
		return ConnectRatePerIP
	case !g.rate.Take(now, 1):
		return ConnectRate
	}
	return ""
}

func reached(limit, n int) bool { return limit != 0 && n >= limit }

// Prefix is what one party is taken to hold of the address space: the whole
// of an IPv4 address, the first 64 bits of an IPv6 address. It is invalid if
// addr is.
func Prefix(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	prefix, _ := addr.Prefix(bits) // only too many bits are an error
	return prefix
}
