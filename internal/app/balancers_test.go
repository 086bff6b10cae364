package app

import (
	"net/netip"
	"testing"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/ratelimit"
)

// TestTrust: nobody is believed who is not named, whatever else went wrong.
func TestTrust(t *testing.T) {
	b := &builder{shared: newShared()}
	named := &configs.Balancers{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/30"), netip.MustParsePrefix("2001:db8::5/128")}}
	for _, tt := range []struct {
		name      string
		address   configs.Address
		balancers *configs.Balancers
		trusted   []string // "": no address
		others    []string
	}{
		{"named", ":1883", named, []string{"10.0.0.1", "::ffff:10.0.0.2", "2001:db8::5"}, []string{"10.0.0.4", "2001:db8::6", ""}},
		{"nobody", ":1883", &configs.Balancers{}, nil, []string{"10.0.0.1", "127.0.0.1", ""}},
		{"a socket", "unix:/mqtt", &configs.Balancers{}, []string{""}, []string{"10.0.0.1", "127.0.0.1"}},
	} {
		trust := b.balancers(&configs.Listener{Address: tt.address, ProxyProtocol: tt.balancers}).Trust
		for want, list := range map[bool][]string{true: tt.trusted, false: tt.others} {
			for _, text := range list {
				addr, _ := netip.ParseAddr(text)
				if trust(addr) != want {
					t.Errorf("%s: %q is trusted: %v", tt.name, text, !want)
				}
			}
		}
	}
	if b.balancers(&configs.Listener{Address: ":1883"}) != nil {
		t.Error("there are balancers where none were said")
	}
}

// TestClientsOfBalancer: the limits are those of each client, the balancer has none of
// them, and what a connection did that is nobody's bans nobody.
func TestClientsOfBalancer(t *testing.T) {
	b := &builder{shared: newShared()}
	b.shared.gate.SetLimits(ratelimit.Limits{Total: 500, PerPrefix: 100, Rate: ratelimit.Rate{PerSecond: 1e-6, Burst: 400}})
	l := &configs.Listener{Address: ":1883", ProxyProtocol: &configs.Balancers{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}}}
	hold, admit, now := b.balancers(l).Hold, b.admit(ratelimit.NewNetworks(nil, nil)), time.Now()
	pass := func(addr netip.Addr) string {
		held, refusal := hold(now)
		if refusal != "" {
			return refusal
		}
		held.Leave(now, proxy.NoFault)
		_, refusal = admit(now, addr)
		return refusal
	}
	client := netip.MustParseAddr("100.64.0.0")
	for range 200 {
		client = client.Next()
		if refusal := pass(client); refusal != "" {
			t.Fatalf("%v: %s", client, refusal)
		}
	}
	for i := range 100 {
		if refusal, last := pass(client), i == 99; (refusal == string(ratelimit.MaxConnectionsPerIP)) != last {
			t.Fatalf("%v, connection %d: %q", client, i+2, refusal)
		}
	}
	for range 300 {
		held, refusal := hold(now)
		if refusal != "" {
			t.Fatal(refusal)
		}
		held.Leave(now, proxy.FaultProtocol)
	}
	if refusal := pass(netip.MustParseAddr("10.0.0.5")); refusal != "" {
		t.Errorf("the balancer for itself: %s", refusal)
	}
}

// TestNetworksOfBalancer: allow and deny are asked about the clients, whatever form their
// addresses come in, and not about the balancer.
func TestNetworksOfBalancer(t *testing.T) {
	b := &builder{shared: newShared()}
	prefix := func(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
	l := &configs.Listener{Address: ":1883", ProxyProtocol: &configs.Balancers{Trusted: prefix("10.0.0.5/32")}}
	hold, admit, now := b.balancers(l).Hold, b.admit(ratelimit.NewNetworks(prefix("203.0.113.0/24"), prefix("203.0.113.8/29"))), time.Now()
	if _, refusal := hold(now); refusal != "" {
		t.Errorf("the balancer: %s", refusal)
	}
	for text, want := range map[string]string{
		"203.0.113.7": "", "::ffff:203.0.113.7": "",
		"203.0.113.9": "denied_network", "::ffff:203.0.113.9": "denied_network", "10.0.0.5": "denied_network", "2001:db8::7": "denied_network",
	} {
		if _, refusal := admit(now, netip.MustParseAddr(text)); refusal != want {
			t.Errorf("%s: %q, want %q", text, refusal, want)
		}
	}
}
