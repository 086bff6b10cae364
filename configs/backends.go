package configs

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Backend is brokers that are one to clients.
type Backend struct {
	Name    string   `yaml:"name"`
	Servers []Server `yaml:"servers"`
	Probe   Probe    `yaml:"probe"`

	// Balance says which server a client gets: its own, as long as that can be used, the
	// one with the fewest connections, or the next.
	Balance string `yaml:"balance" oneof:"client_id least_connections round_robin"`

	Health    *Health       `yaml:"health"` // nil: servers are not asked
	Outlier   Outlier       `yaml:"outlier"`
	SlowStart time.Duration `yaml:"slow_start"` // in which a server that is back comes to its weight
	Resolve   *Resolve      `yaml:"resolve"`    // nil: a name is one server, looked up by each dial

	SourceAddresses []netip.Addr `yaml:"source_addresses"` // from which servers are dialled, in turn; nil: the kernel chooses

	MaxConnections int `yaml:"max_connections"` // of each server that has no number of its own; 0: any number

	TLS           *UpstreamTLS `yaml:"tls"` // nil: plaintext
	Credentials   Credentials  `yaml:"credentials"`
	ProxyProtocol string       `yaml:"proxy_protocol" oneof:"off v1 v2"` // in which servers are told who the client is
}

// Server is an address at which a broker answers, or a name by which such are found.
type Server struct {
	Address        Address `yaml:"address"`
	SRV            string  `yaml:"srv"`             // the full name of SRV records; "": Address is given
	Weight         int     `yaml:"weight"`          // of its share of sessions, against those of the others
	MaxConnections int     `yaml:"max_connections"` // 0: as the backend says
	Maintenance    bool    `yaml:"maintenance"`     // it gets no new sessions, and loses those that it has

	// ServerReference is where its MQTT 5.0 clients are to go when they lose their
	// sessions, see Drain; "": they come back, and get another server.
	ServerReference string `yaml:"server_reference"`
}

// The values of Health.Type.
const (
	HealthTCP  = "tcp"  // a connection is enough
	HealthMQTT = "mqtt" // CONNECT and PINGREQ are answered
)

// Health is how servers are asked whether they serve.
type Health struct {
	Interval time.Duration `yaml:"interval"` // 0: they are not asked
	Timeout  time.Duration `yaml:"timeout"`
	Type     string        `yaml:"type" oneof:"tcp mqtt"`
	Rise     int           `yaml:"rise"` // answers in a row until a server that was down is used
	Fall     int           `yaml:"fall"` // questions in a row without an answer until one is not used any more

	// EndSessions ends the sessions of a server that does not serve any more, as if it
	// were in maintenance: their clients need not find out for themselves.
	EndSessions bool `yaml:"end_sessions"`
}

// Outlier is when a server that fails sessions is left out.
type Outlier struct {
	Failures   int           `yaml:"failures"` // in a row; 0: never
	Time       time.Duration `yaml:"time"`
	MaxEjected int           `yaml:"max_ejected"` // percent of the servers
}

// Resolve is how names become servers: each address that one has is a server of its
// own.
type Resolve struct {
	Interval time.Duration `yaml:"interval"`
	Server   string        `yaml:"server"` // "host:port" of the DNS server; "": the system's
}

// UpstreamTLS is the client's side of TLS, towards servers.
type UpstreamTLS struct {
	CA         string `yaml:"ca"` // file; "": the system's
	Cert       string `yaml:"cert"`
	Key        string `yaml:"key"`
	ServerName string `yaml:"server_name"` // that certificates are for; "": the server's host
	MinVersion string `yaml:"min_version" oneof:"1.2 1.3"`

	InsecureSkipVerify bool `yaml:"insecure_skip_verify"` // anybody may say to be the broker
}

// The values of Credentials.Mode.
const (
	CredentialsPass    = "pass"    // what the client sent
	CredentialsStrip   = "strip"   // none
	CredentialsReplace = "replace" // those given
)

// Credentials are the user name and the password that the broker gets.
type Credentials struct {
	Mode         string `yaml:"mode" oneof:"pass strip replace"`
	Username     string `yaml:"username"`      // template; exactly with CredentialsReplace
	PasswordFile string `yaml:"password_file"` // only with CredentialsReplace
}

// Probe is the login with which a broker is asked for its version and how it is.
type Probe struct {
	Username     string `yaml:"username"`      // "": none
	PasswordFile string `yaml:"password_file"` // "": none; only with Username
}

// several reports whether the backend has, or may find, more than one server.
func (b *Backend) several() bool { return len(b.Servers) > 1 || b.Resolve != nil }

// completeBackend fills in what was left out; 0 that is written stays.
func (c *Config) completeBackend(i int) {
	b, path := &c.Backends[i], item("backends", i)
	b.Credentials.Mode = cmp.Or(b.Credentials.Mode, CredentialsPass)
	b.ProxyProtocol = cmp.Or(b.ProxyProtocol, "off")
	b.Balance = cmp.Or(b.Balance, "client_id")
	if slices.ContainsFunc(b.Servers, func(s Server) bool { return s.SRV != "" }) && b.Resolve == nil {
		b.Resolve = &Resolve{}
	}
	if b.Resolve != nil && !c.written(key(path, "resolve.interval")) {
		b.Resolve.Interval = 30 * time.Second
	}
	if b.Health == nil && b.several() {
		b.Health = &Health{}
	}
	if h := b.Health; h != nil {
		if !c.written(key(path, "health.interval")) {
			h.Interval = 5 * time.Second
		}
		h.Timeout = cmp.Or(h.Timeout, min(2*time.Second, h.Interval))
		h.Type, h.Rise, h.Fall = cmp.Or(h.Type, HealthMQTT), cmp.Or(h.Rise, 2), cmp.Or(h.Fall, 2)
	}
	if !c.written(key(path, "outlier.failures")) {
		b.Outlier.Failures = 5
	}
	if !c.written(key(path, "outlier.max_ejected")) {
		b.Outlier.MaxEjected = 50
	}
	b.Outlier.Time = cmp.Or(b.Outlier.Time, 10*time.Second)
	for j := range b.Servers {
		s := &b.Servers[j]
		if !c.written(key(item(key(path, "servers"), j), "weight")) {
			s.Weight = 1
		}
		s.MaxConnections = cmp.Or(s.MaxConnections, b.MaxConnections)
	}
	if b.TLS != nil {
		b.TLS.MinVersion = cmp.Or(b.TLS.MinVersion, "1.2")
	}
}

func (l *loader) backends() {
	if len(l.cfg.Backends) == 0 {
		l.missing("backends", "is required: the broker that stands behind")
	}
	for i := range l.cfg.Backends {
		b, path := &l.cfg.Backends[i], item("backends", i)
		if len(b.Servers) == 0 {
			l.missing(key(path, "servers"), "is required: servers with their addresses")
		}
		for j := range b.Servers {
			l.server(item(key(path, "servers"), j), b.Servers[j], b.Servers[:j])
		}
		l.sources(key(path, "source_addresses"), b)
		l.credentials(key(path, "credentials"), &b.Credentials)
		l.upstreamTLS(path, b)
		l.backendTimes(path, b)
		if b.Probe.PasswordFile != "" && b.Probe.Username == "" {
			l.missing(key(key(path, "probe"), "username"), "is required with password_file")
		}
	}
}

// maxWeight keeps one server from taking all that others could be meant to get.
const maxWeight = 1000

func (l *loader) server(path string, s Server, before []Server) {
	if s.Weight < 1 || s.Weight > maxWeight {
		l.fail(key(path, "weight"), "wants 1 to %d (maintenance: true leaves a server out)", maxWeight)
	}
	l.reference(key(path, "server_reference"), s.ServerReference)
	if s.SRV != "" {
		if s.Address != "" {
			l.fail(path, "has an address and srv: keep one of them")
		}
		if !srvForm.MatchString(s.SRV) {
			l.fail(key(path, "srv"), "wants the full name of SRV records, such as _mqtt._tcp.plant.example, not %s", quote(s.SRV))
		}
		return
	}
	at := key(path, "address")
	l.serverAddress(at, s.Address)
	if other := slices.IndexFunc(before, func(b Server) bool { return b.Address == s.Address }); other >= 0 && s.Address != "" {
		l.fail(at, "is the address of %s too", item(parent(path), other))
	}
}

var srvForm = regexp.MustCompile(`^_[A-Za-z0-9-]+\._tcp(\.[A-Za-z0-9_-]+)+\.?$`)

func (l *loader) serverAddress(path string, a Address) {
	switch {
	case a == "":
		l.missing(path, "is required")
	case strings.HasPrefix(string(a), ":") || a.port() == "0":
		l.fail(path, "wants the broker's host and port, not %s", quote(string(a)))
	}
	for _, listener := range l.cfg.Listeners {
		if a != "" && listener.Address == a {
			l.fail(path, "is a listener's own address: connections would run in a circle")
		}
	}
}

func (l *loader) credentials(path string, c *Credentials) {
	replace := c.Mode == CredentialsReplace
	switch {
	case replace && c.Username == "":
		l.missing(key(path, "username"), "is required for mode: replace")
	case !replace && c.Username != "":
		l.fail(key(path, "username"), "has no effect without mode: replace")
	}
	if !replace && c.PasswordFile != "" {
		l.fail(key(path, "password_file"), "has no effect without mode: replace")
	}
}

func (l *loader) upstreamTLS(path string, b *Backend) {
	t := b.TLS
	if t == nil {
		return
	}
	path = key(path, "tls")
	switch {
	case t.Cert != "" && t.Key == "":
		l.missing(key(path, "key"), "is required with cert")
	case t.Cert == "" && t.Key != "":
		l.missing(key(path, "cert"), "is required with key")
	}
	if t.InsecureSkipVerify && t.CA != "" {
		l.fail(key(path, "ca"), "has no effect with insecure_skip_verify: keep one of them")
	}
	unix := func(s Server) bool { network, _ := s.Address.Split(); return network == "unix" && s.SRV == "" }
	if t.ServerName == "" && !t.InsecureSkipVerify && slices.ContainsFunc(b.Servers, unix) {
		l.missing(key(path, "server_name"), "is required: a Unix socket has no name that a certificate could be for")
	}
}

func (l *loader) backendTimes(path string, b *Backend) {
	if h := b.Health; h != nil && h.Timeout > h.Interval && h.Interval > 0 {
		l.fail(key(key(path, "health"), "timeout"), "wants at most the interval, which is %s", h.Interval)
	}
	if b.Outlier.MaxEjected < 1 || b.Outlier.MaxEjected > 100 {
		l.fail(key(path, "outlier.max_ejected"), "wants a part in percent, from 1 to 100 (failures: 0 leaves nobody out)")
	}
	l.idle(path, b)
	if b.Resolve == nil {
		return
	}
	at := key(path, "resolve")
	if !slices.ContainsFunc(b.Servers, Server.named) {
		l.fail(at, "has no effect: no server has the name of a host, or srv")
	}
	if b.Resolve.Interval < time.Second {
		l.fail(key(at, "interval"), "wants at least 1s")
	}
	if s := b.Resolve.Server; s != "" {
		if err := hostPort(s); err != nil {
			l.fail(key(at, "server"), "%v", err)
		}
	}
}

// idle finds what is said of questions that are not asked, and of who is never left out.
func (l *loader) idle(path string, b *Backend) {
	for _, k := range []string{"timeout", "type", "rise", "fall", "end_sessions"} {
		if at := key(path, "health."+k); b.Health != nil && b.Health.Interval == 0 && l.cfg.written(at) {
			l.fail(at, "has no effect with interval: 0")
		}
	}
	for _, k := range []string{"time", "max_ejected"} {
		if at := key(path, "outlier."+k); b.Outlier.Failures == 0 && l.cfg.written(at) {
			l.fail(at, "has no effect with failures: 0")
		}
	}
}

// named reports whether the server is found by a name.
func (s Server) named() bool {
	network, address := s.Address.Split()
	host, _, _ := net.SplitHostPort(address)
	_, err := netip.ParseAddr(host)
	return s.SRV != "" || network != "unix" && err != nil
}

// hostPort checks the address of a server that names are looked up at.
func hostPort(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || port == "" || port == "0" {
		return fmt.Errorf("wants the host and port of a DNS server, not %s", quote(text))
	}
	return nil
}
