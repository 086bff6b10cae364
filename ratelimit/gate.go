package ratelimit

import (
	"net/netip"
	"sync"
	"time"
)

// Refusal is why a connection was turned away, empty if it was not. The string
// is stable: it labels metrics.
type Refusal string

// The refusals, in the order in which they are looked for: those before Banned
// before anything is spent on a connection, the others when it says who it is.
const (
	DeniedNetwork            Refusal = "denied_network"
	NoMemory                 Refusal = "memory"
	MaxConnectionsPerIP      Refusal = "max_connections_per_ip"
	MaxConnectionsPerNetwork Refusal = "max_connections_per_network"
	MaxConnections           Refusal = "max_connections"
	Reserved                 Refusal = "reserved_connections" // the rest is for those who are known
	ConnectRatePerIP         Refusal = "connect_rate_per_ip"
	ConnectRatePerNetwork    Refusal = "connect_rate_per_network"
	ConnectRate              Refusal = "connect_rate"

	Banned                    Refusal = "banned" // networks right after DeniedNetwork
	Busy                      Refusal = "busy"
	MaxConnectionsPerIdentity Refusal = "max_connections_per_identity"
)

// Limits is what a Gate admits. A zero number is no limit.
type Limits struct {
	Total, PerPrefix    int  // connections that are open at once
	Rate, PerPrefixRate Rate // connections a second

	// Of strangers, and only as long as they have not logged in: a network is many
	// prefixes, of which an attacker may have as many as there are.
	PerNetwork     int
	PerNetworkRate Rate

	PerIdentity int  // connections of one identity at once
	Guesses     Rate // logins that fail, of one user from where the user has logged in before

	Prefix, Network Bits // of what is counted together
}

// Bits is how much of an address counts. The zero Bits stands for the usual: of a
// prefix 32 and 64, of a network 16 and 48.
type Bits struct{ V4, V6 int }

var (
	usualPrefix  = Bits{32, 64}
	usualNetwork = Bits{16, 48}
)

const (
	// maxPrefixes is for how many prefixes, and networks, a Gate knows the rate.
	// More share buckets.
	maxPrefixes = 1 << 16

	maxKnown = 1 << 16
	knownFor = 7 * 24 * time.Hour // since somebody was last logged in
)

// fewStrangers is how many may come of a network until they are a Crowd.
var fewStrangers = Rate{PerSecond: 5, Burst: 20}

// Gate admits connections by their source, before anything is spent on them, and
// then looks at what they say and do. Its methods may be called from many goroutines.
//
// It refuses for what concerns the source alone before what concerns all, and
// counts before rates, which a question uses up: a source over its own limits
// takes nothing from others. A connection refused for the rate of all has
// cost its source a token, and no more.
//
// A prefix from which somebody has logged in is Known, others are Strangers or, if
// many come of their network, a Crowd. A quarter of all connections and of their rate
// is not for the Crowd, and half of that not for Strangers: a flood takes turns with
// itself.
type Gate struct {
	bans   *Bans
	memory func() float64

	known *recent[netip.Prefix]
	usual *recent[login]
	few   *Keyed[netip.Prefix] // networks of which few strangers come

	mu          sync.Mutex
	limits      Limits
	open        int
	strangers   int                  // of these; they have not logged in yet
	prefixes    map[netip.Prefix]int // open connections; none is zero
	networks    map[netip.Prefix]int // of strangers; none is zero
	identities  map[string]int       // of who has logged in; none is zero
	claims      map[claim]int        // of who is logging in; none is zero
	rate        *Bucket
	prefixRate  *Keyed[netip.Prefix]
	networkRate *Keyed[netip.Prefix]
	guesses     *Keyed[login]
}

// NewGate returns a gate without open connections. It obeys and feeds bans; memory
// returns which part of the memory there may be is in use, nil if there is no bound.
func NewGate(limits Limits, bans *Bans, memory func() float64) *Gate {
	if memory == nil {
		memory = func() float64 { return 0 }
	}
	g := &Gate{
		bans: bans, memory: memory,
		known:    newRecent[netip.Prefix](maxKnown, knownFor),
		usual:    newRecent[login](maxKnown, knownFor),
		few:      NewKeyed[netip.Prefix](fewStrangers, maxPrefixes),
		prefixes: make(map[netip.Prefix]int), networks: make(map[netip.Prefix]int), identities: make(map[string]int), claims: make(map[claim]int),
	}
	g.SetLimits(limits)
	return g
}

// SetLimits changes the limits for the connections to come. Those that are
// open stay and count. A rate that did not change keeps its state.
func (g *Gate) SetLimits(limits Limits) {
	if limits.Prefix == (Bits{}) {
		limits.Prefix = usualPrefix
	}
	if limits.Network == (Bits{}) {
		limits.Network = usualNetwork
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rate == nil || limits.Rate != g.limits.Rate {
		g.rate = NewBucket(limits.Rate)
	}
	if g.prefixRate == nil || limits.PerPrefixRate != g.limits.PerPrefixRate {
		g.prefixRate = NewKeyed[netip.Prefix](limits.PerPrefixRate, maxPrefixes)
	}
	if g.networkRate == nil || limits.PerNetworkRate != g.limits.PerNetworkRate {
		g.networkRate = NewKeyed[netip.Prefix](limits.PerNetworkRate, maxPrefixes)
	}
	if g.guesses == nil || limits.Guesses != g.limits.Guesses {
		g.guesses = NewKeyed[login](limits.Guesses, maxKnown)
	}
	g.limits = limits
}

// Open returns the number of open connections.
func (g *Gate) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// Admit admits a connection from addr, or returns a Refusal. The invalid Addr, of a
// Unix socket, is subject to what concerns all only.
//
// A known prefix that was banned for what somebody did there may come in: those who
// have logged in before are not to pay for a neighbour.
func (g *Gate) Admit(now time.Time, addr netip.Addr) (*Visit, Refusal) {
	ban, banned := g.bans.FindAddr(now, addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	v := Visit{gate: g, prefix: g.limits.Prefix.of(addr), network: g.limits.Network.of(addr), banned: banned}
	v.rank = g.rank(now, &v)
	v.stranger = v.rank < Known
	if banned && (ban.Manual || v.stranger) {
		return nil, Banned
	}
	if refusal := g.check(now, &v); refusal != "" {
		return nil, refusal
	}
	g.open++
	if v.prefix.IsValid() {
		g.prefixes[v.prefix]++
	}
	if v.stranger {
		g.strangers++
		g.networks[v.network]++
	}
	admitted := v
	return &admitted, ""
}

// Hold admits a connection that comes from a balancer and is not yet known to be
// anybody's. It takes a place of all as long as that lasts, no token, and nobody is to
// blame for it: when it is known, it leaves, and Admit is asked.
func (g *Gate) Hold() (*Visit, Refusal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.memory() > memoryForNone:
		return nil, NoMemory
	case reached(g.limits.Total, g.open):
		return nil, MaxConnections
	}
	g.open++
	return &Visit{gate: g, rank: Stranger}, ""
}

// rank is that of somebody who has said nothing yet. The caller holds g.mu.
func (g *Gate) rank(now time.Time, v *Visit) int {
	switch {
	case g.known.has(now, v.prefix):
		return Known
	case g.few.Allow(now, v.network):
		return Stranger
	}
	return Crowd
}

// kept is what of n is not for a rank.
func kept(n, rank int) int {
	switch rank {
	case Known:
		return 0
	case Stranger:
		return n / (2 * reserve)
	}
	return n / reserve
}

// check looks for a refusal. The caller holds g.mu.
func (g *Gate) check(now time.Time, v *Visit) Refusal {
	l, remote := &g.limits, v.prefix.IsValid()
	switch {
	case g.memory() > memoryForNone:
		return NoMemory
	case remote && reached(l.PerPrefix, g.prefixes[v.prefix]):
		return MaxConnectionsPerIP
	case remote && v.stranger && reached(l.PerNetwork, g.networks[v.network]):
		return MaxConnectionsPerNetwork
	case reached(l.Total, g.open):
		return MaxConnections
	case v.stranger && reached(l.Total-kept(l.Total, v.rank), g.strangers):
		return Reserved
	case remote && !g.prefixRate.Allow(now, v.prefix):
		return ConnectRatePerIP
	case remote && v.stranger && !g.networkRate.Allow(now, v.network):
		return ConnectRatePerNetwork
	case !g.rate.takeAbove(now, 1, float64(kept(l.Rate.Burst, v.rank))):
		return ConnectRate
	}
	return ""
}

func reached(limit, n int) bool { return limit != 0 && n >= limit }

// of is what one party is taken to hold of the address space. It is invalid if addr
// is.
func (b Bits) of(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	bits := b.V6
	if addr.Is4() {
		bits = b.V4
	}
	prefix, _ := addr.Prefix(bits) // only too many bits are an error
	return prefix
}

// less takes one from a count.
func less[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}
