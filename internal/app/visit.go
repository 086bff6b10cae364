package app

import (
	"net/netip"
	"runtime"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/ratelimit"
)

// visit is what the proxy sees of a ratelimit.Visit.
type visit struct{ *ratelimit.Visit }

// Claim implements proxy.Visit.
func (v visit) Claim(now time.Time, username, certificate string) *proxy.Refusal {
	return refusal(v.Visit.Claim(now, username, certificate))
}

// Enter implements proxy.Visit.
func (v visit) Enter(now time.Time, n proxy.Newcomer) *proxy.Refusal {
	return refusal(v.Visit.Enter(now, ratelimit.Entry{Identity: userName(n.Tenant, n.Username), ClientID: n.ClientID, Taken: n.Taken}))
}

// Leave implements proxy.Visit.
func (v visit) Leave(now time.Time, f proxy.Fault) {
	var o ratelimit.Offence
	switch {
	case f == proxy.FaultCredentials:
		o = ratelimit.AuthFailure
	case f == proxy.FaultProtocol, f == proxy.FaultSilence && v.Rank() < ratelimit.Known: // a device that sleeps is no attack
		o = ratelimit.ProtocolError
	}
	v.Visit.Leave(now, o)
}

// refusal is what a client is told of r.
func refusal(r ratelimit.Refusal) *proxy.Refusal {
	switch r {
	case "":
		return nil
	case ratelimit.Banned:
		return &proxy.Refusal{End: proxy.EndBanned, Code: packets.Banned}
	case ratelimit.MaxConnectionsPerIdentity:
		return &proxy.Refusal{End: proxy.EndIdentity, Code: packets.QuotaExceeded}
	default:
		return &proxy.Refusal{End: proxy.EndBusy, Code: packets.ServerBusy}
	}
}

// admit asks the listener's networks, then the gate that all listeners share.
func (b *builder) admit(networks ratelimit.Networks) proxy.Admit {
	gate := b.shared.gate
	return func(now time.Time, addr netip.Addr) (proxy.Visit, string) {
		if !networks.Permit(addr) {
			return nil, string(ratelimit.DeniedNetwork)
		}
		v, refusal := gate.Admit(now, addr)
		if refusal != "" {
			return nil, string(refusal)
		}
		return visit{v}, ""
	}
}

// balancers are the peers that pass the connections of others to a listener, nil if
// there are none. On a Unix socket they are all who may open it.
func (b *builder) balancers(l *configs.Listener) *proxy.Balancers {
	if l.ProxyProtocol == nil {
		return nil
	}
	gate, unix, named := b.shared.gate, l.Address.Unix(), len(l.ProxyProtocol.Trusted) > 0
	trusted := ratelimit.NewNetworks(l.ProxyProtocol.Trusted, nil) // of an empty list, everybody
	return &proxy.Balancers{
		Trust: func(addr netip.Addr) bool {
			if unix || !addr.IsValid() {
				return unix && !addr.IsValid()
			}
			return named && trusted.Permit(addr)
		},
		Hold: func(time.Time) (proxy.Visit, string) {
			v, refusal := gate.Hold()
			if refusal != "" {
				return nil, string(refusal)
			}
			return visit{v}, ""
		},
	}
}

// halfOfProcessors is how many of them logins may take, with TLS and with passwords
// each. The rest is for the sessions.
func halfOfProcessors() int { return max(1, runtime.GOMAXPROCS(0)/2) }

func gateLimits(cfg *configs.Config) ratelimit.Limits {
	l := &cfg.Limits
	return ratelimit.Limits{
		Total:          l.MaxConnections,
		PerPrefix:      l.MaxConnectionsPerIP,
		PerNetwork:     l.MaxConnectionsPerNetwork,
		PerIdentity:    l.MaxConnectionsPerIdentity,
		Guesses:        guesses(l.AuthFailures),
		Rate:           rateOf(l.ConnectRate),
		PerPrefixRate:  rateOf(l.ConnectRatePerIP),
		PerNetworkRate: rateOf(l.ConnectRatePerNetwork),
		Prefix:         ratelimit.Bits{V4: l.AddressPrefix.IPv4, V6: l.AddressPrefix.IPv6},
		Network:        ratelimit.Bits{V4: l.NetworkPrefix.IPv4, V6: l.NetworkPrefix.IPv6},
	}
}

// guesses are as many as lock a name where nobody has logged in.
func guesses(r configs.BanRule) ratelimit.Rate {
	if r.Max == 0 {
		return ratelimit.Rate{}
	}
	return ratelimit.Rate{PerSecond: float64(r.Max) / r.Window.Seconds(), Burst: r.Max}
}

func rateOf(r configs.Rate) ratelimit.Rate {
	return ratelimit.Rate{PerSecond: r.PerSecond, Burst: r.Burst}
}
