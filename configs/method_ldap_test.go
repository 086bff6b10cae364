package configs

import (
	"strings"
	"testing"
)

func TestLDAPMethod(t *testing.T) {
	method := func(more string) string {
		return strings.Replace(minimal, "type: password, file: users", "type: ldap, "+more, 1)
	}
	const form = "mqttward.yaml:4: authn[0].url: wants ldap://host:port or ldaps://host:port, and nothing else"
	for _, keys := range []string{
		`url: "ldaps://h", base_dn: "dc=x"`,
		`url: "ldaps://h:1/", ca: ca, user_dn: "uid=${username}"`,
		`url: "ldap://h", start_tls: true, ca: ca, base_dn: "dc=x", bind_dn: "cn=a", password_file: key`,
		`url: "ldap://127.0.0.1", base_dn: "dc=x"`,
		`url: "ldap://[::1]:389", base_dn: "dc=x"`,
		`url: "ldap://localhost", base_dn: "dc=x"`,
	} {
		m := mustParse(t, method(keys)).Authn[0]
		if want := map[bool]string{true: "(uid=${username})"}[m.UserDN == ""]; m.UserFilter != want {
			t.Errorf("%s: user_filter %q, want %q", keys, m.UserFilter, want)
		}
	}
	for _, test := range []struct{ keys, want string }{
		{`base_dn: "dc=x"`, "mqttward.yaml:4: authn[0].url: is required for type ldap"},
		{`url: "http://h", base_dn: "dc=x"`, form},
		{`url: "ldaps://", base_dn: "dc=x"`, form},
		{`url: "ldaps://u:hush@h", base_dn: "dc=x"`, form},
		{`url: "ldaps://h/dc=x", base_dn: "dc=x"`, form},
		{`url: "ldaps://h?sub", base_dn: "dc=x"`, form},
		{`url: "ldap://h", base_dn: "dc=x"`, "mqttward.yaml:4: authn[0].url: credentials would cross the network in the clear: h is not loopback (ldaps://, or start_tls: true)"},
		{`url: "ldap://0.0.0.0", base_dn: "dc=x"`, "mqttward.yaml:4: authn[0].url: credentials would cross the network in the clear: 0.0.0.0 is not loopback (ldaps://, or start_tls: true)"},
		{`url: "ldaps://h", start_tls: true, base_dn: "dc=x"`, "mqttward.yaml:4: authn[0].start_tls: contradicts ldaps://, which is TLS from the start"},
		{`url: "ldap://localhost", ca: ca, base_dn: "dc=x"`, "mqttward.yaml:4: authn[0].ca: has no effect without ldaps:// or start_tls"},
		{`url: "ldaps://h"`, "mqttward.yaml:4: authn[0].base_dn: is required without user_dn: below which entry users are searched for"},
		{`url: "ldaps://h", base_dn: "dc=x", user_dn: u`, "mqttward.yaml:4: authn[0].base_dn: contradicts user_dn: keep one of them"},
		{`url: "ldaps://h", user_filter: f, user_dn: u`, "mqttward.yaml:4: authn[0].user_filter: contradicts user_dn: keep one of them"},
		{`url: "ldaps://h", base_dn: "dc=x", bind_dn: "cn=a"`, "mqttward.yaml:4: authn[0].password_file: is required with bind_dn"},
		{`url: "ldaps://h", base_dn: "dc=x", password_file: key`, "mqttward.yaml:4: authn[0].bind_dn: is required with password_file"},
		{`url: "ldap://h", start_tls: maybe, base_dn: "dc=x"`, `mqttward.yaml:4: authn[0].start_tls: wants true or false, not "maybe"`},
	} {
		if _, err := parse(t, method(test.keys)); err == nil || err.Error() != test.want {
			t.Errorf("%s: got\n%v\nwant\n%s", test.keys, err, test.want)
		}
	}
}
