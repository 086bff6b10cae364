package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mqttward/mqttward/internal/app"
	"github.com/mqttward/mqttward/internal/pki"
)

// settings are the parts of a configuration in which tests differ. What is
// empty has a default.
type settings struct {
	broker    string   // its address
	backend   string   // as YAML; more keys of the backend, behind a comma
	backends  string   // as YAML; one of broker and backend
	listeners string   // as YAML; one with TLS
	authn     string   // as YAML; passwords
	rules     []string // each as YAML; all is allowed
	limits    string   // as YAML
	admin     string   // its address
	more      string   // as YAML; other keys
}

func (s settings) yaml() string {
	if s.listeners == "" {
		s.listeners = tlsListener("")
	}
	if s.authn == "" {
		s.authn = "[{name: users, type: password, file: users.passwd}]"
	}
	if s.rules == nil {
		s.rules = []string{`{allow: [publish, subscribe], topics: ["#"]}`}
	}
	if s.limits == "" {
		s.limits = "{connect_timeout: 60s}" // for the sources of identities, on a busy machine
	}
	s.limits = noBans(s.limits)
	if s.backends == "" {
		s.backends = fmt.Sprintf("[{name: broker, servers: [{address: %q}]%s}]", s.broker, s.backend)
	}
	if s.admin == "" {
		s.admin = "127.0.0.1:0"
	}
	if s.more == "" {
		s.more = "broker_profile: legacy" // and no connection to ask for the broker's version
	}
	return fmt.Sprintf(`
listeners: %s
backends: %s
authn: %s
limits: %s
admin: {address: %q}
log: {format: json, audit: audit.log}
authz:
  rules:
    - %s
%s
`, s.listeners, s.backends, s.authn, s.limits, s.admin, strings.Join(s.rules, "\n    - "), s.more)
}

// noBans turns the rules off that limits, as YAML in braces, does not have: all clients
// of these tests come from one address, again and again, and fail on purpose.
func noBans(limits string) string {
	for _, rule := range []string{"auth_failures", "protocol_errors", "flapping", "user_flapping", "takeovers"} {
		if !strings.Contains(limits, rule+":") {
			limits = "{" + rule + ": {max: 0}, " + strings.TrimPrefix(limits, "{")
		}
	}
	return limits
}

// tlsListener is a listener with TLS and more keys of its own.
func tlsListener(more string) string {
	return `[{name: mqtts, address: "127.0.0.1:0", tls: {certificates: [{cert: server.crt, key: server.key}]` + more + "}}]"
}

// users have passwords in the file that every proxy is given.
var users = []string{"alice", "bob", "carol"}

// authority signs for all tests.
var authority = sync.OnceValue(func() *pki.CA { return newCA("e2e CA") })

func newCA(name string) *pki.CA {
	ca, err := pki.NewCA(name)
	if err != nil {
		panic(err)
	}
	return ca
}

// proxy is mqttward in this process.
type proxy struct {
	*app.App
	dir      string
	listener int // of the configuration, which clients come to
	stopped  sync.Once
}

// startProxy starts a proxy with a folder of its own.
func startProxy(t *testing.T, s settings) *proxy {
	t.Helper()
	return startProxyIn(t, proxyFolder(t, s))
}

// startProxyIn starts a proxy with the configuration in a folder.
func startProxyIn(t *testing.T, dir string) *proxy {
	t.Helper()
	p := &proxy{dir: dir}
	a, err := app.Start(p.file("mqttward.yaml"), nil, app.Build{Version: "e2e"})
	if err != nil {
		t.Fatal(err)
	}
	p.App = a
	t.Cleanup(func() {
		p.stop(t)
		audit := p.read(t, "audit.log")
		_, _ = otherLogs.Write([]byte(audit))
		if t.Failed() {
			t.Logf("audit log:\n%s", audit)
		}
	})
	return p
}

// stop shuts the proxy down, once.
func (p *proxy) stop(t *testing.T) {
	t.Helper()
	p.stopped.Do(func() {
		if err := p.Shutdown(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
}

// proxyFolder makes a folder with a configuration and the files that it names.
func proxyFolder(t *testing.T, s settings) string {
	t.Helper()
	dir := t.TempDir()
	issue(t, authority(), dir, "server", pki.Options{CN: "localhost", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	write(t, filepath.Join(dir, "ca.crt"), string(authority().PEM()))
	write(t, filepath.Join(dir, "users.passwd"), usersFile())
	write(t, filepath.Join(dir, "owners.passwd"), ownersFile())
	write(t, filepath.Join(dir, "mqttward.yaml"), s.yaml())
	return dir
}

// issue writes a certificate and its key as name.crt and name.key.
func issue(t *testing.T, ca *pki.CA, dir, name string, o pki.Options) {
	t.Helper()
	cert, key, err := ca.Issue(o)
	if err == nil {
		err = pki.Write(dir, name, cert, key)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// usersFile is written by mosquitto_passwd.
var usersFile = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "mqttward-e2e-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	var text string
	for _, user := range users {
		text += user + ":" + password(user) + "\n"
	}
	return hashed(filepath.Join(dir, "users.passwd"), text)
})

func (p *proxy) file(name string) string { return filepath.Join(p.dir, name) }

func (p *proxy) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(p.file(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// configure rewrites the configuration, which holds from the next reload on.
func (p *proxy) configure(t *testing.T, s settings) {
	t.Helper()
	write(t, p.file("mqttward.yaml"), s.yaml())
}

// address is that of the listener.
func (p *proxy) address() string { return p.Addrs()[p.listener].String() }

// anyone is how the Mosquitto clients reach the proxy without credentials.
func (p *proxy) anyone() []string {
	host, port, _ := net.SplitHostPort(p.address())
	return []string{"-h", host, "-p", port, "--cafile", p.file("ca.crt")}
}

// as is how they reach it with those of a user.
func (p *proxy) as(user string) []string {
	return append(p.anyone(), "-u", user, "-P", password(user))
}

// tlsConfig is for clients in this process.
func (p *proxy) tlsConfig() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority().PEM())
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

// event is a line of the audit log.
type event map[string]any

// audit returns the lines of the audit log up to now.
func (p *proxy) audit(t *testing.T) []event {
	t.Helper()
	var events []event
	for l := range strings.Lines(p.read(t, "audit.log")) {
		var e event
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatalf("audit line %q: %v", l, err)
		}
		events = append(events, e)
	}
	return events
}

// awaitEvent waits for an audit line with these fields.
func (p *proxy) awaitEvent(t *testing.T, want event) event {
	t.Helper()
	var found event
	eventually(t, fmt.Sprintf("audit line with %v", want), func() bool {
		for _, e := range p.audit(t) {
			if e.has(want) {
				found = e
			}
		}
		return found != nil
	})
	return found
}

func (e event) has(want event) bool {
	for key, value := range want {
		if fmt.Sprint(e[key]) != fmt.Sprint(value) {
			return false
		}
	}
	return true
}
