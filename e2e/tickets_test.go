package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/pki"
)

// newTicketSecret is a line as openssl rand -base64 48 makes it.
func newTicketSecret() string {
	secret := make([]byte, 48)
	_, _ = rand.Read(secret) // never fails
	return base64.StdEncoding.EncodeToString(secret) + "\n"
}

// nodes are proxies of the same clients, with one broker.
type nodes struct {
	broker  *broker
	clients *pki.CA
}

// start starts a node with these secrets of tickets, which has revoked these certificates.
func (n *nodes) start(t *testing.T, secrets string, revoked ...*big.Int) *plant {
	t.Helper()
	s := plantSettings(n.broker, "required, crl: [clients.crl], session_tickets: {key_file: tickets.key, lifetime: 168h}")
	s.authn = `[{name: machines, type: certificate}]`
	s.listeners = strings.Replace(s.listeners, "client_ca: ca.crt", "client_ca: clients.crt", 1)
	dir := proxyFolder(t, s)
	write(t, filepath.Join(dir, "clients.crt"), string(n.clients.PEM()))
	write(t, filepath.Join(dir, "clients.crl"), string(newCRL(t, n.clients, revoked...)))
	write(t, filepath.Join(dir, "tickets.key"), secrets)
	issue(t, n.clients, dir, "plc-1", pki.Options{CN: "plc-1", Client: true})
	return &plant{startProxyIn(t, dir), n.broker}
}

// resumes logs in, and reports whether the client's TLS session was resumed.
func (p *plant) resumes(t *testing.T, cfg *tls.Config) bool {
	t.Helper()
	conn, err := p.login(t, cfg, "machine")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().DidResume
}

// TestSharedTickets: a client that one node knows resumes its session at the others that
// have the secret, before and after they restart, and nowhere else.
func TestSharedTickets(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			n := nodes{startBroker(t), newCA("machines")}
			secret := newTicketSecret()
			first, second := n.start(t, secret), n.start(t, "# of all nodes\n"+secret)
			cfg := first.machine(t, "plc-1", version)
			if first.resumes(t, cfg) || !first.resumes(t, cfg) || !second.resumes(t, cfg) {
				t.Error("not: a full handshake, a resumed one, and one at another node")
			}
			second.stop(t)
			again := &plant{startProxyIn(t, second.dir), n.broker}
			if !again.resumes(t, cfg) {
				t.Error("not resumed after a restart")
			}
			if stranger := n.start(t, newTicketSecret()); stranger.resumes(t, cfg) {
				t.Error("resumed without the secret")
			}
		})
	}
}

// TestTicketsOfListeners: listeners with one file of secrets do not open each other's
// tickets, and one without tickets makes none.
func TestTicketsOfListeners(t *testing.T) {
	t.Parallel()
	listener := func(name, tickets string) string {
		return `{name: ` + name + `, address: "127.0.0.1:0", tls: {certificates: [{cert: server.crt, key: server.key}], session_tickets: {` + tickets + `}}}`
	}
	b := startBroker(t)
	dir := proxyFolder(t, settings{
		broker: b.address(),
		listeners: "[" + strings.Join([]string{
			listener("inside", "key_file: tickets.key"), listener("outside", "key_file: tickets.key"), listener("off", "disabled: true"),
		}, ", ") + "]",
		authn: "[{name: anyone, type: anonymous}]",
	})
	write(t, filepath.Join(dir, "tickets.key"), newTicketSecret())
	p := &plant{startProxyIn(t, dir), b}
	for _, second := range []struct {
		listener int
		resumed  bool
	}{{0, true}, {1, false}} {
		cfg := p.tlsConfig()
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		p.listener = 0
		p.resumes(t, cfg)
		p.listener = second.listener
		if got := p.resumes(t, cfg); got != second.resumed {
			t.Errorf("from listener 0 to %d: resumed: %v", second.listener, got)
		}
	}
	p.listener = 2
	cfg := p.tlsConfig()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	if p.resumes(t, cfg); p.resumes(t, cfg) {
		t.Error("resumed where there are no tickets")
	}
}

// TestRevokedAtAnotherNode: a ticket from a node that does not know yet is worth nothing
// at one that does.
func TestRevokedAtAnotherNode(t *testing.T) {
	t.Parallel()
	n := nodes{startBroker(t), newCA("machines")}
	secret := newTicketSecret()
	first := n.start(t, secret)
	block, _ := pem.Decode([]byte(first.read(t, "plc-1.crt")))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	second := n.start(t, secret, cert.SerialNumber)
	cfg := first.machine(t, "plc-1", tls.VersionTLS13)
	first.resumes(t, cfg)
	if !first.resumes(t, cfg) {
		t.Fatal("not resumed where nothing is revoked")
	}
	if _, err := second.login(t, cfg, "machine"); err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
		t.Errorf("a revoked client sees %v", err)
	}
	second.awaitEvent(t, event{"msg": "connection refused", "end": "tls_handshake"})
}

// TestTicketSecretsAreWatched: a secret is taken out of use while the proxy runs; a file
// that is broken changes nothing.
func TestTicketSecretsAreWatched(t *testing.T) {
	t.Parallel()
	n := nodes{startBroker(t), newCA("machines")}
	old, next := newTicketSecret(), newTicketSecret()
	p := n.start(t, old)
	watch(t, p.proxy)
	reload := func(secrets, outcome string) {
		t.Helper()
		count := `mqttward_reloads_total{outcome="` + outcome + `"}`
		before := p.metrics(t)[count]
		write(t, p.file("tickets.key"), secrets)
		eventually(t, "reload", func() bool { return p.metrics(t)[count] > before })
	}
	cfg := p.machine(t, "plc-1", tls.VersionTLS13)
	p.resumes(t, cfg)
	reload("c2hvcnQ=\n", "failure")
	if !p.resumes(t, cfg) {
		t.Error("a broken file has changed something")
	}
	reload(next+old, "success")
	if !p.resumes(t, cfg) { // and gets a ticket by the next secret
		t.Error("a new secret beside the old one has changed something")
	}
	reload(next, "success")
	if !p.resumes(t, cfg) {
		t.Error("the ticket was not made with the first secret of the file")
	}
	reload(old, "success")
	if p.resumes(t, cfg) {
		t.Error("resumed by a secret that is taken away")
	}
}

// TestTicketsOfOpenSSL is a device with another TLS than Go's.
func TestTicketsOfOpenSSL(t *testing.T) {
	t.Parallel()
	n := nodes{startBroker(t), newCA("machines")}
	secret := newTicketSecret()
	first, second := n.start(t, secret), n.start(t, secret)
	session := first.file("session.pem")
	connect := func(p *plant, more ...string) string {
		t.Helper()
		// TLS 1.2 has the ticket in the handshake: it is there before the program ends.
		args := append([]string{
			"s_client", "-connect", p.address(), "-tls1_2", "-CAfile", p.file("ca.crt"), "-verify_return_error",
			"-cert", first.file("plc-1.crt"), "-key", first.file("plc-1.key"),
		}, more...)
		r := execute(t, "", "openssl", args...)
		if r.code != 0 {
			t.Fatalf("%+v", r)
		}
		return r.stdout
	}
	if out := connect(first, "-sess_out", session); !strings.Contains(out, "\nNew, TLSv1.2") {
		t.Errorf("the first connection:\n%s", out)
	}
	if out := connect(second, "-sess_in", session); !strings.Contains(out, "\nReused, TLSv1.2") {
		t.Errorf("the second connection:\n%s", out)
	}
}
