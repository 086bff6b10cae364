package ratelimit

import (
	"net/netip"
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

func TestPrefix(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":              "192.0.2.1/32",
		"::ffff:192.0.2.1":       "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::/64",
		"fe80::1%eth0":           "fe80::/64",
		"::ffff:192.0.2.1%zone0": "192.0.2.1/32",
	} {
		if got := Prefix(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("Prefix(%s) = %v", addr, got)
		}
	}
	if Prefix(netip.Addr{}).IsValid() {
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
		{"zero is no limit", Limits{}, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, ""},
	}
	for _, test := range tests {
		g := NewGate(test.limits)
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

func TestRelease(t *testing.T) {
	g := NewGate(Limits{Total: 2, PerPrefix: 1})
	first, refusal := g.Admit(start, netip.MustParseAddr("192.0.2.1"))
	if refusal != "" {
		t.Fatal(refusal)
	}
	if refusal := admit(g, start, "192.0.2.2"); refusal != "" {
		t.Fatal(refusal)
	}
	first()
	first()
	if g.Open() != 1 {
		t.Errorf("%d are open after one of two was released twice", g.Open())
	}
	if len(g.prefixes) != 1 {
		t.Errorf("%d prefixes are kept for one connection", len(g.prefixes))
	}
	if refusal := admit(g, start, "192.0.2.1"); refusal != "" {
		t.Errorf("after release: %v", refusal)
	}
	if release, refusal := g.Admit(start, netip.MustParseAddr("192.0.2.3")); refusal == "" || release != nil {
		t.Error("released twice, admitted twice")
	}
}

func TestSetLimits(t *testing.T) {
	rates := Limits{Rate: Rate{PerSecond: 1, Burst: 3}, PerPrefixRate: Rate{PerSecond: 1, Burst: 2}}
	g := NewGate(rates)
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
	g := NewGate(Limits{Total: total, PerPrefix: 4})
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
				release, refusal := g.Admit(start, addrs[worker%len(addrs)])
				if refusal != "" {
					continue
				}
				if n := open.Add(1); n > total {
					t.Errorf("%d are open", n)
				}
				open.Add(-1)
				release()
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
	if g.Open() != 0 || len(g.prefixes) != 0 {
		t.Errorf("%d are open, %d prefixes kept, after all were released", g.Open(), len(g.prefixes))
	}
}

func BenchmarkAdmit(b *testing.B) {
	g := NewGate(Limits{
		Total: 10000, PerPrefix: 100, Rate: Rate{1e9, 1e9}, PerPrefixRate: Rate{1e9, 1e9},
	})
	addr := netip.MustParseAddr("192.0.2.1")
	for b.Loop() {
		release, refusal := g.Admit(start, addr)
		if refusal != "" {
			b.Fatal(refusal)
		}
		release()
	}
}
