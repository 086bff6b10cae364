package configs

import (
	"net"
	"net/url"
	"slices"
)

// redis checks what the keys of a redis method need of each other. What its URL
// may hold, the method checks.
func (l *loader) redis(path string, m *Method) {
	if u, err := url.Parse(m.URL); err == nil && u.Scheme == "redis" && m.CA != "" {
		l.fail(key(path, "ca"), "has no effect without rediss://")
	}
}

// plainRedis warns of passwords that others on the network may read, or change.
func (w *warnings) plainRedis() {
	for i, m := range w.config.Authn {
		if u, err := url.Parse(m.URL); m.Type == MethodRedis && err == nil && inClear(u, "redis") {
			w.add(key(item("authn", i), "url"), "not on this machine and no TLS (rediss://): the hashes of passwords cross the network in the clear")
		}
	}
}

// inClear reports whether what goes to u crosses a network without TLS.
func inClear(u *url.URL, schemes ...string) bool {
	return slices.Contains(schemes, u.Scheme) && !Address(net.JoinHostPort(u.Hostname(), "0")).Local()
}
