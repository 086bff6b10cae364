package e2e

import (
	"testing"

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
	s := settings{
		broker:    b.address(),
		listeners: tlsListener(", client_auth: " + clientAuth + ", client_ca: ca.crt"),
		authn:     `[{name: machines, type: certificate, username: "${cert.cn}"}, {name: users, type: password, file: users.passwd}]`,
		rules: []string{
			`{name: machines, certs: ["plc-*"], allow: [publish, subscribe], topics: ["${username}/#", "${cert.cn}/#"]}`,
			`{name: people, users: [alice], allow: [publish], topics: ["${username}/#"]}`,
		},
	}
	p := &plant{startProxy(t, s), b}
	issue(t, authority(), p.dir, "plc-1", pki.Options{CN: "plc-1", Client: true})
	issue(t, authority(), p.dir, "wildcard", pki.Options{CN: "+", Client: true})
	issue(t, authority(), p.dir, "webserver", pki.Options{CN: "plc-2"}) // not for clients
	issue(t, newCA("e2e CA"), p.dir, "forged", pki.Options{CN: "plc-1", Client: true})
	return p
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
