package configs

import (
	"net/url"
	"regexp"
	"strings"
)

var fingerprintForm = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)

// certificateLists checks which certificates a method accepts. An empty list
// would accept none, and one that accepts everything is none.
func (l *loader) certificateLists(path string, m *Method) {
	for _, list := range []struct {
		name  string
		items []string
	}{{"allow_users", m.AllowUsers}, {"fingerprints", m.Fingerprints}} {
		if list.items != nil && len(list.items) == 0 {
			l.fail(key(path, list.name), "is an empty list: remove the key, or the method")
		}
	}
	for i, glob := range m.AllowUsers {
		if glob == "" {
			l.fail(item(key(path, "allow_users"), i), "wants a user name, in which * stands for any run of characters")
		}
	}
	for i, f := range m.Fingerprints {
		if !fingerprintForm.MatchString(strings.ReplaceAll(f, ":", "")) {
			l.fail(item(key(path, "fingerprints"), i), "wants the SHA-256 of a certificate, 64 hexadecimal digits, not %s", quote(f))
		}
	}
}

// ocsp checks whom to ask whether certificates are revoked.
func (l *loader) ocsp(path string, t *TLS) {
	if l.unsure(key(path, "ocsp")) || l.unsure(key(path, "staple")) {
		return
	}
	for _, k := range []struct{ name, value string }{{"ocsp_url", t.OCSPURL}, {"ocsp_ca", t.OCSPCA}} {
		if k.value != "" && t.OCSP == OCSPOff && !t.Staple {
			l.fail(key(path, k.name), "has no effect without ocsp: soft or hard, or staple: true")
		}
	}
	if t.OCSPURL == "" {
		return
	}
	u, err := url.Parse(t.OCSPURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		l.fail(key(path, "ocsp_url"), "wants the URL of a responder, http://host/ or https://host/, not %s", quote(t.OCSPURL))
	}
}
