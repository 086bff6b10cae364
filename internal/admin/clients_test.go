package admin_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/admin"
)

// crowd is clients that can be listed and kicked.
type crowd struct {
	clients []admin.Client
	by      string // the last to kick
}

// newCrowd is of two users by turns, with two clients of each client id.
func newCrowd(n uint64) *crowd {
	c := &crowd{}
	for i := range n {
		c.clients = append(c.clients, admin.Client{
			Session: i + 1, ClientID: "c" + strconv.FormatUint(i/2, 10), Username: []string{"alice", "bob"}[i%2], Tenant: []string{"acme", "zeta", ""}[min(i, 2)],
		})
	}
	return c
}

func (c *crowd) options() admin.Options {
	return admin.Options{Ready: isReady, Clients: func() []admin.Client { return slices.Clone(c.clients) }, Kick: c.kick}
}

func (c *crowd) kick(by string, match func(admin.Client) bool) int {
	c.by = by
	before := len(c.clients)
	c.clients = slices.DeleteFunc(c.clients, match)
	return before - len(c.clients)
}

// left are the sessions that were not kicked.
func (c *crowd) left() (sessions []uint64) {
	for _, one := range c.clients {
		sessions = append(sessions, one.Session)
	}
	return sessions
}

func TestClientsPages(t *testing.T) {
	url := start(t, newCrowd(1500).options()) + "/api/v1/clients"
	for query, want := range map[string]struct {
		status      int
		n           int
		first, last uint64
	}{
		"":                             {200, 1000, 1, 1000},
		"?after=1000":                  {200, 500, 1001, 1500},
		"?after=1500":                  {200, 0, 0, 0},
		"?after=10&limit=3":            {200, 3, 11, 13},
		"?limit=1000":                  {200, 1000, 1, 1000},
		"?limit=1001":                  {400, 0, 0, 0},
		"?limit=0":                     {400, 0, 0, 0},
		"?limit=-1":                    {400, 0, 0, 0},
		"?limit=x":                     {400, 0, 0, 0},
		"?after=c7":                    {400, 0, 0, 0},
		"?after=100000000000000000000": {400, 0, 0, 0},
	} {
		got := ask(t, http.MethodGet, url+query)
		if got.status != want.status {
			t.Errorf("%s: status %d, want %d", query, got.status, want.status)
		}
		if want.status != http.StatusOK {
			continue
		}
		var page []admin.Client
		if err := json.Unmarshal([]byte(got.body), &page); err != nil || len(page) != want.n {
			t.Fatalf("%s: %d clients, want %d: %v", query, len(page), want.n, err)
		}
		if want.n == 0 {
			if got.body != "[]\n" {
				t.Errorf("%s: %q, want an empty list", query, got.body)
			}
			continue
		}
		if first, last := page[0].Session, page[len(page)-1].Session; first != want.first || last != want.last {
			t.Errorf("%s: from %d to %d, want from %d to %d", query, first, last, want.first, want.last)
		}
	}
}

// TestClientsNames holds the names that programs rely on.
func TestClientsNames(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := &crowd{clients: []admin.Client{
		{Session: 7, ClientID: "c\x1b", Username: "u", Tenant: "t", Method: "users", Remote: "192.0.2.1:5", Listener: "mqtts", Version: "5.0", Since: at, Expires: at},
		{Session: 8, ClientID: "d", Method: "open", Listener: "local", Version: "3.1.1", Since: at},
	}}
	got := ask(t, http.MethodGet, start(t, c.options())+"/api/v1/clients")
	const want = `[{"session":7,"client_id":"c\u001b","username":"u","tenant":"t","method":"users","remote":"192.0.2.1:5","listener":"mqtts","version":"5.0",` +
		`"connected_since":"2026-01-02T03:04:05Z","identity_expires":"2026-01-02T03:04:05Z"},` +
		`{"session":8,"client_id":"d","username":"","method":"open","remote":"","listener":"local","version":"3.1.1","connected_since":"2026-01-02T03:04:05Z"}]` + "\n"
	if got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
	if kind := got.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %q", kind)
	}
}

func TestKick(t *testing.T) {
	const asJSON = "application/json"
	for _, tt := range []struct {
		name, body, kind string
		status           int
		left             []uint64 // of 1 to 4
	}{
		{"a client id", `{"client_id": "c0"}`, asJSON, 200, []uint64{3, 4}},
		{"a user", `{"username": "bob"}`, asJSON, 200, []uint64{1, 3}},
		{"both must hold", `{"client_id": "c1", "username": "alice"}`, asJSON, 200, []uint64{1, 2, 4}},
		{"a tenant", `{"tenant": "zeta"}`, asJSON, 200, []uint64{1, 3, 4}},
		{"a client id of a tenant", `{"client_id": "c0", "tenant": "acme"}`, asJSON, 200, []uint64{2, 3, 4}},
		{"an empty tenant", `{"client_id": "c0", "tenant": ""}`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"a session", `{"session": 2}`, "application/json; charset=utf-8", 200, []uint64{1, 3, 4}},
		{"all three must hold", `{"session": 2, "username": "alice"}`, asJSON, 200, []uint64{1, 2, 3, 4}},
		{"nobody has it", `{"username": "BOB"}`, asJSON, 200, []uint64{1, 2, 3, 4}},
		{"no glob", `{"username": "*"}`, asJSON, 200, []uint64{1, 2, 3, 4}},
		{"nothing is selected", `{}`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"null", `null`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"null user", `{"username": null}`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"an empty user", `{"client_id": "c0", "username": ""}`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"an empty client id", `{"client_id": "", "username": "bob"}`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"an unknown field", `{"client_id": "c0", "user": "bob"}`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"a wrong type", `{"client_id": 0}`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"two values", `{"client_id": "c0"}{"client_id": "c1"}`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"more behind it", `{"client_id": "c0"} x`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"cut off", `{"client_id": "c0"`, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"no body", ``, asJSON, 400, []uint64{1, 2, 3, 4}},
		{"too large", `{"client_id": "` + strings.Repeat("c", 4<<10) + `"}`, asJSON, 413, []uint64{1, 2, 3, 4}},
		{"too large behind the value", `{"client_id": "c0"}` + strings.Repeat(" ", 4<<10), asJSON, 413, []uint64{1, 2, 3, 4}},
		{"a form", `{"client_id": "c0"}`, "text/plain", 415, []uint64{1, 2, 3, 4}},
		{"another form", `{"client_id": "c0"}`, "application/x-www-form-urlencoded", 415, []uint64{1, 2, 3, 4}},
		{"no type", `{"client_id": "c0"}`, "", 415, []uint64{1, 2, 3, 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrowd(4)
			got, err := tryBody(t.Context(), http.MethodPost, start(t, c.options())+"/api/v1/kick", tt.body, "Content-Type", tt.kind)
			if err != nil {
				t.Fatal(err)
			}
			if got.status != tt.status || !slices.Equal(c.left(), tt.left) {
				t.Errorf("status %d, want %d; left are %v, want %v: %s", got.status, tt.status, c.left(), tt.left, got.body)
			}
			if want := `{"kicked":` + strconv.Itoa(4-len(tt.left)) + "}\n"; tt.status == http.StatusOK && got.body != want {
				t.Errorf("got %s, want %s", got.body, want)
			}
			if tt.status == http.StatusOK && !strings.HasPrefix(c.by, "the admin API, 127.0.0.1:") {
				t.Errorf("by %q", c.by)
			}
		})
	}
}
