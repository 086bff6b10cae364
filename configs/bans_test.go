package configs

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestBans(t *testing.T) {
	c := mustParse(t, minimal)
	if c.Bans.File != "" || c.Limits.AuthFailures != (BanRule{Max: 5, Window: time.Minute, Ban: 5 * time.Minute}) ||
		c.Limits.ProtocolErrors != (BanRule{Max: 20, Window: time.Minute, Ban: 5 * time.Minute}) ||
		c.Limits.Flapping != (BanRule{Max: 30, Window: time.Minute, Ban: time.Minute}) ||
		c.Limits.UserFlapping != (BanRule{Max: 300, Window: time.Minute, Ban: time.Minute}) ||
		c.Limits.Takeovers != (BanRule{Max: 10, Window: time.Minute, Ban: time.Minute}) {
		t.Errorf("defaults %+v %+v", c.Bans, c.Limits)
	}
	for per, want := range map[string]BanRule{
		"max_connections_per_identity: 100":                            {Max: 3000, Window: time.Minute, Ban: time.Minute},
		"max_connections_per_identity: 5000":                           {Max: maxOffences, Window: time.Minute, Ban: time.Minute},
		"max_connections_per_identity: 0":                              {},
		"max_connections_per_identity: 5000, user_flapping: {max: 7}":  {Max: 7, Window: time.Minute, Ban: time.Minute},
		"max_connections_per_identity: 1, user_flapping: {window: 2m}": {Max: 30, Window: 2 * time.Minute, Ban: time.Minute},
	} {
		if got := mustParse(t, minimal+"limits: {"+per+"}").Limits.UserFlapping; got != want {
			t.Errorf("%s: %+v, want %+v", per, got, want)
		}
	}
	c = mustParse(t, minimal+`limits:
  auth_failures: {max: 1, window: 2s, ban: 3h}
  protocol_errors: {max: 10000}
  flapping: {max: 0}
  takeovers: {window: 8760h, ban: 8760h}
bans: {file: state.json, exempt: {networks: [10.0.0.0/8, "2001:db8::1"], users: [admin], client_ids: [plc, "7"]}}
`)
	if c.Limits.AuthFailures != (BanRule{Max: 1, Window: 2 * time.Second, Ban: 3 * time.Hour}) ||
		c.Limits.ProtocolErrors != (BanRule{Max: 10000, Window: time.Minute, Ban: 5 * time.Minute}) ||
		c.Limits.Flapping != (BanRule{}) ||
		c.Limits.Takeovers != (BanRule{Max: 10, Window: maxBan, Ban: maxBan}) {
		t.Errorf("limits %+v", c.Limits)
	}
	want := Bans{File: c.resolve("state.json"), Exempt: Exempt{
		Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")},
		Users:    []string{"admin"}, ClientIDs: []string{"plc", "7"},
	}}
	if !reflect.DeepEqual(c.Bans, want) {
		t.Errorf("got %+v, want %+v", c.Bans, want)
	}
	if slices.Contains(c.Files(), want.File) {
		t.Error("the file is watched: every ban would reload the configuration")
	}
	const rule, bans = "mqttward.yaml:5: limits.flapping.", "mqttward.yaml:5: bans."
	for text, want := range map[string]string{
		"limits: {flapping: {window: 0}}":          rule + "window: 0 contradicts max: max: 0 bans nobody",
		"limits: {flapping: {max: 1, ban: 0s}}":    rule + "ban: 0 contradicts max: max: 0 bans nobody",
		"limits: {flapping: {max: 10001}}":         rule + "max: wants at most 10000",
		"limits: {flapping: {window: 8761h}}":      rule + "window: wants at most 8760h0m0s, which is a year",
		"limits: {flapping: {ban: 8761h}}":         rule + "ban: wants at most 8760h0m0s, which is a year",
		"bans: {file: none/state.json}":            bans + `file: no such directory for "none/state.json"`,
		`bans: {file: "./"}`:                       bans + `file: wants a file, and "./" is a directory`,
		`bans: {exempt: {users: [a, ""]}}`:         bans + "exempt.users[1]: is empty",
		`bans: {exempt: {client_ids: [""]}}`:       bans + "exempt.client_ids[0]: is empty",
		"bans: {exempt: {networks: [10.1.0.0/8]}}": bans + "exempt.networks[0]: has bits beyond its mask: 10.0.0.0/8 is meant, or another mask",
		"bans: {exempt: {usernames: [admin]}}":     bans + `exempt.usernames: unknown key`,
	} {
		if _, err := parse(t, minimal+text+"\n"); err == nil || err.Error() != want {
			t.Errorf("%s: got\n%v\nwant\n%s", text, err, want)
		}
	}
}
