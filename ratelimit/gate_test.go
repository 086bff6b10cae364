package ratelimit

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// admit returns why addr was refused; "" is the address of a Unix socket.
func admit(g *Gate, now time.Time, addr string) Refusal {
	var a netip.Addr
	if addr != "" {
		a = netip.MustParseAddr(addr)
	}
	_, refusal := g.Admit(now, a)
	return refusal
}

func newGate(limits Limits) *Gate { return NewGate(limits, NewBans(), nil) }

func TestPrefix(t *testing.T) {
	for addr, want := range map[string]struct{ prefix, network string }{
		"192.0.2.1":              {"192.0.2.1/32", "192.0.0.0/16"},
		"::ffff:192.0.2.1":       {"192.0.2.1/32", "192.0.0.0/16"},
		"2001:db8:1:2:3:4:5:6":   {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"fe80::1%eth0":           {"fe80::/64", "fe80::/48"},
		"::ffff:192.0.2.1%zone0": {"192.0.2.1/32", "192.0.0.0/16"},
	} {
		a := netip.MustParseAddr(addr)
		if prefix, network := usualPrefix.of(a), usualNetwork.of(a); prefix.String() != want.prefix || network.String() != want.network {
			t.Errorf("%s is of %v in %v", addr, prefix, network)
		}
	}
	if usualPrefix.of(netip.Addr{}).IsValid() {
		t.Error("the prefix of no address is valid")
	}
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		addrs  []string
		want   Refusal // of the last
	}{
		{"total", Limits{Total: 2}, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, MaxConnections},
		{"total, Unix socket", Limits{Total: 1}, []string{"", ""}, MaxConnections},
		{"total reached", Limits{Total: 2}, []string{"192.0.2.1", ""}, ""},
		{"per prefix", Limits{PerPrefix: 1}, []string{"192.0.2.1", "192.0.2.1"}, MaxConnectionsPerIP},
		{"per prefix, other address", Limits{PerPrefix: 1}, []string{"192.0.2.1", "192.0.2.2"}, ""},
		{"per prefix, mapped", Limits{PerPrefix: 1}, []string{"192.0.2.1", "::ffff:192.0.2.1"}, MaxConnectionsPerIP},
		{"per prefix, same /64", Limits{PerPrefix: 1}, []string{"2001:db8::1", "2001:db8::2"}, MaxConnectionsPerIP},
		{"per prefix, other /64", Limits{PerPrefix: 1}, []string{"2001:db8::1", "2001:db8:0:1::1"}, ""},
		{"per prefix, Unix socket", Limits{PerPrefix: 1, PerPrefixRate: Rate{1, 1}}, []string{"", ""}, ""},
		{"rate", Limits{Rate: Rate{1, 1}}, []string{"192.0.2.1", "192.0.2.2"}, ConnectRate},
		{"rate, Unix socket", Limits{Rate: Rate{1, 1}}, []string{"", ""}, ConnectRate},
		{"rate per prefix", Limits{PerPrefixRate: Rate{1, 1}}, []string{"2001:db8::1", "2001:db8::2"}, ConnectRatePerIP},
		{"rate per prefix, other", Limits{PerPrefixRate: Rate{1, 1}}, []string{"192.0.2.1", "192.0.2.2"}, ""},
		{"per network", Limits{PerNetwork: 2}, []string{"192.0.2.1", "192.0.9.2", "192.0.2.3"}, MaxConnectionsPerNetwork},
		{"per network, other", Limits{PerNetwork: 2}, []string{"192.0.2.1", "192.0.9.2", "192.1.2.3"}, ""},
		{"per network, same /48", Limits{PerNetwork: 1}, []string{"2001:db8:1:2::1", "2001:db8:1:3::1"}, MaxConnectionsPerNetwork},
		{"rate per network", Limits{PerNetworkRate: Rate{1, 2}}, []string{"192.0.2.1", "192.0.9.2", "192.0.2.3"}, ConnectRatePerNetwork},
		{"bits that were set", Limits{PerPrefix: 1, Prefix: Bits{24, 56}}, []string{"192.0.2.1", "192.0.2.2"}, MaxConnectionsPerIP},
		{"network bits that were set", Limits{PerNetwork: 1, Network: Bits{8, 32}}, []string{"10.1.0.1", "10.2.0.1"}, MaxConnectionsPerNetwork},
		{"strangers leave an eighth", Limits{Total: 8}, strings.Fields("192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7 192.0.2.8"), Reserved},
		{"zero is no limit", Limits{}, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, ""},
	}
	for _, test := range tests {
		g := newGate(test.limits)
		for i, addr := range test.addrs {
			var want Refusal
			if i == len(test.addrs)-1 {
				want = test.want
			}
			if refusal := admit(g, start, addr); refusal != want {
				t.Errorf("%s: connection %d: %v", test.name, i, refusal)
			}
		}
	}
}

func TestLeave(t *testing.T) {
	g := newGate(Limits{Total: 2, PerPrefix: 1})
	first, refusal := g.Admit(start, netip.MustParseAddr("192.0.2.1"))
	if refusal != "" {
		t.Fatal(refusal)
	}
	if refusal := admit(g, start, "192.0.2.2"); refusal != "" {
		t.Fatal(refusal)
	}
	first.Leave(start, "")
	if g.Open() != 1 {
		t.Errorf("%d are open after one of two has left", g.Open())
	}
	if len(g.prefixes) != 1 {
		t.Errorf("%d prefixes are kept for one connection", len(g.prefixes))
	}
	if refusal := admit(g, start, "192.0.2.1"); refusal != "" {
		t.Errorf("after it has left: %v", refusal)
	}
	if v, refusal := g.Admit(start, netip.MustParseAddr("192.0.2.3")); refusal == "" || v != nil {
		t.Error("left once, admitted twice")
	}
}

func TestSetLimits(t *testing.T) {
	rates := Limits{Rate: Rate{PerSecond: 1, Burst: 3}, PerPrefixRate: Rate{PerSecond: 1, Burst: 2}}
	g := newGate(rates)
	for range 2 {
		if refusal := admit(g, start, "192.0.2.1"); refusal != "" {
			t.Fatal(refusal)
		}
	}

	counts := rates
	counts.PerPrefix = 2
	g.SetLimits(counts)
	if refusal := admit(g, start, "192.0.2.1"); refusal != MaxConnectionsPerIP {
		t.Errorf("connections of before do not count: %v", refusal)
	}
	counts.PerPrefix = 0
	g.SetLimits(counts)
	if refusal := admit(g, start, "192.0.2.1"); refusal != ConnectRatePerIP {
		t.Errorf("a rate that did not change began anew: %v", refusal)
	}
	if refusal := admit(g, start, "192.0.2.2"); refusal != "" {
		t.Fatal(refusal)
	}
	if refusal := admit(g, start, "192.0.2.3"); refusal != ConnectRate {
		t.Errorf("a rate that did not change began anew: %v", refusal)
	}
	g.SetLimits(Limits{})
	if refusal := admit(g, start, "192.0.2.1"); refusal != "" {
		t.Errorf("without limits: %v", refusal)
	}
	if g.Open() != 4 {
		t.Errorf("%d are open, want 4", g.Open())
	}
}

func TestGateConcurrently(t *testing.T) {
	const total = 10
	g := newGate(Limits{Total: total, PerPrefix: 4})
	addrs := []netip.Addr{
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"),
		netip.MustParseAddr("2001:db8::1"),
		{},
	}
	var open atomic.Int64
	var wg sync.WaitGroup
	for worker := range 32 {
		wg.Go(func() {
			for range 500 {
				v, refusal := g.Admit(start, addrs[worker%len(addrs)])
				if refusal != "" {
					continue
				}
				if n := open.Add(1); n > total {
					t.Errorf("%d are open", n)
				}
				open.Add(-1)
				if worker%2 == 0 {
					v.Claim(start, "u", "")
					v.Enter(start, Entry{Identity: "u", ClientID: "c"})
				}
				v.Leave(start, "")
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			g.SetLimits(Limits{Total: total, PerPrefix: 4, Rate: Rate{PerSecond: 1, Burst: 1 << 20}})
			g.SetLimits(Limits{Total: total, PerPrefix: 4})
		}
	})
	wg.Wait()
	if g.Open()+g.strangers+len(g.prefixes)+len(g.networks)+len(g.identities) != 0 {
		t.Errorf("after all have left: %d open, %d strangers, prefixes %v, networks %v, identities %v",
			g.open, g.strangers, g.prefixes, g.networks, g.identities)
	}
}

func BenchmarkAdmit(b *testing.B) {
	g := newGate(Limits{
		Total: 10000, PerPrefix: 100, Rate: Rate{1e9, 1e9}, PerPrefixRate: Rate{1e9, 1e9},
	})
	addr := netip.MustParseAddr("192.0.2.1")
	for b.Loop() {
		v, refusal := g.Admit(start, addr)
		if refusal != "" {
			b.Fatal(refusal)
		}
		v.Leave(start, "")
	}
}

// TestHold: what is nobody's yet takes a place of all, and nothing else of anybody.
func TestHold(t *testing.T) {
	now := time.Now()
	g := newGate(Limits{Total: 2, PerPrefix: 1, Rate: Rate{1, 1}})
	first, refusal := g.Hold()
	if refusal != "" {
		t.Fatal(refusal)
	}
	second, refusal := g.Hold()
	if refusal != "" {
		t.Fatalf("the second: %s", refusal)
	}
	if _, refusal := g.Hold(); refusal != MaxConnections {
		t.Errorf("more than there may be: %q", refusal)
	}
	second.Leave(now, ProtocolError)
	first.Leave(now, "")
	if n := g.Open(); n != 0 {
		t.Errorf("%d are open", n)
	}
	if refusal := admit(g, now, "192.0.2.1"); refusal != "" {
		t.Errorf("it has taken the rate of who comes: %s", refusal)
	}
	if refusal := admit(g, now, "192.0.2.2"); refusal != ConnectRate {
		t.Errorf("who comes is not counted: %q", refusal)
	}
	full := NewGate(Limits{}, NewBans(), func() float64 { return 1 })
	if _, refusal := full.Hold(); refusal != NoMemory {
		t.Errorf("without memory: %q", refusal)
	}
}
