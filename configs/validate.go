package configs

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// validate checks what no value shows alone: names and references, what needs
// what, and the files.
func (l *loader) validate() {
	c := &l.cfg
	listeners := l.names("listeners", len(c.Listeners), func(i int) string { return c.Listeners[i].Name })
	backends := l.names("backends", len(c.Backends), func(i int) string { return c.Backends[i].Name })
	methods := l.names("authn", len(c.Authn), func(i int) string { return c.Authn[i].Name })
	l.listeners(backends, methods)
	l.backends()
	l.routes(listeners, backends)
	l.authn()
	l.allOf(methods)
	l.certificateMethods()
	if c.ClientID.Match != nil && len(c.ClientID.Match) == 0 {
		l.fail("client_id.match", "is an empty list: remove the key to allow any identifier")
	}
	l.authz(listeners)
	l.strict()
	l.payload()
	l.quotas(listeners)
	l.limits()
	l.rates()
	l.banRules()
	l.bans()
	l.drain()
	l.admin()
	l.log()
	l.files()
}

func (l *loader) authn() {
	c := &l.cfg
	if len(c.Authn) == 0 {
		l.missing("authn", "is required: without a method nobody can log in (type: anonymous lets everybody in)")
	}
	for i, m := range c.Authn {
		path := item("authn", i)
		if m.Type == "" {
			l.missing(key(path, "type"), "is required")
			continue
		}
		l.keys(path, &m)
		l.sourceTimeout(path, &m)
		switch m.Type {
		case MethodCertificate:
			l.certificateLists(path, &m)
		case MethodJWT:
			l.tokens(path, &m)
		case MethodRedis:
			l.redis(path, &m)
		case MethodLDAP:
			l.ldap(path, &m)
		case MethodHTTP:
			l.httpService(path, &m)
		case MethodSQL:
			l.sql(path, &m)
		}
	}
}

// partsOf returns the parts of a method of type all.
func (c *Config) partsOf(method string) []string {
	for _, m := range c.Authn {
		if m.Name == method {
			return m.Of
		}
	}
	return nil
}

// sourceTimeout leaves a login the time to wait for its turn, and then for the answer.
func (l *loader) sourceTimeout(path string, m *Method) {
	most := l.cfg.Limits.ConnectTimeout
	if m.remote() && most > 0 && m.Timeout > most/2 {
		l.fail(key(path, "timeout"), "wants at most half of limits.connect_timeout, which is %s", most)
	}
}

// certificateMethods refuses a certificate method that no listener can satisfy:
// the configuration would not do what it says. It can only be judged when the
// listeners are right.
func (l *loader) certificateMethods() {
	for path := range l.wrong {
		if strings.HasPrefix(path, "listeners") {
			return
		}
	}
	if l.meant["listeners"] {
		return
	}
	asks := func(m Method) bool {
		return slices.ContainsFunc(l.cfg.Listeners, func(s Listener) bool {
			return s.TLS != nil && s.TLS.ClientAuth != ClientAuthNone && slices.ContainsFunc(s.Authn, func(name string) bool {
				return name == m.Name || slices.Contains(l.cfg.partsOf(name), m.Name)
			})
		})
	}
	for i, m := range l.cfg.Authn {
		if m.Type == MethodCertificate && m.Name != "" && !asks(m) {
			l.fail(item("authn", i), "no listener that uses it asks for certificates (tls.client_auth: optional or required)")
		}
	}
}

func (l *loader) limits() {
	c := &l.cfg.Limits
	l.admission()
	l.seconds("limits.max_keepalive", c.MaxKeepalive, math.MaxUint16)
	l.seconds("limits.max_session_expiry", c.MaxSessionExpiry, math.MaxUint32)
	l.seconds("limits.max_will_delay", c.MaxWillDelay, math.MaxUint32)
	for _, bucket := range []struct {
		path  string
		empty bool
	}{
		{"limits.connect_rate", c.ConnectRate.PerSecond > 0 && c.ConnectRate.Burst == 0},
		{"limits.connect_rate_per_network", c.ConnectRatePerNetwork.PerSecond > 0 && c.ConnectRatePerNetwork.Burst == 0},
		{"limits.connect_rate_per_ip", c.ConnectRatePerIP.PerSecond > 0 && c.ConnectRatePerIP.Burst == 0},
		{"limits.publish_rate", c.PublishRate.PerSecond > 0 && c.PublishRate.Burst == 0},
		{"limits.publish_bytes", c.PublishBytes.PerSecond > 0 && c.PublishBytes.Burst == 0},
		{"limits.packet_rate", c.PacketRate.PerSecond > 0 && c.PacketRate.Burst == 0},
		{"limits.subscribe_rate", c.SubscribeRate.PerSecond > 0 && c.SubscribeRate.Burst == 0},
	} {
		if bucket.empty {
			l.fail(key(bucket.path, "burst"), "0 would let nothing pass; rate: 0 means no limit")
		}
	}
}

// seconds checks a duration that MQTT writes as a number of seconds, up to most.
func (l *loader) seconds(path string, d time.Duration, most int64) {
	switch {
	case d%time.Second != 0:
		l.fail(path, "wants whole seconds, not %s", d)
	case d/time.Second > time.Duration(most):
		l.fail(path, "wants at most %ds, the largest that MQTT can say", most)
	}
}

func (l *loader) admin() {
	a := &l.cfg.Admin
	l.socketMode("admin.mode", a.Address, a.Mode)
	if a.Address != "" && !a.Address.Local() && a.TokenFile == "" {
		l.missing("admin.token_file", "is required off loopback, and the address is %s", a.Address)
	}
}

func (l *loader) log() {
	audit := l.cfg.Log.Audit
	switch {
	case slices.Contains([]string{AuditStderr, AuditStdout, AuditOff}, audit):
	case !strings.ContainsAny(audit, "./"):
		// A bare word is a misspelt stderr, not the name of a file.
		l.fail("log.audit", "wants stderr, stdout, off or a file such as audit.log, not %s", quote(audit))
	default:
		l.cfg.Log.Audit = l.cfg.resolve(audit)
		if !isDirectory(filepath.Dir(l.cfg.Log.Audit)) {
			l.fail("log.audit", "no such directory for %s", quote(audit))
		}
		if isDirectory(l.cfg.Log.Audit) {
			l.fail("log.audit", "wants a file, and %s is a directory", quote(audit))
		}
	}
}

// nameForm keeps names fit for logs, metrics and the placeholder ${listener}.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// names checks that each entry of a list has a name of its own and returns the
// names; nil if one is missing or wrong, since then no reference can be judged.
func (l *loader) names(list string, n int, name func(int) string) []string {
	known, sound := []string{}, true
	for i := range n {
		path := key(item(list, i), "name")
		switch text := name(i); {
		case text == "":
			l.missing(path, "is required")
			sound = false
		case !nameForm.MatchString(text):
			l.fail(path, "wants up to 64 letters, digits, dots, dashes and underscores, not %s", quote(text))
			sound = false
		case slices.Contains(known, text):
			l.fail(path, "%s is the name of %s too", quote(text), item(list, slices.Index(known, text)))
		default:
			known = append(known, text)
			continue
		}
		known = append(known, "") // keeps the positions
	}
	if !sound {
		return nil
	}
	return known
}

// refer checks that name is one of the known; what says what it names. Without
// known names there is an error about that already.
func (l *loader) refer(path, what, name string, known []string) {
	if len(known) == 0 || slices.Contains(known, name) {
		return
	}
	candidates := map[string]bool{}
	for _, k := range known {
		candidates[k] = true
	}
	msg := fmt.Sprintf("no %s has the name %s", what, quote(name))
	if guess := nearest(name, candidates); guess != "" {
		msg += fmt.Sprintf("; did you mean %q?", guess)
	}
	l.fail(path, "%s", msg)
}
