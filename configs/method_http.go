package configs

import (
	"net"
	"net/url"
)

// goAuth reports whether the service speaks as mosquitto-go-auth's.
func (m *Method) goAuth() bool { return m.Contract == "go-auth" || m.Contract == "go-auth-jwt" }

// httpService checks what the keys of an http method need of each other.
func (l *loader) httpService(path string, m *Method) {
	l.serviceURL(path, m)
	for _, c := range []struct {
		key, why string
		wrong    bool
	}{
		{"answer", "belongs to the contracts go-auth and go-auth-jwt: the others have one form of answer", m.Answer != "" && !m.goAuth()},
		{"body", "is always json in the contract vernemq", m.Body == "form" && m.Contract == "vernemq"},
		{"token_file", "contradicts contract: go-auth-jwt: the header has the client's token", m.TokenFile != "" && m.Contract == "go-auth-jwt"},
	} {
		if c.wrong {
			l.fail(key(path, c.key), "%s", c.why)
		}
	}
}

// serviceURL sees to it that nobody on the way can read passwords or give the
// answer.
func (l *loader) serviceURL(path string, m *Method) {
	if m.URL == "" {
		return // reported as missing
	}
	at := key(path, "url")
	u, err := url.Parse(m.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		l.fail(at, "wants a URL with https, or http on this machine")
	case u.User != nil:
		l.fail(at, "holds a user: give a token_file instead")
	case u.Fragment != "":
		l.fail(at, "has a fragment, which is never sent")
	case u.Scheme == "http" && !onLoopback(u.Hostname()):
		l.fail(at, "wants https, since %s is not this machine: credentials would cross the network in the clear", u.Hostname())
	case u.Scheme == "http" && m.CA != "":
		l.fail(key(path, "ca"), "has no effect without https")
	}
}

func onLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
