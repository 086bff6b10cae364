package proxy_test

import (
	"context"
	"crypto/tls"
	"io"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/proxy"
)

const ticketLifetime = 24 * time.Hour

// sharing are the tickets of the listener mqtts of a node with secrets.
func sharing(secrets ...string) proxy.Tickets {
	t := proxy.Tickets{Listener: "mqtts", Lifetime: ticketLifetime}
	for _, s := range secrets {
		t.Secrets = append(t.Secrets, filters.Secret(strings.Repeat(s, 32)))
	}
	return t
}

func withTickets(tickets proxy.Tickets) func(*proxy.TLSOptions) {
	return func(o *proxy.TLSOptions) { o.Tickets = tickets }
}

func anyone(p *proxy.Policy) {
	p.Authn = authenticate(func(context.Context, filters.Credentials) (filters.Identity, error) {
		return filters.Identity{Username: "x", Method: "test"}, nil
	})
}

// TestTickets: a client comes to one node and later to another.
func TestTickets(t *testing.T) {
	edit := func(f func(*proxy.Tickets)) proxy.Tickets {
		tickets := sharing("a")
		f(&tickets)
		return tickets
	}
	own, none := proxy.Tickets{}, proxy.Tickets{Disabled: true}
	const period = ticketLifetime / 2
	tests := []struct {
		name          string
		first, second proxy.Tickets
		come, return_ time.Duration // after the beginning of a period
		resumed       bool
	}{
		{"the same secret", sharing("a"), sharing("a"), 0, 0, true},
		{"another secret", sharing("a"), sharing("b"), 0, 0, false},
		{"the next secret is known", sharing("a", "b"), sharing("b", "a"), 0, 0, true},
		{"the last secret is known", sharing("b", "a"), sharing("a", "b"), 0, 0, true},
		{"the secret is not known yet", sharing("b", "a"), sharing("a"), 0, 0, false},
		{"another listener", sharing("a"), edit(func(o *proxy.Tickets) { o.Listener = "local" }), 0, 0, false},
		{"another lifetime", sharing("a"), edit(func(o *proxy.Tickets) { o.Lifetime *= 2 }), 0, 0, false},
		{"a process of its own", own, own, 0, 0, false},
		{"a secret, and none", sharing("a"), own, 0, 0, false},
		{"no tickets are made", none, sharing("a"), 0, 0, false},
		{"no tickets are opened", sharing("a"), none, 0, 0, false},
		{"half a lifetime later", sharing("a"), sharing("a"), period - time.Second, 2*period - time.Second, true},
		{"at the end of the next period", sharing("a"), sharing("a"), time.Second, 2*period - time.Second, true},
		{"after the end of the next period", sharing("a"), sharing("a"), period - time.Second, 2 * period, false},
		{"a lifetime later", sharing("a"), sharing("a"), 0, ticketLifetime, false},
	}
	for _, tt := range tests {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, alpn := range []string{"", "mqtt"} {
				t.Run(tt.name+", "+tls.VersionName(version)+" "+alpn, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						id := newIdentity(t, "broker.example")
						first, second := open(t, withTLS(id, withTickets(tt.first))), open(t, withTLS(id, withTickets(tt.second)))
						defer first.close()
						defer second.close()
						cfg := id.client()
						cfg.MaxVersion, cfg.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
						if alpn != "" {
							cfg.NextProtos = []string{alpn}
						}
						start := time.Now().Truncate(period).Add(period)
						second.accepted(id.client()) // keys that are not of now
						time.Sleep(time.Until(start.Add(tt.come)))
						first.accepted(cfg)
						time.Sleep(time.Until(start.Add(tt.return_)))
						if _, _, state := second.accepted(cfg); state.DidResume != tt.resumed {
							t.Errorf("resumed: %v", state.DidResume)
						}
					})
				})
			}
		}
	}
}

// TestTicketsOff: nothing is resumed at the listener itself either.
func TestTicketsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		h := open(t, withTLS(id, withTickets(proxy.Tickets{Disabled: true})))
		defer h.close()
		cfg := id.client()
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for range 2 {
			if _, _, state := h.accepted(cfg); state.DidResume {
				t.Error("resumed")
			}
		}
	})
}

// TestTicketsJudged: a ticket of another node opens no door that is shut here. Its client
// is refused, unless the node asks for the certificate itself and finds it good.
func TestTicketsJudged(t *testing.T) {
	const none, optional, required = tls.NoClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert
	tests := []struct {
		name          string
		first, second tls.ClientAuthType
		foreign       bool // the second trusts another authority
		revoked       bool // at the second
		later         time.Duration
		in, resumed   bool
	}{
		{"of the same authority", required, required, false, false, 0, true, true},
		{"where none is needed", required, optional, false, false, 0, true, true},
		{"where none is verified", required, none, false, false, 0, true, false},
		{"without a certificate in it", none, required, true, false, 0, false, false},
		{"of another authority", required, required, true, false, 0, false, false},
		{"of another authority, where none is needed", optional, optional, true, false, 0, false, false},
		{"revoked since", required, required, false, true, 0, false, false},
		{"revoked since, where none is needed", required, optional, false, true, 0, false, false},
		{"expired since", required, required, false, false, 2 * time.Hour, false, false},
	}
	for _, tt := range tests {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tt.name+", "+tls.VersionName(version), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					id, clients := newIdentity(t, "broker.example"), newCA(t, "clients")
					trusted := clients
					if tt.foreign {
						trusted = newCA(t, "others")
					}
					cert := issue(t, clients, pki.Options{CN: "plc-7", Client: true, NotAfter: time.Now().Add(time.Hour)})
					list := big.NewInt(4711)
					if tt.revoked {
						list = cert.Leaf.SerialNumber
					}
					share := withTickets(sharing("a"))
					first := open(t, withTLS(id, clientAuth(tt.first, clients), share), anyone)
					second := open(t, withTLS(id, clientAuth(tt.second, trusted), share, revoke(t, clients, 24*time.Hour, list)), anyone)
					defer first.close()
					defer second.close()
					cfg := id.client(cert)
					// Shown whatever the server asks for.
					cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
					cfg.MaxVersion, cfg.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
					first.accepted(cfg)
					time.Sleep(tt.later)
					if tt.in {
						if _, _, state := second.accepted(cfg); state.DidResume != tt.resumed {
							t.Errorf("resumed: %v", state.DidResume)
						}
						return
					}
					client, conn, err := second.secure(cfg)
					if err == nil {
						_, err = conn.Read(make([]byte, 1))
					}
					if err == nil || err == io.EOF || !strings.Contains(err.Error(), "remote error: tls: ") {
						t.Errorf("the client sees %v, want an alert of TLS", err)
					}
					client.Close()
				})
			})
		}
	}
}
