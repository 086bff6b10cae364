package e2e

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"testing"

	"github.com/mqttward/mqttward/internal/pki"
)

// certificate returns the common name of the certificate that the proxy shows.
func (p *proxy) certificate(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", p.address(), p.tlsConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// startWatched starts a proxy that watches its files.
func startWatched(t *testing.T, s settings) *proxy {
	t.Helper()
	p := startProxy(t, s)
	watch(t, p)
	return p
}

// watch lets p watch its files until the test ends.
func watch(t *testing.T, p *proxy) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, "end of Watch", done); err != nil {
			t.Error(err)
		}
	})
}

// A file that changes is in force for the next client, without a word, also
// while clients that are refused fill the audit log beside it.
func TestWatch(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	limits := "{connect_rate_per_ip: {rate: 0}, connect_rate: {rate: 0}}"

	t.Run("certificate", func(t *testing.T) {
		t.Parallel()
		p := startWatched(t, settings{broker: b.address(), limits: limits})
		for _, name := range []string{"second", "third"} {
			issue(t, authority(), p.dir, "server", pki.Options{CN: name, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
			eventually(t, "certificate "+name, func() bool { return p.certificate(t) == name })
		}
	})
	t.Run("file that comes late", func(t *testing.T) {
		t.Parallel()
		s := settings{broker: b.address(), limits: limits}
		p := startWatched(t, s)
		s.authn = "[{name: users, type: password, file: later.passwd}]"
		p.configure(t, s)
		eventually(t, "reload that fails", func() bool { return p.metrics(t)[`mqttward_reloads_total{outcome="failure"}`] > 0 })
		write(t, p.file("later.passwd"), usersFile())
		eventually(t, "reload that succeeds", func() bool { return p.metrics(t)[`mqttward_last_reload_success`] == 1 })
	})
	t.Run("password file", func(t *testing.T) {
		t.Parallel()
		p := startWatched(t, settings{broker: b.address(), limits: limits})
		admitted := func() bool {
			_, _, code := p.dial3(t, v311, "dave")
			return code == 0
		}
		if admitted() {
			t.Fatal("dave is there already")
		}
		edit := func(args ...string) {
			if r := execute(t, "", "mosquitto_passwd", args...); r.code != 0 {
				t.Fatalf("mosquitto_passwd: exit %d\n%s", r.code, r.stderr)
			}
		}
		edit("-b", p.file("users.passwd"), "dave", password("dave"))
		eventually(t, "dave is admitted", admitted)
		edit("-D", p.file("users.passwd"), "dave")
		eventually(t, "dave is refused", func() bool { return !admitted() })
	})
	t.Run("configuration", func(t *testing.T) {
		t.Parallel()
		s := settings{broker: b.address(), limits: limits, rules: []string{`{allow: [subscribe], topics: ["old"]}`}}
		p := startWatched(t, s)
		c, _ := p.connect5(t, connection("alice"))
		s.rules = []string{`{allow: [subscribe], topics: ["new"]}`}
		// As an editor does it: a new file, renamed.
		write(t, p.file("new.yaml"), s.yaml())
		if err := os.Rename(p.file("new.yaml"), p.file("mqttward.yaml")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the new rule holds", func() bool { return c.subscribe(t, 1, "new")[0] == 1 })
		equal(t, "reason codes", c.subscribe(t, 1, "old"), []byte{0x87})
	})
}
