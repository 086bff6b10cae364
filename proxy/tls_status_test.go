package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/proxy"
)

// TestStatus: somebody is asked about each client's chain, in full handshakes, in
// resumed ones and about running sessions. The time for that ends with that for the
// handshake.
func TestStatus(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				id, clients := newIdentity(t, "broker.example"), newCA(t, "clients")
				cert := issue(t, clients, pki.Options{CN: "plc-7", Client: true})
				asked, answer := 0, error(nil)
				start := time.Now()
				status := func(ctx context.Context, chain []*x509.Certificate) error {
					asked++
					if len(chain) != 2 || !chain[0].Equal(cert.Leaf) || chain[1].Subject.CommonName != "clients" {
						t.Errorf("asked about %v", chain)
					}
					if d, ok := ctx.Deadline(); !ok || !d.Equal(start.Add(handshakeTimeout)) {
						t.Errorf("asked to answer until %v, %v; want the end of the handshake", d, ok)
					}
					return answer
				}
				h := open(t, withTLS(id, clientAuth(tls.RequireAndVerifyClientCert, clients), func(o *proxy.TLSOptions) { o.Status = status }),
					func(p *proxy.Policy) {
						p.Authn = authenticate(func(context.Context, filters.Credentials) (filters.Identity, error) {
							return filters.Identity{Username: "x", Method: "test"}, nil
						})
					})
				defer h.close()
				cfg := id.client(cert)
				cfg.MaxVersion, cfg.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
				expect := func(n int) {
					t.Helper()
					if asked != n {
						t.Errorf("asked %d times, want %d", asked, n)
					}
				}
				h.accepted(cfg)
				expect(1)
				if _, _, state := h.accepted(cfg); !state.DidResume {
					t.Error("the second handshake is not resumed")
				}
				expect(2)
				answer = errors.New("revoked")
				client, conn, err := h.secure(cfg)
				if err == nil {
					_, err = conn.Read(make([]byte, 1))
				}
				if err == nil {
					t.Error("accepted though revoked")
				}
				client.Close()
				expect(3)
				ctx, cancel := context.WithTimeout(t.Context(), handshakeTimeout)
				defer cancel()
				if err := h.policy.TLS.Recheck(ctx, []*x509.Certificate{cert.Leaf}); err == nil || err.Error() != "revoked" {
					t.Errorf("about a running session: %v", err)
				}
				expect(4)
			})
		})
	}
}

// TestSlowStatus: a judge that says nothing keeps a handshake no longer than it may
// take.
func TestSlowStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id, clients := newIdentity(t, "broker.example"), newCA(t, "clients")
		silent := func(o *proxy.TLSOptions) {
			o.Status = func(ctx context.Context, _ []*x509.Certificate) error {
				<-ctx.Done()
				return ctx.Err()
			}
		}
		h := open(t, withTLS(id, clientAuth(tls.RequireAndVerifyClientCert, clients), silent))
		defer h.close()
		start := time.Now()
		client, conn, err := h.secure(id.client(issue(t, clients, pki.Options{CN: "plc-7", Client: true})))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		if took := time.Since(start); err == nil || took < handshakeTimeout || took > handshakeTimeout+lingering {
			t.Errorf("after %v: %v", took, err)
		}
		client.Close()
		h.expectEnd("refused tls_handshake")
	})
}

// TestStapled: each client gets the answer about the certificate that it gets, by its
// name as without answers.
func TestStapled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newIdentity(t, "one.example"), newIdentity(t, "two.example")
		answers := [][]byte{[]byte("about one"), nil}
		h := open(t, withTLS(one, func(o *proxy.TLSOptions) {
			o.Certificates = append(o.Certificates, two.pair)
			o.Staple = func(i int) []byte { return answers[i] }
		}))
		defer h.close()
		expect := func(asks string, gets identity, answer string) {
			t.Helper()
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				_, _, state := h.accepted(&tls.Config{ServerName: asks, InsecureSkipVerify: true, MaxVersion: version})
				if got := state.PeerCertificates[0].Subject.CommonName; got != gets.name || string(state.OCSPResponse) != answer {
					t.Errorf("the client asked for %q and got %q, %q", asks, got, state.OCSPResponse)
				}
			}
		}
		expect("one.example", one, "about one")
		expect("two.example", two, "")
		answers[1] = []byte("about two")
		expect("two.example", two, "about two")
		expect("other.example", one, "about one")
		expect("", one, "about one")
	})
}
