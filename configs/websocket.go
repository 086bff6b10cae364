package configs

import (
	"net/url"
	"strings"
)

func (l *loader) webSocket(path string, s Listener) {
	if s.Transport != TransportWebSocket {
		if l.unsure(key(path, "transport")) {
			return
		}
		for _, idle := range []struct {
			name string
			set  bool
		}{{"path", s.Path != ""}, {"origins", s.Origins != nil}} {
			if idle.set {
				l.fail(key(path, idle.name), "has no effect without transport: websocket")
			}
		}
		return
	}
	if !plainPath(s.Path) {
		l.fail(key(path, "path"), "wants a path such as /mqtt, not %s", quote(s.Path))
	}
	if s.Origins != nil && len(s.Origins) == 0 {
		l.fail(key(path, "origins"), "is an empty list: no browser could connect; left out, pages of the same host can")
	}
	for i, origin := range s.Origins {
		if !plainOrigin(origin) {
			l.fail(item(key(path, "origins"), i), "wants the origin of pages as browsers say it, such as https://app.example or http://app.example:8080, without the usual port, or https://*.example.com for all below a name, not %s", quote(origin))
		}
	}
}

// plainPath reports whether path is written as a request has it: nothing in it would have
// to be escaped, and no query is part of it.
func plainPath(path string) bool {
	u, err := url.Parse(path)
	return err == nil && strings.HasPrefix(path, "/") && u.Path == path && u.EscapedPath() == path && u.Host == ""
}

// plainOrigin reports whether origin is one that a browser can send (RFC 6454 section
// 6.2), or all those below a name. Browsers leave the usual port out, and no page comes
// by WebSocket.
func plainOrigin(origin string) bool {
	scheme, host, _ := strings.Cut(origin, "://")
	host = strings.TrimPrefix(host, "*.")
	u, err := url.Parse(scheme + "://" + host)
	return err == nil && u.Hostname() != "" && u.Host == host && u.Scheme == scheme && !strings.HasSuffix(host, ":") &&
		origin == strings.ToLower(origin) && !strings.Contains(host, "*") &&
		scheme != "ws" && scheme != "wss" && scheme+u.Port() != "http80" && scheme+u.Port() != "https443"
}
