package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/admin"
)

const secret = "a-token-made-for-this-test"

func isReady() error { return nil }

func newToken(t *testing.T, file string) admin.Token {
	t.Helper()
	token, err := admin.NewToken([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// start serves until the test ends and returns the server's URL.
func start(t *testing.T, o admin.Options, token ...admin.Token) string {
	t.Helper()
	if o.Metrics == nil {
		o.Metrics = admin.NewMetrics(admin.Build{Version: "v1.2.3", Commit: "abc"})
	}
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := admin.New(o)
	for _, asked := range token {
		s.SetToken(asked)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

type reply struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, method, url string, header ...string) reply {
	t.Helper()
	got, err := try(t.Context(), method, url, header...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func try(ctx context.Context, method, url string, header ...string) (reply, error) {
	return tryBody(ctx, method, url, "", header...)
}

func tryBody(ctx context.Context, method, url, body string, header ...string) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.Host = r.Header.Get("Host")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text)}, err
}

func TestPaths(t *testing.T) {
	unready := func() error { return errors.New("no backend is healthy") }
	open := start(t, admin.Options{Ready: isReady})
	down := start(t, admin.Options{Ready: unready})
	guarded := start(t, admin.Options{Ready: unready}, newToken(t, secret+"\n"))

	tests := []struct {
		name, method, url string
		authorization     string
		status            int
		body              string // contained
	}{
		{name: "alive", url: open + "/livez", status: 200, body: "ok\n"},
		{name: "alive, asked by HEAD", method: "HEAD", url: open + "/livez", status: 200},
		{name: "alive though not ready", url: down + "/livez", status: 200, body: "ok\n"},
		{name: "ready", url: open + "/readyz", status: 200, body: "ok\n"},
		{name: "not ready, and why", url: down + "/readyz", status: 503, body: "no backend is healthy"},
		{name: "metrics", url: open + "/metrics", status: 200, body: "mqttward_connections 0"},
		{name: "no such path", url: open + "/", status: 404},
		{name: "nothing below a path", url: open + "/livez/", status: 404},
		{name: "profiles are not served", url: open + "/debug/pprof/", status: 404},
		{name: "POST", method: "POST", url: open + "/livez", status: 405},
		{name: "DELETE of nothing", method: "DELETE", url: open + "/x", status: 405},
		{name: "TRACE", method: "TRACE", url: open + "/metrics", status: 405},

		{name: "health needs no token", url: guarded + "/livez", status: 200},
		{name: "readiness needs no token", url: guarded + "/readyz", status: 503, body: "no backend is healthy"},
		{name: "metrics need it", url: guarded + "/metrics", status: 401},
		{name: "unknown paths need it", url: guarded + "/x", status: 401},
		{name: "the token", url: guarded + "/metrics", authorization: "Bearer " + secret, status: 200, body: "mqttward_"},
		{name: "schemes have no case", url: guarded + "/metrics", authorization: "bearer " + secret, status: 200},
		{name: "unknown path with the token", url: guarded + "/x", authorization: "Bearer " + secret, status: 404},
		{name: "another token", url: guarded + "/metrics", authorization: "Bearer " + secret + "x", status: 401},
		{name: "the token's beginning", url: guarded + "/metrics", authorization: "Bearer " + secret[:20], status: 401},
		{name: "an empty token", url: guarded + "/metrics", authorization: "Bearer ", status: 401},
		{name: "no scheme", url: guarded + "/metrics", authorization: secret, status: 401},
		{name: "another scheme", url: guarded + "/metrics", authorization: "Basic " + secret, status: 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method := tt.method
			if method == "" {
				method = http.MethodGet
			}
			var header []string
			if tt.authorization != "" {
				header = []string{"Authorization", tt.authorization}
			}
			got := ask(t, method, tt.url, header...)
			if got.status != tt.status {
				t.Errorf("status %d, want %d", got.status, tt.status)
			}
			if !strings.Contains(got.body, tt.body) {
				t.Errorf("body %q lacks %q", got.body, tt.body)
			}
		})
	}
}

func TestReplyHeaders(t *testing.T) {
	url := start(t, admin.Options{Ready: isReady}, newToken(t, "the token of yesterday"), newToken(t, secret))
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/x"} {
		h := ask(t, http.MethodGet, url+path).header
		if got := h.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", path, got)
		}
		if got := h.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
		for name, values := range h {
			if v := strings.Join(values, " "); name == "Server" || strings.Contains(v, "v1.2.3") {
				t.Errorf("%s: header %s %q tells what runs", path, name, v)
			}
		}
	}
	if got := ask(t, http.MethodGet, url+"/metrics").header.Get("Www-Authenticate"); got != `Bearer realm="mqttward"` {
		t.Errorf("WWW-Authenticate %q", got)
	}
	if got := ask(t, http.MethodPut, url+"/livez").header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow %q", got)
	}
}

// TestLargeHeaderIsRefused takes a closed connection for a refusal too: the
// server does not read what is left of the header, so its reply can be lost.
func TestLargeHeaderIsRefused(t *testing.T) {
	url := start(t, admin.Options{Ready: isReady})
	got, err := try(t.Context(), http.MethodGet, url+"/livez", "X-Large", strings.Repeat("x", 64<<10))
	if err == nil && got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", got.status)
	}
}

// pending is a server with one request in progress.
type pending struct {
	server *admin.Server
	served chan error
	answer chan struct{} // closed: the request is answered
	result chan error    // of the request: nil for a 200
}

func startPending(t *testing.T) pending {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	p := pending{served: make(chan error, 1), answer: make(chan struct{}), result: make(chan error, 1)}
	p.server = admin.New(admin.Options{
		Metrics: admin.NewMetrics(admin.Build{}),
		Ready:   func() error { close(asked); <-p.answer; return nil },
		Log:     slog.New(slog.DiscardHandler),
	})
	go func() { p.served <- p.server.Serve(l) }()
	go func() {
		got, err := try(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/readyz")
		if err == nil && got.status != http.StatusOK {
			err = fmt.Errorf("status %d", got.status)
		}
		p.result <- err
	}()
	<-asked
	return p
}

func TestShutdownWaitsForRequests(t *testing.T) {
	p := startPending(t)
	stopped := make(chan error, 1)
	go func() { stopped <- p.server.Shutdown(context.Background()) }()
	if err := <-p.served; err != nil { // no new requests are taken from here on
		t.Errorf("Serve: %v", err)
	}
	select {
	case err := <-stopped:
		t.Errorf("Shutdown returned %v before the request was answered", err)
	default:
	}
	close(p.answer)
	if err := <-p.result; err != nil {
		t.Errorf("the request in progress: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestShutdownCutsOffWhenItsContextEnds(t *testing.T) {
	p := startPending(t)
	defer close(p.answer)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v, want the context's error", err)
	}
	if err := <-p.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-p.result; err == nil {
		t.Error("the request in progress was answered, want it cut off")
	}
}

func TestNewToken(t *testing.T) {
	for _, file := range []string{"", "\n", "   \t\n", "short", strings.Repeat("x", 15) + "   "} {
		if _, err := admin.NewToken([]byte(file)); err == nil {
			t.Errorf("NewToken(%q) is accepted", file)
		}
	}
	if got := newToken(t, secret).String(); got != "[redacted]" {
		t.Errorf("String() = %q", got)
	}
}
