package filters

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/netip"
	"net/url"
	"testing"
)

func TestSessionValue(t *testing.T) {
	full := &Session{
		ClientID: "plc-7",
		Identity: Identity{
			Username: "line-a", Tenant: "plant-1", Groups: []string{"machines"},
			Claims: map[string]string{"NAME": "value", "realm.role": "operator"},
		},
		RemoteAddr: netip.MustParseAddrPort("[::ffff:192.0.2.1]:1883"),
		Listener:   "mqtts",
		Certificate: certificate(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: "plc"}, DNSNames: []string{"plc.example"}, EmailAddresses: []string{"plc@plant.example"}, URIs: []*url.URL{parseURL(t, "spiffe://plant/plc")},
		}),
	}
	tests := []struct{ name, want string }{
		{"username", "line-a"},
		{"clientid", "plc-7"},
		{"ip", "192.0.2.1"},
		{"listener", "mqtts"},
		{"cert.cn", "plc"},
		{"cert.subject", "CN=plc"},
		{"cert.san.email", "plc@plant.example"},
		{"tenant", "plant-1"},
		{"group", "machines"},
		{"claims.realm.role", "operator"},
		{"claims.unheard of", ""},
		{"unheard of", ""},
		{"", ""},
	}
	for _, tt := range tests {
		got, ok := full.Value(tt.name)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%q: %q, %v, want %q", tt.name, got, ok, tt.want)
		}
	}
	for _, name := range placeholders {
		if _, ok := full.Value(name); !ok {
			t.Errorf("%q has no value", name)
		}
		if got, ok := new(Session).Value(name); ok || got != "" {
			t.Errorf("%q of an empty session: %q, %v", name, got, ok)
		}
	}
}

func TestPlainName(t *testing.T) {
	for name, want := range map[string]bool{
		"":              true,
		"plc-7":         true,
		"spiffe://a/b":  true,
		"$SYS":          true,
		"Jürgen":        true,
		"+":             false,
		"a#":            false,
		"a\x00":         false,
		"a\nb":          false,
		"a\x7f":         false,
		"a\u0085":       false,
		"\xff":          false,
		"\xed\xa0\x80":  false,
		"a/+/b":         false,
		"a b":           true,
		"\ufeffa":       true,
		"${username}":   true,
		"a\u200bb (ZW)": true,
	} {
		if got := PlainName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
