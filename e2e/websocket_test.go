package e2e

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/pki"
)

// exchanged is what MQTT.js says when all that it has sent has come back: messages of
// three qualities and five sizes.
const exchanged = "exchanged 15"

// webListeners are for WebSocket with TLS, without, and with TLS and certificates of
// clients: Chromium opens no WebSocket where it is asked for one.
func webListeners(more string) string {
	const tls = "tls: {certificates: [{cert: server.crt, key: server.key}]"
	return `[{name: wss, address: "127.0.0.1:0", transport: websocket, ` + tls + "}" + more + `},
  {name: ws, address: "127.0.0.1:0", transport: websocket, path: /` + more + `},
  {name: machines, address: "127.0.0.1:0", transport: websocket, ` + tls + `, client_auth: required, client_ca: ca.crt}}]`
}

// startWeb starts a proxy with these listeners in front of a broker of its own.
func startWeb(t *testing.T, more string) *proxy {
	t.Helper()
	p := startProxy(t, settings{
		broker: startBroker(t).address(), listeners: webListeners(more),
		authn:  `[{name: machines, type: certificate, username: "${cert.cn}"}, {name: users, type: password, file: users.passwd}]`,
		rules:  []string{`{allow: [publish, subscribe], topics: ["${username}/#"]}`},
		limits: "{connect_timeout: 60s, max_packet_size: 1MiB, publish_bytes: 0}",
	})
	issue(t, authority(), p.dir, "plc-1", pki.Options{CN: "plc-1", Client: true})
	return p
}

func (p *proxy) wss() string { return "wss://" + p.Addrs()[0].String() + "/mqtt" }
func (p *proxy) ws() string  { return "ws://" + p.Addrs()[1].String() + "/" }

// webOptions are those of MQTT.js for a user.
func webOptions(version int, user string, more ...any) map[string]any {
	options := map[string]any{"protocolVersion": version, "clientId": fmt.Sprintf("%s-%d", user, version)}
	if version == 3 {
		options["protocolId"] = "MQIsdp"
	}
	if more = append([]any{"username", user, "password", password(user)}, more...); user == "" {
		more = more[4:]
	}
	for i := 0; i < len(more); i += 2 {
		options[fmt.Sprint(more[i])] = more[i+1]
	}
	return options
}

// script runs MQTT.js in Node.js, and returns what it says.
func (p *proxy) script(t *testing.T, url, topic string, options map[string]any) string {
	t.Helper()
	options["caFile"] = p.file("ca.crt")
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	r := execute(t, "", "node", "websocket/client.mjs", url, topic, string(text))
	if r.stderr != "" {
		t.Errorf("node writes %s", r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

// TestWebSocketInNode has MQTT.js talk to Mosquitto in all versions, with TLS and without.
func TestWebSocketInNode(t *testing.T) {
	t.Parallel()
	p := startWeb(t, "")
	for _, version := range []int{3, 4, 5} {
		for _, url := range []string{p.wss(), p.ws()} {
			if got := p.script(t, url, "alice/a", webOptions(version, "alice")); got != exchanged {
				t.Errorf("version %d, %s: %s", version, url, got)
			}
		}
	}
	got := p.script(t, "wss://"+p.Addrs()[2].String()+"/mqtt", "plc-1/a", webOptions(5, "", "certFile", p.file("plc-1.crt"), "keyFile", p.file("plc-1.key")))
	if got != exchanged {
		t.Errorf("with a certificate: %s", got)
	}
	for version, want := range map[int]string{4: "failed: 4 ", 5: "failed: 134 "} {
		if got := p.script(t, p.wss(), "alice/a", webOptions(version, "alice", "password", "wrong")); !strings.HasPrefix(got, want) {
			t.Errorf("version %d, a wrong password: %s", version, got)
		}
	}
	p.awaitEvent(t, event{"msg": "connection refused", "end": "bad_credentials", "listener": "wss"})
}

// TestWebSocketRefusals: a path and an Origin that are not the right ones.
func TestWebSocketRefusals(t *testing.T) {
	t.Parallel()
	p := startWeb(t, "")
	own := "https://" + p.Addrs()[0].String()
	for _, tt := range []struct {
		name, url, want string
		options         map[string]any
	}{
		{"origin", p.wss(), "failed: ", webOptions(5, "alice", "wsOptions", map[string]any{"origin": "https://evil.example"})},
		{"path", p.wss() + "/a", "failed: ", webOptions(5, "alice")},
		{"own origin", p.wss(), exchanged, webOptions(5, "alice", "wsOptions", map[string]any{"origin": own})},
	} {
		got := p.script(t, tt.url, "alice/a", tt.options)
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	p.awaitEvent(t, event{"msg": "connection refused", "end": "websocket_handshake", "listener": "wss", "error": `no page of "https://evil.example" may connect`})
	p.awaitEvent(t, event{"msg": "connection refused", "end": "websocket_handshake", "listener": "wss", "error": "another path than that of MQTT"})
}

// site serves the page on a port of its own, which makes it an origin of its own.
type site struct {
	*httptest.Server
	results chan []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{results: make(chan []string, 1)}
	mux := http.NewServeMux()
	for path, file := range map[string]string{"/{$}": "page.html", "/exchange.mjs": "exchange.mjs", "/mqtt.min.js": "node_modules/mqtt/dist/mqtt.min.js"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "websocket/"+file) })
	}
	mux.HandleFunc("POST /results", func(_ http.ResponseWriter, r *http.Request) {
		var results []string
		if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20)).Decode(&results); err != nil {
			results = []string{err.Error()}
		}
		s.results <- results
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// visit opens the page in Chromium, which does what is wanted of it, and returns what it
// reports.
func (p *proxy) visit(t *testing.T, s *site, wanted []map[string]any) []string {
	t.Helper()
	text, err := json.Marshal(wanted)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(p.read(t, "server.crt")))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pin := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	chromium := launch(t, newTranscript(), "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
		"--user-data-dir="+t.TempDir(), "--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(pin[:]),
		s.URL+"/#"+url.PathEscape(string(text)))
	got := receive(t, "report of the page", s.results)
	_ = chromium.cmd.Process.Kill()
	receive(t, "end of Chromium", chromium.done)
	return got
}

// TestWebSocketInBrowser has a page in Chromium talk to Mosquitto. Another page, which
// the listener does not know, cannot.
func TestWebSocketInBrowser(t *testing.T) {
	t.Parallel()
	known, unknown := newSite(t), newSite(t)
	p := startWeb(t, fmt.Sprintf(", origins: [%q]", known.URL))
	var wanted []map[string]any
	for _, version := range []int{3, 4, 5} {
		for _, url := range []string{p.wss(), p.ws()} {
			wanted = append(wanted, map[string]any{"url": url, "topic": "alice/a", "options": webOptions(version, "alice")})
		}
	}
	for i, got := range p.visit(t, known, wanted) {
		if got != exchanged {
			t.Errorf("%v: %s", wanted[i], got)
		}
	}
	for i, got := range p.visit(t, unknown, wanted[4:]) {
		if !strings.HasPrefix(got, "failed: ") {
			t.Errorf("%v from another origin: %s", wanted[4+i], got)
		}
	}
	for _, listener := range []string{"wss", "ws"} {
		p.awaitEvent(t, event{"msg": "connection refused", "end": "websocket_handshake", "listener": listener, "error": fmt.Sprintf("no page of %q may connect", unknown.URL)})
	}
}
