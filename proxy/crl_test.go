package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
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

// revoke gives a listener the list of an authority.
func revoke(t *testing.T, ca *pki.CA, until time.Duration, serials ...*big.Int) func(*proxy.TLSOptions) {
	t.Helper()
	text, err := ca.CRL(time.Now().Add(until), serials...)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *proxy.TLSOptions) { o.CRLs = append(o.CRLs, list) }
}

// TestRevoked shows who gets in beside a list, in new handshakes and in resumed
// ones after a reload, and whose running session may go on.
func TestRevoked(t *testing.T) {
	const lifetime = time.Hour
	tests := []struct {
		name     string
		mode     tls.ClientAuthType
		until    time.Duration
		revoked  bool
		accepted bool
	}{
		{"not on the list", tls.RequireAndVerifyClientCert, lifetime, false, true},
		{"on the list", tls.RequireAndVerifyClientCert, lifetime, true, false},
		{"on the list, where none is needed", tls.VerifyClientCertIfGiven, lifetime, true, false},
		{"list out of date", tls.RequireAndVerifyClientCert, -time.Second, false, false},
	}
	for _, tt := range tests {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tt.name+", "+tls.VersionName(version), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					id, clients := newIdentity(t, "broker.example"), newCA(t, "clients")
					cert := issue(t, clients, pki.Options{CN: "plc-7", Client: true})
					on := big.NewInt(4711)
					if tt.revoked {
						on = cert.Leaf.SerialNumber
					}
					anyone := func(p *proxy.Policy) {
						p.Authn = authenticate(func(context.Context, filters.Credentials) (filters.Identity, error) {
							return filters.Identity{Username: "x", Method: "test"}, nil
						})
					}
					h := open(t, withTLS(id, clientAuth(tt.mode, clients)), anyone)
					defer h.close()
					fresh := id.client(cert)
					fresh.MaxVersion = version
					resuming := fresh.Clone()
					resuming.ClientSessionCache = tls.NewLRUClientSessionCache(1)
					h.accepted(resuming)

					after := h.newPolicy(withTLS(id, clientAuth(tt.mode, clients), revoke(t, clients, tt.until, on)), anyone)
					h.listener.SetPolicy(after)
					if err := after.TLS.Recheck(t.Context(), []*x509.Certificate{cert.Leaf}); (err == nil) != tt.accepted {
						t.Errorf("the running session: %v, want accepted: %v", err, tt.accepted)
					}
					for name, cfg := range map[string]*tls.Config{"resumed": resuming, "new": fresh} {
						if tt.accepted {
							if _, _, state := h.accepted(cfg); state.DidResume != (name == "resumed") {
								t.Errorf("a %s connection is resumed: %v", name, state.DidResume)
							}
							continue
						}
						client, conn, err := h.secure(cfg)
						if err == nil {
							_, err = conn.Read(make([]byte, 1))
						}
						if err == nil || err == io.EOF || !strings.Contains(err.Error(), "remote error: tls: ") {
							t.Errorf("a %s connection sees %v, want an alert of TLS", name, err)
						}
						client.Close()
					}
				})
			})
		}
	}
}

// TestListRunsOut: a list that nobody replaces shuts its authority out.
func TestListRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := newCA(t, "clients")
		o := proxy.TLSOptions{}
		clientAuth(tls.RequireAndVerifyClientCert, clients)(&o)
		revoke(t, clients, time.Hour)(&o)
		chain := []*x509.Certificate{issue(t, clients, pki.Options{CN: "plc-7", Client: true}).Leaf}
		on := proxy.NewTLS(o)
		if err := on.Recheck(t.Context(), chain); err != nil {
			t.Errorf("refused while the list is in date: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if err := on.Recheck(t.Context(), chain); err == nil || !strings.Contains(err.Error(), `the CRL of "CN=clients" is out of date since `) {
			t.Errorf("once the list is out of date: %v", err)
		}
	})
}
