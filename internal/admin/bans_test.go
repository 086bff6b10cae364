package admin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/ratelimit"
)

// banList is bans that can be listed, put and lifted.
type banList struct {
	bans []ratelimit.Ban
	by   string // the last to change them
}

func (l *banList) List() []ratelimit.Ban { return slices.Clone(l.bans) }

func (l *banList) Ban(by string, b ratelimit.Ban) (int, error) {
	if b.Value == "exempt" {
		return 0, errors.New("it is exempt")
	}
	l.by, l.bans = by, append(l.bans, b)
	return 7, nil
}

func (l *banList) Unban(by string, s ratelimit.Subject) bool {
	l.by = by
	before := len(l.bans)
	l.bans = slices.DeleteFunc(l.bans, func(b ratelimit.Ban) bool { return b.Subject == s })
	return len(l.bans) < before
}

func (l *banList) options() admin.Options {
	o := newCrowd(0).options()
	o.Bans = l
	return o
}

// newBanList is of half clients, half users.
func newBanList(n int) *banList {
	l := &banList{}
	for i := range n {
		kind := []ratelimit.Kind{ratelimit.Client, ratelimit.User}[2*i/n]
		l.bans = append(l.bans, ratelimit.Ban{Subject: ratelimit.Subject{Kind: kind, Value: fmt.Sprintf("a/%05d", i)}})
	}
	return l
}

func TestBansPages(t *testing.T) {
	at := start(t, newBanList(1500).options()) + "/api/v1/bans"
	for query, want := range map[string]struct{ status, n int }{
		"":                      {200, 1000},
		"?after=user/a/00999":   {200, 500},
		"?after=client_id/":     {200, 1000},
		"?after=user/":          {200, 750},
		"?after=user/b":         {200, 0},
		"?limit=3":              {200, 3},
		"?limit=0":              {400, 0},
		"?limit=1001":           {400, 0},
		"?limit=x":              {400, 0},
		"?after=user/b&limit=2": {200, 0},
	} {
		got := ask(t, http.MethodGet, at+query)
		var page []ratelimit.Ban
		if got.status != want.status || got.status == http.StatusOK && (json.Unmarshal([]byte(got.body), &page) != nil || len(page) != want.n || page == nil) {
			t.Errorf("%s: status %d, %d bans, want %d, %d", query, got.status, len(page), want.status, want.n)
		}
	}
}

// TestBansNames holds the names that programs rely on.
func TestBansNames(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := &banList{bans: []ratelimit.Ban{
		{Subject: ratelimit.Subject{Kind: ratelimit.Network, Value: "192.0.2.0/24"}, Reason: "r\x1b", Since: at, Manual: true},
		{Subject: ratelimit.Subject{Kind: ratelimit.User, Value: "eve"}, Reason: "auth_failures", Since: at, Until: at, Times: 2},
	}}
	const want = `[{"kind":"network","value":"192.0.2.0/24","reason":"r\u001b","since":"2026-01-02T03:04:05Z","manual":true},` +
		`{"kind":"user","value":"eve","reason":"auth_failures","since":"2026-01-02T03:04:05Z","until":"2026-01-02T03:04:05Z","times":2}]` + "\n"
	if got := ask(t, http.MethodGet, start(t, l.options())+"/api/v1/bans"); got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

func TestBan(t *testing.T) {
	const asJSON = "application/json"
	for _, tt := range []struct {
		name, body, kind string
		status           int
		want             ratelimit.Subject
		lasts            time.Duration
	}{
		{"a user", `{"kind": "user", "value": "eve"}`, asJSON, 200, ratelimit.Subject{Kind: ratelimit.User, Value: "eve"}, 0},
		{"a client, for a time", `{"kind": "client_id", "value": "c", "for": "1h30m", "reason": "why"}`, asJSON, 200, ratelimit.Subject{Kind: ratelimit.Client, Value: "c"}, 90 * time.Minute},
		{"an address", `{"kind": "network", "value": "192.0.2.1"}`, asJSON, 200, ratelimit.Subject{Kind: ratelimit.Network, Value: "192.0.2.1/32"}, 0},
		{"exempt", `{"kind": "user", "value": "exempt"}`, asJSON, 409, ratelimit.Subject{}, 0},
		{"host bits", `{"kind": "network", "value": "192.0.2.1/24"}`, asJSON, 400, ratelimit.Subject{}, 0},
		{"another kind", `{"kind": "tenant", "value": "acme"}`, asJSON, 400, ratelimit.Subject{}, 0},
		{"an empty user", `{"kind": "user", "value": ""}`, asJSON, 400, ratelimit.Subject{}, 0},
		{"nobody", `{}`, asJSON, 400, ratelimit.Subject{}, 0},
		{"no unit", `{"kind": "user", "value": "eve", "for": "10"}`, asJSON, 400, ratelimit.Subject{}, 0},
		{"for no time", `{"kind": "user", "value": "eve", "for": "0s"}`, asJSON, 400, ratelimit.Subject{}, 0},
		{"backwards", `{"kind": "user", "value": "eve", "for": "-1h"}`, asJSON, 400, ratelimit.Subject{}, 0},
		{"a long reason", `{"kind": "user", "value": "eve", "reason": "` + strings.Repeat("x", 201) + `"}`, asJSON, 400, ratelimit.Subject{}, 0},
		{"an unknown field", `{"kind": "user", "value": "eve", "until": "2026-01-02T03:04:05Z"}`, asJSON, 400, ratelimit.Subject{}, 0},
		{"two values", `{"kind": "user", "value": "eve"}{}`, asJSON, 400, ratelimit.Subject{}, 0},
		{"too large", `{"kind": "user", "value": "` + strings.Repeat("x", 4<<10) + `"}`, asJSON, 413, ratelimit.Subject{}, 0},
		{"a form", `{"kind": "user", "value": "eve"}`, "text/plain", 415, ratelimit.Subject{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &banList{}
			before := time.Now()
			got, err := tryBody(t.Context(), http.MethodPost, start(t, l.options())+"/api/v1/ban", tt.body, "Content-Type", tt.kind)
			if err != nil {
				t.Fatal(err)
			}
			if got.status != tt.status {
				t.Fatalf("status %d, want %d: %s", got.status, tt.status, got.body)
			}
			if tt.status != http.StatusOK {
				if len(l.bans) != 0 {
					t.Errorf("banned: %v", l.bans)
				}
				return
			}
			if got.body != "{\"kicked\":7}\n" || len(l.bans) != 1 || l.bans[0].Subject != tt.want || !strings.HasPrefix(l.by, "the admin API, 127.0.0.1:") {
				t.Errorf("%s by %s: %+v, want %v", got.body, l.by, l.bans, tt.want)
			}
			until := l.bans[0].Until
			if tt.lasts == 0 && !until.IsZero() || tt.lasts != 0 && (until.Before(before.Add(tt.lasts)) || until.After(time.Now().Add(tt.lasts))) {
				t.Errorf("until %v, want %v", until, tt.lasts)
			}
		})
	}
}

func TestUnban(t *testing.T) {
	l := &banList{bans: []ratelimit.Ban{{Subject: ratelimit.Subject{Kind: ratelimit.Network, Value: "192.0.2.1/32"}}}}
	at := start(t, l.options()) + "/api/v1/unban"
	for i, tt := range []struct {
		body, kind string
		status     int
		want       string
	}{
		{`{"kind": "network", "value": "192.0.2.1"}`, "text/plain", 415, "wants Content-Type: application/json\n"},
		{`{"kind": "network", "value": "192.0.2"}`, "application/json", 400, "the network must be written as 192.0.2.0/24, 2001:db8::/64, or an address\n"},
		{`{"kind": "user", "value": "eve"}`, "application/json", 200, "{\"lifted\":false}\n"},
		{`{"kind": "network", "value": "192.0.2.1"}`, "application/json", 200, "{\"lifted\":true}\n"},
		{`{"kind": "network", "value": "192.0.2.1"}`, "application/json", 200, "{\"lifted\":false}\n"},
	} {
		got, err := tryBody(t.Context(), http.MethodPost, at, tt.body, "Content-Type", tt.kind)
		if err != nil || got.status != tt.status || got.body != tt.want {
			t.Errorf("%d: status %d, %q, %v; want %d, %q", i, got.status, got.body, err, tt.status, tt.want)
		}
	}
	if !strings.HasPrefix(l.by, "the admin API, 127.0.0.1:") {
		t.Errorf("by %q", l.by)
	}
}

func TestBansGuard(t *testing.T) {
	open, guarded := start(t, newBanList(1).options()), start(t, newBanList(1).options(), newToken(t, secret))
	const body = `{"kind": "user", "value": "eve"}`
	for _, path := range []string{"bans", "ban", "unban"} {
		method, other := http.MethodPost, http.MethodGet
		if path == "bans" {
			method, other = other, method
		}
		for _, tt := range []struct {
			url, method string
			header      []string
			status      int
		}{
			{open, method, nil, 200},
			{open, other, nil, 405},
			{open, method, []string{"Origin", "http://evil.example"}, 403},
			{open, method, []string{"Host", "evil.example"}, 403},
			{guarded, method, nil, 401},
			{guarded, method, []string{"Authorization", "Bearer " + secret}, 200},
		} {
			got, err := tryBody(t.Context(), tt.method, tt.url+"/api/v1/"+path, body, append(tt.header, "Content-Type", "application/json")...)
			if err != nil || got.status != tt.status {
				t.Errorf("%s %s %v: status %d, want %d, %v", tt.method, path, tt.header, got.status, tt.status, err)
			}
		}
	}
}

func TestRemoteBans(t *testing.T) {
	l := newBanList(2500)
	r := remote(start(t, l.options(), newToken(t, secret)), secret)
	list, err := r.Bans(t.Context())
	if err != nil || len(list) != 2500 || list[0] != l.bans[0] || list[2499] != l.bans[2499] {
		t.Fatalf("%d bans, want all 2500 in order: %v", len(list), err)
	}
	eve := ratelimit.Subject{Kind: ratelimit.User, Value: "eve/\u202e&?x"}
	if n, err := r.Ban(t.Context(), admin.BanRequest{Subject: eve, For: "1h", Reason: "why"}); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if last := l.bans[2500]; last.Subject != eve || last.Reason != "why" || last.Until.IsZero() {
		t.Errorf("%+v", last)
	}
	for i, want := range []bool{true, false} {
		if lifted, err := r.Unban(t.Context(), eve); lifted != want || err != nil {
			t.Errorf("unban %d: %v, %v", i, lifted, err)
		}
	}
	exempt := admin.BanRequest{Subject: ratelimit.Subject{Kind: ratelimit.User, Value: "exempt"}}
	if _, err := r.Ban(t.Context(), exempt); err == nil || err.Error() != `the instance answers 409: "it is exempt"` {
		t.Errorf("%v", err)
	}
}

// TestRemoteBansAwkward pages behind a subject that an URL has to escape.
func TestRemoteBansAwkward(t *testing.T) {
	l := &banList{}
	for i := range 1001 {
		l.bans = append(l.bans, ratelimit.Ban{Subject: ratelimit.Subject{Kind: ratelimit.User, Value: "a/b&c=?# %" + url.PathEscape("\x00") + strconv.Itoa(10000+i)}})
	}
	if list, err := remote(start(t, l.options()), "").Bans(t.Context()); err != nil || len(list) != 1001 {
		t.Errorf("%d bans, %v", len(list), err)
	}
	// A list that is the same whatever one asks comes to an end, too.
	stuck := &banList{bans: slices.Repeat([]ratelimit.Ban{{}}, 1000)}
	if list, err := remote(start(t, stuck.options()), "").Bans(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%d bans, %v", len(list), err)
	}
}

func TestCountBans(t *testing.T) {
	m := admin.NewMetrics(admin.Build{})
	m.CountBans(func() ratelimit.Tally {
		return ratelimit.Tally{
			InForce: map[ratelimit.Kind]int{ratelimit.User: 3, "evil": 9},
			Begun:   map[string]uint64{ratelimit.ByHand: 2, string(ratelimit.Flapping): 5, "evil": 9},
		}
	})
	o := newBanList(0).options()
	o.Metrics = m
	body := ask(t, http.MethodGet, start(t, o)+"/metrics").body
	for _, want := range []string{
		`mqttward_bans{kind="network"} 0`, `mqttward_bans{kind="user"} 3`, `mqttward_bans{kind="client_id"} 0`,
		`mqttward_bans_begun_total{reason="manual"} 2`, `mqttward_bans_begun_total{reason="flapping"} 5`, `mqttward_bans_begun_total{reason="auth_failures"} 0`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(body, "evil") {
		t.Error("a strange label is shown")
	}
}
