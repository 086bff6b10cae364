package app

import (
	"bytes"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/ratelimit"
)

// TestBanned: which sessions a ban ends.
func TestBanned(t *testing.T) {
	sessions := []proxy.ClientInfo{
		{Session: 1, ClientID: "a", BrokerID: "a", Username: "eve", Remote: netip.MustParseAddrPort("192.0.2.1:1")},
		{Session: 2, ClientID: "a", BrokerID: "acme-a", Username: "eve", Tenant: "acme", Remote: netip.MustParseAddrPort("[::ffff:192.0.2.2]:1")},
		{Session: 3, ClientID: "b", BrokerID: "b", Username: "bob", Remote: netip.MustParseAddrPort("192.0.2.9:1")},
		{Session: 4, ClientID: "c", BrokerID: "c", Remote: netip.MustParseAddrPort("[fe80::1%eth0]:1")},
		{Session: 5, ClientID: "d", BrokerID: "d"},
		{Session: 6, ClientID: strings.Repeat("x", 1000), BrokerID: strings.Repeat("x", 1000)},
	}
	for _, tt := range []struct {
		kind  ratelimit.Kind
		value string
		want  []uint64
	}{
		{ratelimit.Network, "192.0.2.0/24", []uint64{1, 2}}, // 192.0.2.9 is exempt
		{ratelimit.Network, "192.0.2.1", []uint64{1}},
		{ratelimit.Network, "::/0", []uint64{4}},
		{ratelimit.User, "eve", []uint64{1}},
		{ratelimit.User, "acme/eve", []uint64{2}},
		{ratelimit.Client, "a", []uint64{1}},
		{ratelimit.Client, "acme-a", []uint64{2}},
		{ratelimit.Client, strings.Repeat("x", 1000), []uint64{6}},
		{ratelimit.Client, strings.Repeat("x", 999), nil},
	} {
		a := &App{shared: newShared()}
		a.shared.bans.SetRules(nil, ratelimit.Exempt{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}})
		s, err := ratelimit.Subject{Kind: tt.kind, Value: tt.value}.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		// Another ban ends nothing.
		for _, ban := range []ratelimit.Ban{{Subject: s}, {Subject: ratelimit.Subject{Kind: ratelimit.User, Value: "bob"}}, {Subject: ratelimit.Subject{Kind: ratelimit.Network, Value: "192.0.0.0/16"}}} {
			if err := a.shared.bans.Put(time.Now(), ban); err != nil {
				t.Fatal(err)
			}
		}
		match := bans{a}.banned(s)
		var got []uint64
		for _, c := range sessions {
			if match(c) {
				got = append(got, c.Session)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s %.20s: %v, want %v", tt.kind, tt.value, got, tt.want)
		}
	}
}

// TestBanIsAudited with who asked for it, and without what a terminal obeys.
func TestBanIsAudited(t *testing.T) {
	var log bytes.Buffer
	silent := slog.New(slog.DiscardHandler)
	a := &App{shared: newShared(), logs: &Logs{Audit: slog.New(slog.NewTextHandler(&log, nil))}, server: proxy.NewServer(nil, silent, silent)}
	api := bans{a}
	eve := ratelimit.Subject{Kind: ratelimit.User, Value: "eve\u202e"}
	if n, err := api.Ban("somebody", ratelimit.Ban{Subject: eve, Reason: "why\x1b"}); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if list := api.List(); len(list) != 1 || list[0].Subject != eve {
		t.Errorf("%+v", list)
	}
	if !api.Unban("somebody else", eve) || api.Unban("nobody", eve) {
		t.Error("Unban does not tell whether there was a ban")
	}
	for _, want := range []string{
		`msg=banned by=somebody kind=user value="eve�" until=lifted reason="why�" sessions=0`,
		`msg="ban lifted" by="somebody else" kind=user value="eve�"`,
	} {
		if strings.Count(log.String(), want+"\n") != 1 {
			t.Errorf("no %s in\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "nobody") {
		t.Errorf("what did not happen is logged:\n%s", log.String())
	}
}
