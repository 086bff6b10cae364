package e2e

import (
	"crypto/tls"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/pki"
)

// plant is a proxy whose clients show certificates of the authority "plant".
type plant struct {
	*proxy
	broker *broker
}

// startPlant starts a proxy that asks for client certificates. A machine may
// use the topics below its common name, alice those below alice.
func startPlant(t *testing.T, clientAuth string) *plant {
	t.Helper()
	b := startBroker(t)
	p := &plant{startProxy(t, plantSettings(b, clientAuth)), b}
	issue(t, authority(), p.dir, "plc-1", pki.Options{CN: "plc-1", Client: true})
	issue(t, authority(), p.dir, "plc-3", pki.Options{CN: "plc-3", Client: true})
	issue(t, authority(), p.dir, "wildcard", pki.Options{CN: "+", Client: true})
	issue(t, authority(), p.dir, "webserver", pki.Options{CN: "plc-2"}) // not for clients
	issue(t, newCA("e2e CA"), p.dir, "forged", pki.Options{CN: "plc-1", Client: true})
	return p
}

func plantSettings(b *broker, clientAuth string) settings {
	return settings{
		broker:    b.address(),
		listeners: tlsListener(", client_ca: ca.crt, client_auth: " + clientAuth),
		authn:     `[{name: machines, type: certificate, username: "${cert.cn}"}, {name: users, type: password, file: users.passwd}]`,
		rules: []string{
			`{name: machines, certs: ["plc-*"], allow: [publish, subscribe], topics: ["${username}/#", "${cert.cn}/#"]}`,
			`{name: people, users: [alice], allow: [publish], topics: ["${username}/#"]}`,
		},
	}
}

// with is how a client reaches the proxy with a certificate.
func (p *plant) with(certificate string) []string {
	return append(p.anyone(), "--cert", p.file(certificate+".crt"), "--key", p.file(certificate+".key"))
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		clientAuth, certificate string
		user                    string // with its password
		reason                  string // of the refusal; "": accepted
	}{
		{"required", "plc-1", "", ""},
		{"required", "plc-1", "alice", ""}, // the certificate is asked first
		{"required", "", "", "tls_handshake"},
		{"required", "", "alice", "tls_handshake"},
		{"required", "forged", "", "tls_handshake"},
		{"required", "webserver", "", "tls_handshake"},
		{"required", "wildcard", "", "bad_credentials"},
		{"optional", "plc-1", "", ""},
		{"optional", "", "alice", ""},
		{"optional", "", "", "bad_credentials"},
		{"optional", "forged", "alice", "tls_handshake"},
	} {
		name := test.clientAuth + " " + test.certificate + " " + test.user
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPlant(t, test.clientAuth)
			monitor := p.broker.monitor(t)
			to, own := p.anyone(), "alice/state"
			if test.certificate != "" {
				to, own = p.with(test.certificate), "plc-1/state"
			}
			if test.user != "" {
				to = append(to, "-u", test.user, "-P", password(test.user))
			}
			if test.reason != "" {
				if r := tryPublish(t, to, "-V", "5", "-q", "1", "-t", own, "-m", payload("x")); r.code == 0 {
					t.Error("accepted")
				}
				p.awaitMetric(t, refusals(test.reason), 1)
				return
			}
			publish(t, to, "-V", "5", "-q", "1", "-t", "other/state", "-m", payload("foreign")) // refused
			publish(t, to, "-V", "5", "-q", "1", "-t", own, "-m", payload("own"))
			equal(t, "messages", messages(monitor.await(t, payload("own"))), []string{own})
		})
	}
}

// A certificate is revoked while the proxy runs. A list that is wrong changes
// nothing.
func TestRevokedCertificate(t *testing.T) {
	t.Parallel()
	p := startPlant(t, "required")
	accepted := func(machine string) {
		t.Helper()
		publish(t, p.with(machine), "-V", "5", "-q", "1", "-t", machine+"/state", "-m", payload("x"))
	}
	accepted("plc-1")
	p.putCRL(t, authority(), p.serial(t, "plc-1"))
	p.configure(t, plantSettings(p.broker, "required, crl: [ca.crl]"))
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	refused := func(times float64) {
		t.Helper()
		if r := tryPublish(t, p.with("plc-1"), "-V", "5", "-q", "1", "-t", "plc-1/state", "-m", payload("x")); r.code == 0 {
			t.Error("accepted with a revoked certificate")
		}
		p.awaitMetric(t, refusals("tls_handshake"), times)
		accepted("plc-3")
	}
	refused(1)
	p.putCRL(t, newCA("e2e CA"))
	if p.Reload() == nil {
		t.Error("a list of another authority is taken")
	}
	refused(2)
	p.putCRL(t, authority())
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	accepted("plc-1")
}

func (p *plant) putCRL(t *testing.T, ca *pki.CA, serials ...*big.Int) {
	t.Helper()
	list, err := ca.CRL(time.Now().Add(time.Hour), serials...)
	if err == nil {
		err = os.WriteFile(p.file("ca.crl"), list, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *plant) serial(t *testing.T, certificate string) *big.Int {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(p.file(certificate+".crt"), p.file(certificate+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber
}

// The recipe of the documentation: a certificate is on one of the lists, or its client
// is refused; a reload that takes it off ends the session.
func TestCertificateRecipe(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := plantSettings(b, "required")
	dir := proxyFolder(t, s)
	for _, machine := range []string{"plc-1", "robot", "other"} {
		issue(t, authority(), dir, machine, pki.Options{CN: machine, Client: true})
	}
	const documented = "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08"
	r := execute(t, "", "openssl", "x509", "-in", filepath.Join(dir, "robot.crt"), "-noout", "-fingerprint", "-sha256")
	_, fingerprint, _ := strings.Cut(strings.TrimSpace(r.stdout), "=")
	s.authn = recipe(t, "certificate", documented, fingerprint)
	write(t, filepath.Join(dir, "mqttward.yaml"), s.yaml())
	p := &plant{startProxyIn(t, dir), b}
	running, err := p.login(t, p.machine(t, "robot", tls.VersionTLS13), "robot")
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p.with("plc-1"), "-q", "1", "-t", "plc-1/state", "-m", payload("x"))
	if r := tryPublish(t, p.with("other"), "-V", "5", "-q", "1", "-t", "other/state", "-m", payload("x")); r.code == 0 {
		t.Error("a certificate on no list is accepted")
	}
	e := p.awaitEvent(t, event{"msg": "connection refused", "end": "bad_credentials", "reason": "Not authorized"})
	if !strings.Contains(fmt.Sprint(e["error"]), `neither allow_users nor fingerprints accept the certificate of "other"`) {
		t.Errorf("the audit log says %v", e)
	}
	s.authn = recipe(t, "certificate")
	p.configure(t, s)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	awaitClosed(t, running)
	p.awaitEvent(t, event{"msg": "session ended", "end": "identity_revoked", "username": "robot"})
}

// A user is named after what its certificate says.
func TestCertificateNames(t *testing.T) {
	t.Parallel()
	const spiffe = "spiffe://plant.example/line-a/plc-1"
	for username, want := range map[string]string{
		"${cert.cn}":          "plc-1",
		"${cert.subject}":     "CN=plc-1",
		"${cert.san.email}":   "plc-1@plant.example",
		"${cert.san.uri}":     spiffe,
		"${cert.san.dns}@vpn": "plc-1.plant.example@vpn",
	} {
		t.Run(username, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			s := plantSettings(b, "required")
			s.authn = `[{name: machines, type: certificate, username: "` + username + `"}]`
			p := &plant{startProxy(t, s), b}
			issue(t, authority(), p.dir, "plc-1", pki.Options{
				CN: "plc-1", Emails: []string{"plc-1@plant.example", "second@plant.example"}, URIs: []string{spiffe},
				DNS: []string{"plc-1.plant.example"}, Client: true,
			})
			if _, err := p.login(t, p.machine(t, "plc-1", tls.VersionTLS13), "client"); err != nil {
				t.Fatal(err)
			}
			p.awaitEvent(t, event{"msg": "session started", "username": want, "method": "machines"})
		})
	}
}
