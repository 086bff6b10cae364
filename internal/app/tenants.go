package app

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// tenants are templates of the tenants of methods' clients, by the methods' names.
type tenants map[string]filters.Template

// buildTenants reads the templates. The clients of a method that is made of others
// are of the tenant of the first part that names one, if it names none itself. A
// token names its own; see newJWT.
func (b *builder) buildTenants() {
	b.tenants = tenants{}
	for i, m := range b.config.Authn {
		if m.Tenant == "" || m.Type == configs.MethodJWT {
			continue
		}
		path := fmt.Sprintf("authn[%d].tenant", i)
		t, err := filters.ParseTemplate(m.Tenant)
		if err != nil {
			b.fail(path, err)
			continue
		}
		if text, ok := t.Expand(func(string) (string, bool) { return "x", true }); !ok || !filters.TopicLevel(text) {
			b.fail(path, errors.New("must be able to be a level of a topic: without +, #, / and control characters, and not beginning with $"))
		}
		for _, name := range t.Placeholders() {
			if slices.Contains([]string{"tenant", "clientid", "ip", "listener"}, name) {
				b.fail(path, fmt.Errorf("${%s} does not prove whose the client is", name))
			}
		}
		b.tenants[m.Name] = t
	}
	for _, m := range b.config.Authn {
		for _, part := range m.Of {
			t, named := b.tenants[part]
			if _, own := b.tenants[m.Name]; named && !own {
				b.tenants[m.Name] = t
			}
		}
	}
}

// join returns id as one of its method's tenant. A tenant must be able to be a level
// of a topic.
func (t tenants) join(id filters.Identity, certificate *x509.Certificate) (filters.Identity, error) {
	template, ok := t[id.Method]
	if !ok {
		return id, nil
	}
	tenant, ok := template.Expand(func(name string) (string, bool) {
		if name == "username" {
			return id.Username, id.Username != ""
		}
		if value, ok := id.Value(name); ok {
			return value, true
		}
		return filters.CertificateValue(certificate, name)
	})
	switch {
	case !ok || !filters.TopicLevel(tenant):
		return refusedBy(id, "gives no usable tenant")
	case id.Tenant != "" && id.Tenant != tenant:
		return refusedBy(id, "gives two tenants")
	}
	id.Tenant = tenant
	return id, nil
}

func refusedBy(id filters.Identity, why string) (filters.Identity, error) {
	return filters.Identity{Method: id.Method}, &packets.Error{Code: packets.NotAuthorized, Msg: fmt.Sprintf("the method %q %s", id.Method, why)}
}
