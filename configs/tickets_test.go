package configs

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// ticketed is a configuration with session_tickets.
func ticketed(more string) string {
	return strings.Replace(minimal, `"127.0.0.1:1884"`,
		`"127.0.0.1:1884", tls: {certificates: [{cert: crt, key: key}], session_tickets: {`+more+`}}`, 1)
}

func TestSessionTickets(t *testing.T) {
	for _, test := range []struct {
		keys string
		want SessionTickets
	}{
		{"", SessionTickets{}},
		{"disabled: true", SessionTickets{Disabled: true}},
		{"key_file: key", SessionTickets{KeyFile: "key", Lifetime: 24 * time.Hour}},
		{"key_file: key, lifetime: 1m", SessionTickets{KeyFile: "key", Lifetime: time.Minute}},
		{"key_file: key, lifetime: 168h", SessionTickets{KeyFile: "key", Lifetime: 168 * time.Hour}},
	} {
		c := mustParse(t, ticketed(test.keys))
		if test.want.KeyFile != "" {
			test.want.KeyFile = c.resolve(test.want.KeyFile)
		}
		if got := c.Listeners[0].TLS.SessionTickets; got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.keys, got, test.want)
		}
	}
	const path = "mqttward.yaml:2: listeners[0].tls.session_tickets."
	for keys, want := range map[string]string{
		"disabled: true, key_file: key":   path + "key_file: has no effect with disabled: true",
		"disabled: true, lifetime: 1h":    path + "lifetime: has no effect with disabled: true",
		"lifetime: 1h":                    path + "key_file: is required with lifetime",
		"keyfile: key, lifetime: 1h":      path + `keyfile: unknown key; did you mean "key_file"?`,
		"key_file: tickets":               path + "key_file: no such file: tickets",
		"key_file: key, lifetime: 59s":    path + "lifetime: wants 1m to 168h, which are seven days, not 59s",
		"key_file: key, lifetime: 168.1h": path + "lifetime: wants 1m to 168h, which are seven days, not 168h6m0s",
	} {
		if _, err := parse(t, ticketed(keys)); err == nil || err.Error() != want {
			t.Errorf("%s: got\n%v\nwant\n%s", keys, err, want)
		}
	}
}

// TestSecretOfTickets: the file is watched, and no other user may read it.
func TestSecretOfTickets(t *testing.T) {
	c := mustParse(t, ticketed("key_file: users"))
	if !slices.Contains(c.Files(), c.resolve("users")) {
		t.Errorf("Files() = %q", c.Files())
	}
	if err := os.Chmod("users", 0o644); err != nil {
		t.Fatal(err)
	}
	const want = "mqttward.yaml:2: listeners[0].tls.session_tickets.key_file: every user of this machine may read the file (mode 0644)"
	if got := c.Warnings(); !slices.Contains(got, want) {
		t.Errorf("warnings %q", got)
	}
}
