package proxy_test

import (
	"context"
	"crypto/tls"
	"io"
	"testing"
	"testing/synctest"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/proxy"
)

// TestCertificateReload swaps the certificate under running sessions.
func TestCertificateReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := newIdentity(t, "broker.example"), newIdentity(t, "broker.example")
		h := open(t, withTLS(old))
		defer h.close()
		client, broker, _ := h.accepted(old.client())
		h.listener.SetPolicy(h.newPolicy(withTLS(next)))
		client.Send(mqtttest.Pingreq())
		broker.Expect("The session goes on.", mqtttest.Pingreq())
		h.accepted(next.client())
		broker.Send(mqtttest.Pingresp())
		client.Expect("It still does.", mqtttest.Pingresp())
		refused, _, err := h.secure(old.client())
		if err == nil {
			t.Error("a new connection is served with the old certificate")
		}
		refused.Close()
	})
}

// TestResumption resumes sessions, over a reload too, and takes the right away
// when the authority of the client is withdrawn.
func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				id, clients, others := newIdentity(t, "broker.example"), newCA(t, "clients"), newCA(t, "others")
				require := tls.RequireAndVerifyClientCert
				h := open(t, withTLS(id, clientAuth(require, clients)))
				defer h.close()
				var seen string
				h.policy.Authn = authenticate(func(_ context.Context, c filters.Credentials) (filters.Identity, error) {
					seen = c.Certificate.Subject.CommonName
					return filters.Identity{Username: "x", Method: "test"}, nil
				})
				authn := func(p *proxy.Policy) { p.Authn = h.policy.Authn }
				cfg := id.client(issue(t, clients, pki.Options{CN: "plc-7", Client: true}))
				cfg.ClientSessionCache, cfg.MaxVersion = tls.NewLRUClientSessionCache(1), version

				_, _, state := h.accepted(cfg)
				if state.DidResume {
					t.Error("the first connection is a resumed one")
				}
				h.listener.SetPolicy(h.newPolicy(withTLS(id, clientAuth(require, clients)), authn))
				seen = ""
				if _, _, state = h.accepted(cfg); !state.DidResume {
					t.Error("the second connection is not resumed")
				}
				if seen != "plc-7" {
					t.Errorf("the authentication sees %q, want the certificate of the first connection", seen)
				}
				if n := h.seen.count("handshake resumed"); n != 1 {
					t.Errorf("%d resumptions counted, want 1", n)
				}

				h.listener.SetPolicy(h.newPolicy(withTLS(id, clientAuth(require, others)), authn))
				client, conn, err := h.secure(cfg)
				if err == nil {
					_, err = conn.Read(make([]byte, 1))
				}
				if err == nil || err == io.EOF {
					t.Errorf("a client whose authority was withdrawn sees %v, want a refusal", err)
				}
				client.Close()
			})
		})
	}
}

// TestTruncation has a TLS client whose connection is cut: what it sent before
// goes on, and its Will is due.
func TestTruncation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		h := open(t, withTLS(id))
		defer h.close()
		client, broker, _ := h.accepted(id.client())
		client.Send(mqtttest.Pingreq())
		tlsConn, ok := client.Conn.(*tls.Conn)
		if !ok {
			t.Fatal("no TLS")
		}
		tlsConn.NetConn().Close()
		broker.Expect("What came before the cut goes on.", mqtttest.Pingreq())
		broker.ExpectClose("There is no DISCONNECT.")
		broker.Close()
		h.expectEnd("ended client_closed")
	})
}
