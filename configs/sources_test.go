package configs

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestSources(t *testing.T) {
	with := func(text string) string {
		return strings.Replace(minimal, "name: broker,", "name: broker, source_addresses: "+text+",", 1)
	}
	c := mustParse(t, with("[127.0.0.2, 127.0.0.3]"))
	if want := []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}; !slices.Equal(c.Backends[0].SourceAddresses, want) {
		t.Errorf("%v, want %v", c.Backends[0].SourceAddresses, want)
	}
	const at = "mqttward.yaml:3: backends[0].source_addresses"
	for text, want := range map[string]string{
		"[]":                     ": is an empty list: remove the key to leave the address to the system",
		"[10.0.0.256]":           `[0]: wants an IP address of this machine, not "10.0.0.256"`,
		"[gateway]":              `[0]: wants an IP address of this machine, not "gateway"`,
		"[0.0.0.0]":              `[0]: wants an IP address of this machine, not "0.0.0.0"`,
		"[224.0.0.1]":            `[0]: wants an IP address of this machine, not "224.0.0.1"`,
		`["::ffff:10.0.0.1"]`:    `[0]: wants an IP address of this machine, not "::ffff:10.0.0.1"`,
		`[127.0.0.2, "::1"]`:     "[1]: ::1 is not of the IP version of the server 127.0.0.1:1883",
		"[127.0.0.2, 127.0.0.2]": "[1]: is backends[0].source_addresses[0] too",
	} {
		if _, err := parse(t, with(text)); err == nil || err.Error() != at+want {
			t.Errorf("%s: %v, want %s", text, err, at+want)
		}
	}
	unix := strings.Replace(with("[127.0.0.2]"), "127.0.0.1:1883", "unix:/run/broker", 1)
	if _, err := parse(t, unix); err == nil || err.Error() != at+"[0]: has no effect: unix:/run/broker is a Unix socket" {
		t.Error(err)
	}
}
