package e2e

import (
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/pki"
)

// Certificate and password: neither of them lets anybody in alone.
func TestCertificateAndPassword(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := &plant{startProxy(t, settings{
		broker:    b.address(),
		listeners: tlsListener(", client_ca: ca.crt, client_auth: optional"),
		authn:     recipe(t, "all"),
		rules:     []string{`{users: [plc-1], allow: [publish], topics: ["${username}/${claims.people.username}"]}`},
	}), b}
	issue(t, authority(), p.dir, "plc-1", pki.Options{CN: "plc-1", Client: true})
	monitor := b.monitor(t)
	password1 := []string{"-u", "alice", "-P", password("alice")}
	for _, test := range []struct {
		name string
		to   []string
		code string // of the refusal, as mosquitto_pub says it
	}{
		{"password alone", append(p.anyone(), password1...), "CONNACK (134)"},
		{"certificate alone", p.with("plc-1"), "CONNACK (135)"},
		{"neither", p.anyone(), "CONNACK (135)"},
		{"wrong password", append(p.with("plc-1"), "-u", "alice", "-P", password("bob")), "CONNACK (134)"},
		{"both", append(p.with("plc-1"), password1...), ""},
	} {
		r := tryPublish(t, test.to, "-d", "-V", "5", "-q", "1", "-t", "plc-1/alice", "-m", payload(test.name))
		if test.code == "" {
			if r.code != 0 {
				t.Errorf("%s: refused:\n%s%s", test.name, r.stdout, r.stderr)
			}
			continue
		}
		p.awaitRefusal(t, test.name, r, test.code)
	}
	equal(t, "messages", messages(monitor.await(t, payload("both"))), []string{"plc-1/alice"})
}

// awaitRefusal checks how mosquitto_pub was refused.
func (p *proxy) awaitRefusal(t *testing.T, name string, r result, code string) {
	t.Helper()
	if r.code == 0 || !strings.Contains(r.stdout, code) {
		t.Errorf("%s: exit %d, want a refusal with %s:\n%s%s", name, r.code, code, r.stdout, r.stderr)
	}
}

// A user who goes from the file ends the sessions of both.
func TestPartRevoked(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := &plant{startProxy(t, settings{
		broker:    b.address(),
		listeners: tlsListener(", client_ca: ca.crt, client_auth: optional"),
		authn:     recipe(t, "all"),
	}), b}
	issue(t, authority(), p.dir, "plc-1", pki.Options{CN: "plc-1", Client: true})
	s := subscribe(t, append(p.with("plc-1"), "-u", "alice", "-P", password("alice")), "-V", "5", "-t", "x")
	write(t, p.file("users.passwd"), "")
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	s.await(t, "Received DISCONNECT (135)")
	p.awaitEvent(t, event{"msg": "session ended", "end": "identity_revoked", "username": "plc-1"})
}
