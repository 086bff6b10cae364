package app

import (
	"net/netip"
	"testing"
	"time"

	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/ratelimit"
)

// TestBlame: what a visit is blamed for, by who it is. One offence of a kind is too
// many here.
func TestBlame(t *testing.T) {
	const stranger, known = "192.0.2.1", "192.0.2.2"
	for _, test := range []struct {
		addr  string
		fault proxy.Fault
		want  int // bans
	}{
		{stranger, proxy.NoFault, 0},
		{stranger, proxy.FaultCredentials, 1},
		{stranger, proxy.FaultProtocol, 1},
		{stranger, proxy.FaultSilence, 1},
		{known, proxy.FaultSilence, 0}, // a device that sleeps
		{known, proxy.FaultProtocol, 1},
	} {
		now, bans := time.Now(), ratelimit.NewBans()
		rule := ratelimit.BanRule{Max: 1, Window: time.Hour, Ban: time.Hour}
		bans.SetRules(map[ratelimit.Offence]ratelimit.BanRule{ratelimit.AuthFailure: rule, ratelimit.ProtocolError: rule}, ratelimit.Exempt{})
		gate := ratelimit.NewGate(ratelimit.Limits{}, bans, nil)
		come := func(addr string) visit {
			v, refusal := gate.Admit(now, netip.MustParseAddr(addr))
			if refusal != "" {
				t.Fatal(refusal)
			}
			return visit{v}
		}
		friend := come(known)
		friend.Enter(now, proxy.Newcomer{ClientID: "a"})
		friend.Leave(now, proxy.NoFault)
		for range 2 {
			come(test.addr).Leave(now, test.fault)
		}
		if got := bans.List(now); len(got) != test.want {
			t.Errorf("%s, fault %d: banned %+v", test.addr, test.fault, got)
		}
	}
}
