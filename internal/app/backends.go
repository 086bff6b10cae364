package app

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/proxy/backend"
	"github.com/mqttward/mqttward/ratelimit"
)

var balances = map[string]backend.Balance{
	"client_id": backend.ByClientID, "least_connections": backend.LeastConnections, "round_robin": backend.RoundRobin,
}

var proxyProtocol = map[string]byte{"off": 0, "v1": 1, "v2": 2}

// maxTickets is how many sessions of TLS with servers are kept for resumption.
const maxTickets = 64

// buildBackends reads what backends are made of, and makes what their servers are told
// of clients.
func (b *builder) buildBackends() {
	for i := range b.config.Backends {
		c, path := &b.config.Backends[i], fmt.Sprintf("backends[%d]", i)
		o := backend.Options{
			Name:          c.Name,
			Balance:       balances[c.Balance],
			Sources:       c.SourceAddresses,
			ProxyProtocol: proxyProtocol[c.ProxyProtocol],
			TLS:           b.upstreamTLS(path+".tls", c.TLS),
			Login:         b.login(path+".probe", c.Probe),
			Outlier:       backend.Outlier{Failures: c.Outlier.Failures, Time: c.Outlier.Time, MaxEjected: c.Outlier.MaxEjected},
			SlowStart:     c.SlowStart,
			Seats:         func() backend.Seats { return ratelimit.NewTurns(1) }, // the pool resizes them
			Changed:       b.shared.serverChanged(c.Name),
		}
		if h := c.Health; h != nil {
			o.Health = backend.Health{Interval: h.Interval, Timeout: h.Timeout, MQTT: h.Type == configs.HealthMQTT, Rise: h.Rise, Fall: h.Fall, EndSessions: h.EndSessions}
		}
		if r := c.Resolve; r != nil {
			o.Resolver, o.Resolve = backend.NewResolver(r.Server), r.Interval
		}
		for _, s := range c.Servers {
			o.Servers = append(o.Servers, backend.Spec{
				Address: string(s.Address), SRV: s.SRV, Weight: s.Weight, MaxConnections: s.MaxConnections, Maintenance: s.Maintenance, Reference: s.ServerReference,
			})
		}
		b.backends = append(b.backends, o)
		var own filters.Chain
		if c.Credentials.Mode != configs.CredentialsPass {
			own = filters.Chain{b.credentials(path+".credentials", c.Credentials)}
		}
		b.credentialsOf = append(b.credentialsOf, own)
	}
}

func (b *builder) upstreamTLS(path string, c *configs.UpstreamTLS) *tls.Config {
	if c == nil {
		return nil
	}
	t := &tls.Config{
		ServerName: c.ServerName, MinVersion: tlsVersions[c.MinVersion],
		InsecureSkipVerify: c.InsecureSkipVerify, //nolint:gosec // G402: spelled out by the operator, and warned of
		ClientSessionCache: tls.NewLRUClientSessionCache(maxTickets),
	}
	if c.CA != "" {
		t.RootCAs = x509.NewCertPool()
		cas, err := certificatesIn(c.CA)
		if err != nil {
			b.fail(path+".ca", err)
		}
		for _, ca := range cas {
			t.RootCAs.AddCert(ca)
		}
	}
	if c.Cert != "" && c.Key != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			b.fail(path+".cert", errors.New(strings.TrimPrefix(err.Error(), "tls: ")))
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t
}

// login is that of the proxy itself.
func (b *builder) login(path string, p configs.Probe) backend.Login {
	login := backend.Login{Username: p.Username}
	if p.PasswordFile == "" {
		return login
	}
	secret, err := os.ReadFile(p.PasswordFile)
	if err != nil {
		b.fail(path+".password_file", err)
	}
	login.Password = bytes.TrimRight(secret, "\r\n")
	return login
}

// makePools makes the backends, of which those of last keep what is known of servers.
func (b *builder) makePools(last *built) {
	for _, o := range b.backends {
		var old *backend.Pool
		if last != nil {
			old = last.pool(o.Name)
		}
		b.pools = append(b.pools, backend.New(o, old))
	}
}

// pool returns the backend of a name, nil if there is none.
func (b *built) pool(name string) *backend.Pool {
	for _, p := range b.pools {
		if p.Name() == name {
			return p
		}
	}
	return nil
}

// usePools begins to ask the servers of b, and stops with those of last, which may be
// nil.
func usePools(b, last *built) {
	if last != nil {
		for _, p := range last.pools {
			_ = p.Close()
		}
	}
	for _, p := range b.pools {
		p.Start()
	}
}

// serverChanged returns what tells operators of servers that fail or are back.
func (a *App) serverChanged(name string) func(string, error) {
	return func(server string, why error) {
		a.emptying.look()
		log := a.logs.Log.With("backend", name)
		switch {
		case server == "" && why != nil:
			log.Warn("servers cannot be looked up: those known so far are used", "error", why)
		case server == "":
			log.Info("servers can be looked up again")
		case why != nil:
			log.Warn("a server is not used for new sessions", "server", server, "error", why)
		default:
			log.Info("a server is used again", "server", server)
		}
	}
}
