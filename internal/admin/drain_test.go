package admin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/admin"
)

// instance notes what is asked of it.
type instance struct {
	drained []string // who asked, and for what
	reload  error    // that the next reload ends with
	loads   int
	status  admin.Status
}

func (i *instance) Drain(by string, what admin.DrainRequest) (int, error) {
	asked := "all"
	if !what.Whole() {
		asked = *what.Backend + "/" + *what.Server
		if *what.Server != "known:1883" {
			return 0, admin.ErrNoServer
		}
	}
	if what.Undo {
		asked = "undo " + asked
	}
	i.drained = append(i.drained, by+" "+asked)
	return 30, nil
}

func (i *instance) options() admin.Options {
	return admin.Options{
		Ready: isReady, Drainer: i, Status: func() admin.Status { return i.status },
		Reload: func(by string) error { i.loads++; i.drained = append(i.drained, by+" reload"); return i.reload },
	}
}

const asJSON = "application/json"

func TestDrain(t *testing.T) {
	for _, tt := range []struct {
		body   string
		status int
		answer string
		asked  string
	}{
		{`{}`, 200, `{"sessions":30}`, "all"},
		{`{"backend":"plant","server":"known:1883"}`, 200, `{"sessions":30}`, "plant/known:1883"},
		{`{"backend":"plant","server":"known:1883","undo":true}`, 200, `{"sessions":30}`, "undo plant/known:1883"},
		{`{"backend":"plant","server":"other:1883"}`, 404, "no such server", ""},
		{`{"undo":true}`, 400, "the end of the instance cannot be undone; undo wants a backend and a server", ""},
		{`{"server":"known:1883"}`, 400, "which server? both its backend and the server are needed", ""},
		{`{"backend":"plant"}`, 400, "which server? both its backend and the server are needed", ""},
		{`{"backend":"","server":""}`, 400, "the name of the backend or of the server is empty", ""},
		{`{"backend":"plant","server":""}`, 400, "the name of the backend or of the server is empty", ""},
		{`{"all":true}`, 400, `json: unknown field "all"`, ""},
		{``, 400, "EOF", ""},
	} {
		i := &instance{}
		url := start(t, i.options()) + "/api/v1/drain"
		got, err := tryBody(t.Context(), http.MethodPost, url, tt.body, "Content-Type", asJSON)
		if err != nil {
			t.Fatal(err)
		}
		if got.status != tt.status || strings.TrimSpace(got.body) != tt.answer {
			t.Errorf("%s: %d %s, want %d %s", tt.body, got.status, got.body, tt.status, tt.answer)
		}
		if tt.asked == "" && len(i.drained) > 0 || tt.asked != "" && (len(i.drained) != 1 || !strings.HasPrefix(i.drained[0], "the admin API, 127.0.0.1:") || !strings.HasSuffix(i.drained[0], " "+tt.asked)) {
			t.Errorf("%s: asked for %q, want %q", tt.body, i.drained, tt.asked)
		}
	}
}

// TestDrainGuarded: nobody ends or reloads an instance, or sees how it does, who may
// not.
func TestDrainGuarded(t *testing.T) {
	i := &instance{}
	url := start(t, i.options(), newToken(t, secret))
	for _, tt := range []struct {
		method, path string
		header       []string
		status       int
	}{
		{http.MethodPost, "drain", nil, 401},
		{http.MethodPost, "reload", nil, 401},
		{http.MethodGet, "status", nil, 401},
		{http.MethodPost, "drain", []string{"Authorization", "Bearer another"}, 401},
		{http.MethodGet, "drain", []string{"Authorization", "Bearer " + secret}, 405},
		{http.MethodGet, "reload", []string{"Authorization", "Bearer " + secret}, 405},
		{http.MethodPost, "status", []string{"Authorization", "Bearer " + secret}, 405},
		{http.MethodPost, "drain", []string{"Authorization", "Bearer " + secret, "Origin", "http://evil.example"}, 403},
		{http.MethodPost, "reload", []string{"Authorization", "Bearer " + secret, "Origin", "http://evil.example"}, 403},
		{http.MethodPost, "drain", []string{"Authorization", "Bearer " + secret, "Content-Type", "text/plain"}, 415},
		{http.MethodPost, "reload", []string{"Authorization", "Bearer " + secret, "Content-Type", "text/plain"}, 415},
	} {
		header := append([]string{"Content-Type", asJSON}, tt.header...)
		got, err := tryBody(t.Context(), tt.method, url+"/api/v1/"+tt.path, "{}", header...)
		if err != nil {
			t.Fatal(err)
		}
		if got.status != tt.status {
			t.Errorf("%s %s %q: %d, want %d", tt.method, tt.path, tt.header, got.status, tt.status)
		}
	}
	if len(i.drained) > 0 {
		t.Errorf("it obeys: %q", i.drained)
	}
}

func TestRemoteDrain(t *testing.T) {
	i := &instance{}
	r := remote(start(t, i.options(), newToken(t, secret)), secret)
	if n, err := r.Drain(t.Context(), admin.DrainRequest{}); n != 30 || err != nil {
		t.Errorf("%d sessions, want 30: %v", n, err)
	}
	backend, server := "plant", "other"
	if _, err := r.Drain(t.Context(), admin.DrainRequest{Backend: &backend, Server: &server}); err == nil || err.Error() != `the instance answers 404: "no such server"` {
		t.Errorf("a server that there is not: %v", err)
	}
}

func TestReload(t *testing.T) {
	i := &instance{}
	r := remote(start(t, i.options(), newToken(t, secret)), secret)
	if err := r.Reload(t.Context()); err != nil || i.loads != 1 {
		t.Errorf("%d reloads, want 1: %v", i.loads, err)
	}
	// All of many mistakes, and nothing that a terminal would obey.
	i.reload = admin.Mistakes("a.yaml:1: one\x1b[2J\n" + strings.Repeat("a.yaml:2: another\n", 1000) + "a.yaml:3: the last")
	var wrong admin.Mistakes
	err := r.Reload(t.Context())
	if !errors.As(err, &wrong) {
		t.Fatalf("%T %v, want Mistakes", err, err)
	}
	if text := wrong.Error(); !strings.HasPrefix(text, "a.yaml:1: one\ufffd[2J\na.yaml:2: ") || !strings.HasSuffix(text, "\na.yaml:3: the last") {
		t.Errorf("%d bytes: %.40q … %q", len(text), text, text[len(text)-20:])
	}
	i.reload = errors.New("listeners[0].address: in use")
	if err := r.Reload(t.Context()); err == nil || err.Error() != `the instance answers 500: "listeners[0].address: in use"` {
		t.Errorf("not a mistake of the configuration: %v", err)
	}
}

func TestStatus(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	i := &instance{status: admin.Status{
		Version: "v1", Started: at, Uptime: 60, NotReady: "draining", Draining: true, Sessions: 2,
		Listeners: []admin.ListenerStatus{{Name: "mqtts", Address: "127.0.0.1:8883", Transport: "tcp", TLS: true, Connections: 3}},
		Backends:  []admin.ServerStatus{{Backend: "plant", Server: "a:1883", State: "down", Why: "refused", Sessions: 4}},
		Reload:    &admin.Reload{At: at, Error: "a mistake"},
	}}
	url := start(t, i.options())
	got := ask(t, http.MethodGet, url+"/api/v1/status")
	want := `{"version":"v1","started":"2026-05-01T12:00:00Z","uptime_seconds":60,"ready":false,"not_ready":"draining","draining":true,"sessions":2,` +
		`"listeners":[{"name":"mqtts","address":"127.0.0.1:8883","transport":"tcp","tls":true,"connections":3}],"backends":[{"backend":"plant","server":"a:1883","state":"down","why":"refused","sessions":4}],"last_reload":{"at":"2026-05-01T12:00:00Z","error":"a mistake"}}` + "\n"
	if got.status != http.StatusOK || got.body != want {
		t.Errorf("%d %s, want %s", got.status, got.body, want)
	}
	s, err := remote(url, "").Status(t.Context())
	if err != nil || s.Sessions != 2 || len(s.Listeners) != 1 || s.Reload.Error != "a mistake" {
		t.Errorf("%+v, %v", s, err)
	}
}
