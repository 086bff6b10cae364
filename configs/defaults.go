package configs

import (
	"cmp"
	"slices"
	"time"
)

// certificateUsername is the user name of a client certificate unless the
// method says otherwise.
const certificateUsername = "${cert.cn}"

// clientFlapping is how often a client may connect within a minute.
const clientFlapping = 30

// defaults is the configuration of an empty file: safe limits, the admin
// address on loopback, and nothing that lets anybody in.
func defaults() Config {
	return Config{
		Limits: Limits{
			MaxConnections:            10000,
			MaxConnectionsPerIP:       100,
			MaxConnectionsPerNetwork:  1000,
			MaxConnectionsPerIdentity: 10,
			AddressPrefix:             PrefixBits{IPv4: 32, IPv6: 64},
			NetworkPrefix:             PrefixBits{IPv4: 16, IPv6: 48},
			ConnectRate:               Rate{PerSecond: 500, Burst: 1000},
			ConnectRatePerNetwork:     Rate{PerSecond: 200, Burst: 1000},
			ConnectRatePerIP:          Rate{PerSecond: 10, Burst: 50},
			MaxHandshakes:             128,
			HandshakeTimeout:          10 * time.Second,
			ConnectTimeout:            5 * time.Second,
			PacketTimeout:             30 * time.Second,
			FlowTimeout:               time.Minute,
			MaxConnectSize:            8 * KiB,
			MaxPacketSize:             256 * KiB,
			MaxTopicLevels:            32,
			MaxTopicLength:            1024,
			MaxSubscriptions:          100,
			MaxFilters:                16,
			MaxInflight:               100,
			MaxTopicAliases:           16,
			MaxUserProperties:         32,
			MaxKeepalive:              20 * time.Minute,
			MaxSessionExpiry:          24 * time.Hour,
			MaxWillDelay:              24 * time.Hour,
			PublishRate:               PublishRate{PerSecond: 100, Burst: 200, Action: ActionDelay},
			PublishBytes:              PublishBytes{PerSecond: MiB, Burst: 4 * MiB, Action: ActionDelay},
			PacketRate:                PublishRate{PerSecond: 500, Burst: 1000, Action: ActionDelay},
			SubscribeRate:             PublishRate{PerSecond: 10, Burst: 50, Action: ActionDelay},
			AuthFailures:              BanRule{Max: 5, Window: time.Minute, Ban: 5 * time.Minute},
			ProtocolErrors:            BanRule{Max: 20, Window: time.Minute, Ban: 5 * time.Minute},
			Flapping:                  BanRule{Max: clientFlapping, Window: time.Minute, Ban: time.Minute},
			UserFlapping:              BanRule{Max: 10 * clientFlapping, Window: time.Minute, Ban: time.Minute},
			Takeovers:                 BanRule{Max: 10, Window: time.Minute, Ban: time.Minute},
		},
		Drain: Drain{Rate: 400, Timeout: 30 * time.Second},
		Admin: Admin{Address: "127.0.0.1:9883"},
		Log:   Log{Level: "info", Format: "auto", Audit: AuditStderr},

		Runtime: Runtime{MemoryLimit: MemoryLimit{Percent: 90}},

		BrokerProfile: "auto",
	}
}

// complete fills in what depends on other values. It runs before validation,
// so an entry may still be wrong in any way.
func (c *Config) complete() {
	for i := range c.Authn {
		c.Authn[i].complete()
	}
	for i := range c.Backends {
		c.completeBackend(i)
	}
	for i := range c.Listeners {
		c.completeListener(&c.Listeners[i])
	}
	c.Authz.complete()
	for i := range c.Authz.Rules {
		path := item("authz.rules", i)
		c.Authz.Rules[i].Place = Place{Path: path, Line: c.At(path)}
	}
	c.completePayload()
	c.completeQuotas()
	c.completeUserFlapping()
	c.Limits.complete()
}

// completeUserFlapping lets all clients that a user may have connect as often as any:
// after a restart of the broker all of them come at once.
func (c *Config) completeUserFlapping() {
	l := &c.Limits
	if !c.written("limits.user_flapping.max") {
		l.UserFlapping.Max = min(clientFlapping*l.MaxConnectionsPerIdentity, maxOffences) // 0: of no number of clients
	}
}

// complete grants subscriptions as Mosquitto does where only an acl_file decides.
func (a *Authz) complete() {
	a.Mode = cmp.Or(a.Mode, ModeEnforce)
	isACL := func(f RuleFile) bool { return f.Type == RulesACL }
	if a.Subscribe == "" && slices.ContainsFunc(a.Files, isACL) && a.refusesSubscriptions() < 0 {
		a.Subscribe = SubscribeFilter
	}
	a.Subscribe = cmp.Or(a.Subscribe, SubscribeDeny)
}

// refusesSubscriptions returns the first of the files whose format has rights to
// subscribe apart from those to receive; -1 if there is none. To grant every
// subscription would take the first away, where the second is often wide open.
func (a *Authz) refusesSubscriptions() int {
	return slices.IndexFunc(a.Files, func(f RuleFile) bool {
		return f.Type == RulesDynsec || f.Type == RulesAWS || f.Type == RulesEMQX
	})
}

func (c *Config) completeListener(l *Listener) {
	if l.Backend == "" && len(c.Backends) == 1 {
		l.Backend = c.Backends[0].Name
	}
	if l.Authn == nil {
		l.Authn = c.methods()
	}
	l.Transport = cmp.Or(l.Transport, TransportTCP)
	if l.Transport == TransportWebSocket {
		l.Path = cmp.Or(l.Path, "/mqtt")
	}
	if t := l.TLS; t != nil {
		t.MinVersion = cmp.Or(t.MinVersion, "1.2")
		t.ClientAuth = cmp.Or(t.ClientAuth, ClientAuthNone)
		t.OCSP = cmp.Or(t.OCSP, OCSPOff)
		t.SessionTickets.complete()
	}
}

// methods returns the names of all methods but those that are part of another:
// alone, one of these would let in who cannot satisfy the whole.
func (c *Config) methods() []string {
	parts := map[string]bool{}
	for _, m := range c.Authn {
		for _, part := range m.Of {
			parts[part] = true
		}
	}
	var names []string
	for _, m := range c.Authn {
		if !parts[m.Name] {
			names = append(names, m.Name)
		}
	}
	return names
}

// complete takes the burst from a bucket without a rate: it would let its
// burst pass and then nothing more, where no limit was meant. A rule that bans
// nobody is the zero rule.
func (l *Limits) complete() {
	for _, r := range []*Rate{&l.ConnectRate, &l.ConnectRatePerNetwork, &l.ConnectRatePerIP} {
		if r.PerSecond == 0 {
			r.Burst = 0
		}
	}
	for _, r := range []*PublishRate{&l.PublishRate, &l.PacketRate, &l.SubscribeRate} {
		if r.PerSecond == 0 {
			r.Burst = 0
		}
	}
	if l.PublishBytes.PerSecond == 0 {
		l.PublishBytes.Burst = 0
	}
	for _, rule := range l.banRules() {
		if rule.Max == 0 {
			*rule = BanRule{}
		}
	}
}
