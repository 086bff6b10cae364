package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/internal/ocsp"
	"github.com/mqttward/mqttward/proxy"
)

// vouched is a chain that notes in an identity what the method is that vouches for
// it, and which tenant the client is of. For whom a method of one kind has vouched,
// one of another under the same name does not.
type vouched struct {
	authn.Chain
	kinds   map[string]string // of the methods, by name
	tenants tenants
}

func (b *builder) vouched(chain authn.Chain) vouched {
	return vouched{chain, kinds(b.config), b.tenants}
}

// Authenticate notes the kind and the tenant.
func (v vouched) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	id, err := v.Chain.Authenticate(ctx, c)
	id.Kind = v.kinds[id.Method]
	if err != nil {
		return id, err
	}
	return v.tenants.join(id, c.Certificate)
}

// Begin is Authenticate for dialogues.
func (v vouched) Begin(c filters.Credentials) (filters.Dialogue, error) {
	d, err := v.Chain.Begin(c)
	if err != nil {
		return nil, err
	}
	return vouchedDialogue{d, v, c.Certificate}, nil
}

type vouchedDialogue struct {
	filters.Dialogue
	v           vouched
	certificate *x509.Certificate
}

// Next notes the kind and the tenant.
func (d vouchedDialogue) Next(ctx context.Context, data filters.Secret) ([]byte, *filters.Identity, error) {
	answer, id, err := d.Dialogue.Next(ctx, data)
	if err != nil || id == nil {
		return answer, id, err
	}
	joined, err := d.v.tenants.join(*id, d.certificate)
	if err != nil {
		return nil, nil, err
	}
	joined.Kind = d.v.kinds[id.Method]
	return answer, &joined, nil
}

// recheck asks about a running session when the configuration comes into force:
// whether v still vouches for it and t for its certificates. That one of these
// cannot say now does not hide that the other has ended the session.
func (v vouched) recheck(ctx context.Context, t *proxy.TLS, s *filters.Session, certs []*x509.Certificate) error {
	if kind, known := v.kinds[s.Identity.Method]; known && kind != s.Identity.Kind {
		return fmt.Errorf("the method %q is another one now", s.Identity.Method)
	}
	certificates := recheckTLS(ctx, t, certs)
	if certificates != nil && !errors.Is(certificates, filters.ErrUnavailable) {
		return certificates
	}
	if err := v.Recheck(ctx, s); err != nil {
		return err
	}
	return certificates
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

// kinds returns what each method is, by its name: its type and where its clients'
// tenant comes from and, of type all, those of its parts.
func kinds(cfg *configs.Config) map[string]string {
	types, kinds := map[string]string{}, map[string]string{}
	for _, m := range cfg.Authn {
		types[m.Name] = m.Type
		if m.Tenant != "" {
			types[m.Name] += " of " + m.Tenant
		}
	}
	for _, m := range cfg.Authn {
		kinds[m.Name] = types[m.Name]
		for _, part := range m.Of {
			kinds[m.Name] += " " + part + "=" + types[part]
		}
	}
	return kinds
}
