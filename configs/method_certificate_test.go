package configs

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// plc is a configuration with the keys of clients' certificates; tls and method
// are added to.
func plc(tls, method string) string {
	return `
listeners: [{name: a, address: ":1", tls: {certificates: [{cert: crt, key: key}]` + tls + `}}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1883"}]}]
authn: [{name: plc, type: certificate` + method + `}]
`
}

const asks = ", client_auth: required, client_ca: ca"

func TestCertificateKeys(t *testing.T) {
	fingerprint := strings.Repeat("0A", 32)
	c := mustParse(t, plc(asks+`, ocsp: hard, ocsp_url: "https://ocsp.example/x", ocsp_ca: ca, staple: true`,
		`, allow_users: ["plc-*"], fingerprints: ["`+fingerprint+`"], groups_from: ou, groups_file: users`))
	got := c.Listeners[0].TLS
	want := &TLS{
		Certificates: []Certificate{{Cert: filepath.Join(c.dir, "crt"), Key: filepath.Join(c.dir, "key")}},
		MinVersion:   "1.2", ClientAuth: ClientAuthRequired, ClientCA: filepath.Join(c.dir, "ca"),
		OCSP: OCSPHard, OCSPURL: "https://ocsp.example/x", OCSPCA: filepath.Join(c.dir, "ca"), Staple: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	m := c.Authn[0]
	if groups := filepath.Join(c.dir, "users"); m.GroupsFrom != GroupsFromUnits || m.GroupsFile != groups || !slices.Contains(c.Files(), groups) {
		t.Errorf("got %+v, files %q", m, c.Files())
	}
	if !slices.Equal(m.AllowUsers, []string{"plc-*"}) || !slices.Equal(m.Fingerprints, []string{fingerprint}) {
		t.Errorf("got %+v", m)
	}
}

func TestCertificateMistakes(t *testing.T) {
	const (
		list        = "mqttward.yaml:4: authn[0]."
		tls         = "mqttward.yaml:2: listeners[0].tls."
		fingerprint = "wants the SHA-256 of a certificate, 64 hexadecimal digits, not "
	)
	digits := strings.Repeat("0a", 32)
	for _, test := range []struct{ name, tls, method, want string }{
		{"no users", asks, ", allow_users: []", list + "allow_users: is an empty list: remove the key, or the method"},
		{"nameless user", asks, `, allow_users: [a, ""]`, list + "allow_users[1]: wants a user name, in which * stands for any run of characters"},
		{"no fingerprints", asks, ", fingerprints: []", list + "fingerprints: is an empty list: remove the key, or the method"},
		{"short fingerprint", asks, `, fingerprints: ["` + digits[2:] + `"]`, list + "fingerprints[0]: " + fingerprint + `"` + digits[2:60+2] + `"…`},
		{"glob of fingerprints", asks, `, fingerprints: ["0a*"]`, list + "fingerprints[0]: " + fingerprint + `"0a*"`},
		{"no place for groups", asks, ", groups_from: cn", list + `groups_from: wants ou, not "cn"`},
		{"no file of groups", asks, ", groups_file: absent", list + "groups_file: no such file: absent"},
		{"idle OCSP", ", ocsp: soft", "", tls + "ocsp: has no effect without client_auth: optional or required"},
		{"no such mode", asks + ", ocsp: on", "", tls + `ocsp: wants off, soft or hard, not "on"`},
		{"idle responder", asks + `, ocsp_url: "http://a/"`, "", tls + "ocsp_url: has no effect without ocsp: soft or hard, or staple: true"},
		{"idle authority of the responder", asks + ", ocsp_ca: ca", "", tls + "ocsp_ca: has no effect without ocsp: soft or hard, or staple: true"},
		{"no URL", asks + ", ocsp: hard, ocsp_url: ocsp.example", "", tls + `ocsp_url: wants the URL of a responder, http://host/ or https://host/, not "ocsp.example"`},
		{"other scheme", asks + `, ocsp: hard, ocsp_url: "ldap://a/"`, "", tls + `ocsp_url: wants the URL of a responder, http://host/ or https://host/, not "ldap://a/"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(t, plc(test.tls, test.method))
			if err == nil {
				t.Fatal("accepted")
			}
			lines := strings.Split(err.Error(), "\n")
			lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, "no listener that uses it asks") })
			if got := strings.Join(lines, "\n"); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}
