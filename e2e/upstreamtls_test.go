package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/pki"
)

// startTLSBroker starts a broker that wants TLS, and certificates of its CA, whose
// names are user names.
func startTLSBroker(t *testing.T, ca *pki.CA) *broker {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.crt"), string(ca.PEM()))
	issue(t, ca, dir, "broker", pki.Options{CN: "broker", DNS: []string{"broker.example"}})
	return startBroker(t,
		"cafile "+filepath.Join(dir, "ca.crt"), "certfile "+filepath.Join(dir, "broker.crt"), "keyfile "+filepath.Join(dir, "broker.key"),
		"require_certificate true", "use_identity_as_username true")
}

// The proxy proves itself to a broker that wants certificates. With another one on the
// disk new sessions have that from the next reload on, and those that run stay.
func TestMutualTLSUpstream(t *testing.T) {
	t.Parallel()
	ca := newCA("broker CA")
	b := startTLSBroker(t, ca)
	gateway := func(dir, name string) { issue(t, ca, dir, "gw", pki.Options{CN: name, Client: true}) }
	s := settings{
		broker:  b.address(),
		backend: ", tls: {ca: broker-ca.crt, cert: gw.crt, key: gw.key, server_name: broker.example}, health: {interval: 1s}",
	}
	dir := proxyFolder(t, s)
	write(t, filepath.Join(dir, "broker-ca.crt"), string(ca.PEM()))
	gateway(dir, "gateway-1")
	p := startProxyIn(t, dir)
	p.awaitServer(t, b.address(), 1)
	// user waits for the name under which the broker has a client.
	user := func(id, name string) {
		t.Helper()
		b.out.await(t, " as "+id+" (p5, c1, k60, u'"+name+"').", 1)
	}
	first := p.come(t, "first")
	first.echoes(t, "first")
	user("first", "gateway-1")
	gateway(dir, "gateway-2")
	p.come(t, "before").echoes(t, "before")
	user("before", "gateway-1")
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	p.come(t, "second").echoes(t, "second")
	user("second", "gateway-2")
	first.echoes(t, "first")
}

// A broker that is not what it should be gets no session, nor does a proxy that is not
// what the broker wants, and the operator is told why.
func TestNoTrustUpstream(t *testing.T) {
	t.Parallel()
	ca := newCA("broker CA")
	b := startTLSBroker(t, ca)
	for name, test := range map[string]struct{ tls, why string }{
		"wrong CA":       {"{ca: ca.crt, cert: gw.crt, key: gw.key, server_name: broker.example}", "certificate signed by unknown authority"},
		"wrong name":     {"{ca: broker-ca.crt, cert: gw.crt, key: gw.key, server_name: other.example}", "certificate is valid for broker.example, not other.example"},
		"no name":        {"{ca: broker-ca.crt, cert: gw.crt, key: gw.key}", "cannot validate certificate for 127.0.0.1"},
		"no certificate": {"{ca: broker-ca.crt, server_name: broker.example}", "certificate required"},
		"wrong issuer":   {"{ca: broker-ca.crt, cert: stranger.crt, key: stranger.key, server_name: broker.example}", "unknown certificate authority"},
		"plaintext":      {"", ""}, // the end of the connection, or a reset
	} {
		t.Run(name, func(t *testing.T) {
			s := settings{broker: b.address(), backend: ", health: {interval: 0s}, outlier: {failures: 1, max_ejected: 100}"}
			if test.tls != "" {
				s.backend += ", tls: " + test.tls
			}
			dir := proxyFolder(t, s)
			write(t, filepath.Join(dir, "broker-ca.crt"), string(ca.PEM()))
			issue(t, ca, dir, "gw", pki.Options{CN: "gateway", Client: true})
			issue(t, authority(), dir, "stranger", pki.Options{CN: "stranger", Client: true})
			p := startProxyIn(t, dir)
			c := connection("alice")
			c.ClientID = strings.ReplaceAll(name, " ", "-")
			p.refused5(t, c, 0x88)
			e := p.awaitEvent(t, event{"msg": "connection refused", "end": "backend_unavailable"})
			if why, _ := e["error"].(string); !strings.Contains(why, test.why) {
				t.Errorf("error %q, want %q", why, test.why)
			}
			if b.sessions(c.ClientID) != 0 {
				t.Error("the broker has a session")
			}
		})
	}
}
