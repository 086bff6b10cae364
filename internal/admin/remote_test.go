package admin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/admin"
)

// remote is the API of a server at an URL.
func remote(url, token string) *admin.Remote {
	return admin.NewRemote("tcp", strings.TrimPrefix(url, "http://"), []byte(token))
}

func TestRemote(t *testing.T) {
	c := newCrowd(2500)
	r := remote(start(t, c.options(), newToken(t, secret)), secret+"\n")
	list, err := r.Clients(t.Context())
	if err != nil || len(list) != 2500 || list[0] != c.clients[0] || list[2499] != c.clients[2499] {
		t.Fatalf("%d clients, want all 2500 in order: %v", len(list), err)
	}
	id, user := "c7", "bob"
	if n, err := r.Kick(t.Context(), admin.Selection{ClientID: &id, Username: &user}); n != 1 || err != nil {
		t.Errorf("%d kicked, want 1: %v", n, err)
	}
	if n, err := r.Kick(t.Context(), admin.Selection{ClientID: &id, Username: &user}); n != 0 || err != nil {
		t.Errorf("%d kicked, want 0: %v", n, err)
	}
}

func TestRemoteRefused(t *testing.T) {
	url := start(t, newCrowd(1).options(), newToken(t, secret))
	for _, token := range []string{"", "another token of some length"} {
		if _, err := remote(url, token).Clients(t.Context()); err == nil || err.Error() != `the instance answers 401: "unauthorized"` {
			t.Errorf("with %q: %v", token, err)
		}
	}
}

// TestRemoteStrange: whatever answers at the address, the client comes to an end,
// and the token goes nowhere else.
func TestRemoteStrange(t *testing.T) {
	var asked []string
	answer := func(w http.ResponseWriter, r *http.Request) {}
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		answer(w, r)
	}))
	t.Cleanup(strange.Close)
	page := "[" + strings.Repeat(`{"session":1},`, 999) + `{"session":1}]`
	for want, f := range map[string]http.HandlerFunc{
		"makes no sense": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"does not end":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page)) },
		"answers 302": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		},
		`answers 500: "\x1b[2J"`: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "\x1b[2J", http.StatusInternalServerError) },
	} {
		answer = f
		if _, err := remote(strange.URL, secret).Clients(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for _, path := range asked {
		if path != "/api/v1/clients" {
			t.Errorf("%s was asked", path)
		}
	}
	strange.Close()
	if _, err := remote(strange.URL, "").Clients(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "dial tcp 127.0.0.1:") {
		t.Errorf("nobody there: %v", err)
	}
}
