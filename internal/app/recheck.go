package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/internal/ocsp"
	"github.com/mqttward/mqttward/proxy"
)

// recheck returns what running sessions are asked when the configuration comes into
// force: whether chain still vouches for them and t for their certificates. That one
// of these cannot say now does not hide that the other has ended the session.
func (b *builder) recheck(t *proxy.TLS, chain authn.Chain) func(context.Context, *filters.Session, tls.ConnectionState) error {
	others := b.otherMethods()
	return func(ctx context.Context, s *filters.Session, state tls.ConnectionState) error {
		if others[s.Identity.Method] {
			return fmt.Errorf("the method %q is another one now", s.Identity.Method)
		}
		certificates := recheckTLS(ctx, t, state.PeerCertificates)
		if certificates != nil && !errors.Is(certificates, filters.ErrUnavailable) {
			return certificates
		}
		if err := chain.Recheck(ctx, s); err != nil {
			return err
		}
		return certificates
	}
}

// recheckTLS verifies the certificates of a running session again. It does not end
// because of a responder that does not answer.
func recheckTLS(ctx context.Context, t *proxy.TLS, certs []*x509.Certificate) error {
	err := t.Recheck(ctx, certs)
	if errors.Is(err, ocsp.ErrNoAnswer) {
		return filters.ErrUnavailable
	}
	return err
}

// otherMethods returns the names that mean another kind of method than before the
// reload: for whom the old one vouched, the new one does not.
func (b *builder) otherMethods() map[string]bool {
	others := map[string]bool{}
	if b.last == nil {
		return others
	}
	before, now := kinds(b.last.config), kinds(b.config)
	for name, kind := range now {
		others[name] = before[name] != "" && before[name] != kind
	}
	return others
}

// kinds returns what each method is, by its name: its type and, of type all, those
// of its parts.
func kinds(cfg *configs.Config) map[string]string {
	types, kinds := map[string]string{}, map[string]string{}
	for _, m := range cfg.Authn {
		types[m.Name] = m.Type
	}
	for _, m := range cfg.Authn {
		kinds[m.Name] = m.Type
		for _, part := range m.Of {
			kinds[m.Name] += " " + part + "=" + types[part]
		}
	}
	return kinds
}
