package app

import (
	"context"
	"crypto/tls"
	"slices"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/filters/strict"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/ratelimit"
)

// policy makes the policy of listener i.
func (b *builder) policy(i int) *proxy.Policy {
	l, limits := &b.config.Listeners[i], &b.config.Limits
	o, methods := b.strict(nil), b.vouched(b.chain(l.Authn))
	return &proxy.Policy{
		Listener:  l.Name,
		TLS:       b.tls[i],
		WebSocket: webSocket(l),
		Admit:     b.admit(ratelimit.NewNetworks(l.Allow, l.Deny)),
		Authn:     methods,
		Up:        b.up(o, nil),
		Down:      b.down(o),
		Route:     b.route(l),
		At:        b.chainsAt(),

		Namespace: b.namespace(),
		Silent:    l.Silent,

		SecretNames: b.secretNames(l.Authn),

		Lax:      o.Lax(),
		LaxDown:  o.LaxDown(),
		Sessions: b.shared.sessions,

		Balancers: b.balancers(l),
		ClientIDs: b.clientIDs,

		Limits: proxy.Limits{
			HandshakeTimeout: limits.HandshakeTimeout,
			ConnectTimeout:   limits.ConnectTimeout,
			PacketTimeout:    limits.PacketTimeout,
			FlowTimeout:      limits.FlowTimeout,
			MaxConnectSize:   int(limits.MaxConnectSize),
			MaxPacketSize:    int(limits.MaxPacketSize),
			MaxTopicAliases:  limits.MaxTopicAliases,
			MaxInflight:      limits.MaxInflight,
			MaxKeepAlive:     limits.MaxKeepalive,
			MaxSessionExpiry: uint32(limits.MaxSessionExpiry / time.Second), //nolint:gosec // G115: checked by configs
			MaxWillDelay:     uint32(limits.MaxWillDelay / time.Second),     //nolint:gosec // G115: checked by configs
		},
		Handshakes: places(b.handshakes),
		Computing:  b.shared.computing,
		Recheck: func(ctx context.Context, s *filters.Session, state tls.ConnectionState) error {
			return methods.recheck(ctx, b.tls[i], s, state.PeerCertificates)
		},
	}
}

// places are none, and no bound, if t is nil.
func places(t *ratelimit.Turns) proxy.Places {
	if t == nil {
		return nil
	}
	return t
}

// chainsAt returns the filters of the sessions at each backend, which has a broker of
// its own.
func (b *builder) chainsAt() map[string]proxy.Chains {
	at := map[string]proxy.Chains{}
	for i, c := range b.config.Backends {
		o := b.strict(b.shared.brokers.of(c.Name))
		at[c.Name] = proxy.Chains{Up: b.up(o, b.credentialsOf[i]), Down: b.down(o)}
	}
	return at
}

// up judges what clients send, by the broker's names. What will be refused costs
// quota too. What is in a message is judged before its right, since authz notes what
// goes on.
func (b *builder) up(o strict.Options, credentials filters.Chain) filters.Chain {
	chain := append(append(slices.Clone(b.upstream), credentials...), b.quota.Up(), strict.Up(o))
	return append(append(chain, b.payload...), b.authz)
}

// down judges what the broker sends, by its names until the last. What a client may
// not have costs it no quota.
func (b *builder) down(o strict.Options) filters.Chain {
	chain := append(filters.Chain{strict.Down(o), b.authz.Deliveries()}, b.quota.Down()...)
	return append(chain, b.downstream...)
}

// retiredPolicy is under which sessions go on whose listener is gone: the rules of
// now, which all listeners share, for clients that any method still vouches for.
// Certificates are verified by the listener that has the name now; if there is none,
// nobody can say what they are worth.
func (b *builder) retiredPolicy() *proxy.Policy {
	var all authn.Chain
	for _, m := range b.config.Authn {
		all = append(all, b.chain([]string{m.Name})...)
	}
	methods := b.vouched(all)
	p := *b.policies[0]
	p.Authn = methods
	p.Recheck = func(ctx context.Context, s *filters.Session, state tls.ConnectionState) error {
		at := slices.IndexFunc(b.config.Listeners, func(l configs.Listener) bool { return l.Name == s.Listener })
		if at < 0 {
			return methods.recheck(ctx, nil, s, state.PeerCertificates)
		}
		return methods.recheck(ctx, b.tls[at], s, state.PeerCertificates)
	}
	return &p
}

// strict is how strict the configuration is in front of a broker; nil is one of which
// nothing is known.
func (b *builder) strict(broker *strict.Broker) strict.Options {
	limits := &b.config.Limits
	return strict.Options{
		Log: checks(b.config.Strict.Log),
		Off: checks(b.config.Strict.Off),
		Limits: strict.Limits{
			TopicLevels:         limits.MaxTopicLevels,
			TopicLength:         limits.MaxTopicLength,
			FiltersPerSubscribe: limits.MaxFilters,
			Subscriptions:       limits.MaxSubscriptions,
			UserProperties:      limits.MaxUserProperties,
		},
		Broker: broker,
	}
}

func checks(names []string) (set packets.Checks) {
	for _, name := range names {
		if c, ok := packets.ParseCheck(name); ok && c.Relaxable() {
			set = set.With(c)
		}
	}
	return set
}

// secretNames reports whether a method of these names takes tokens for user names.
func (b *builder) secretNames(names []string) bool {
	return slices.ContainsFunc(b.config.Authn, func(m configs.Method) bool {
		asked := slices.Contains(names, m.Name) || slices.ContainsFunc(b.config.Authn, func(all configs.Method) bool {
			return slices.Contains(names, all.Name) && slices.Contains(all.Of, m.Name)
		})
		return asked && (m.In == "username" || m.Contract == "go-auth-jwt")
	})
}

// chain returns the methods of these names in order. One that could not be
// built is an error already.
func (b *builder) chain(names []string) authn.Chain {
	var chain authn.Chain
	for _, name := range names {
		if m, ok := b.methods[name]; ok {
			chain = append(chain, m)
		}
	}
	return chain
}
