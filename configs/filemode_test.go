package configs

import (
	"strings"
	"testing"
)

func TestFileMode(t *testing.T) {
	for text, want := range map[string]FileMode{
		"0660": 0o660, "660": 0o660, "0777": 0o777, "0600": 0o600, "007": 0o007,
		"": 0, "0": 0, "0000": 0, "0o660": 0, "1777": 0, "0668": 0, "rw": 0, "-660": 0, "0_660": 0, "00660": 0,
	} {
		var m FileMode
		if err := m.UnmarshalText([]byte(text)); m != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %o, %v; want %o", text, m, err, want)
		}
	}
}

func TestSocketMode(t *testing.T) {
	const rest = `
backends: [{name: broker, servers: [{address: "broker:1883"}]}]
authn: [{name: users, type: password, file: users}]
`
	c := mustParse(t, `
listeners: [{name: local, address: "unix:/run/mqtt.sock", mode: 0660}]
admin: {address: "unix:/run/admin.sock", mode: "0600"}
`+rest)
	if c.Listeners[0].Mode != 0o660 || c.Admin.Mode != 0o600 {
		t.Errorf("modes %o and %o", c.Listeners[0].Mode, c.Admin.Mode)
	}
	_, err := parse(t, `
listeners: [{name: local, address: "127.0.0.1:1883", mode: "0660"}]
admin: {address: "127.0.0.1:9883", mode: "0600"}
`+rest)
	for _, want := range []string{"listeners[0].mode: is for unix: addresses", "admin.mode: is for unix: addresses"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}
