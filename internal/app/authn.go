package app

import (
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/filters/authn/anonymous"
	"github.com/mqttward/mqttward/filters/authn/certificate"
	"github.com/mqttward/mqttward/filters/authn/password"
)

// buildAuthn makes the methods. One that is made of others comes after them.
func (b *builder) buildAuthn() {
	for i, m := range b.config.Authn {
		b.buildMethod(fmt.Sprintf("authn[%d]", i), m)
	}
	for _, m := range b.config.Authn {
		if m.Type == configs.MethodAll {
			b.buildAll(m)
		}
	}
}

// buildAll leaves out parts that could not be built: they are errors already.
func (b *builder) buildAll(m configs.Method) {
	var parts []authn.Part
	for _, name := range m.Of {
		if part, ok := b.methods[name]; ok {
			parts = append(parts, authn.Part{Name: name, Method: part})
		}
	}
	b.methods[m.Name] = authn.NewAll(m.Name, parts, m.AllowDifferentUsers)
}

func (b *builder) buildMethod(path string, m configs.Method) {
	var (
		method authn.Authenticator
		at     string // the key that is wrong
		err    error
	)
	switch m.Type {
	case configs.MethodPassword:
		at = ".file"
		method, err = b.newPassword(m)
	case configs.MethodSCRAM:
		at = ".file"
		method, err = newSCRAM(m)
	case configs.MethodCertificate:
		at = ".username"
		method, err = newCertificate(m)
	case configs.MethodJWT:
		method, err = b.newJWT(path, m)
	case configs.MethodHTTP:
		method = b.newHTTP(path, m)
	case configs.MethodSQL:
		at = ".dsn_file"
		method, err = b.newSQL(path, m)
	case configs.MethodAnonymous:
		method = anonymous.New(m.Name)
	case configs.MethodRedis:
		method, err = b.newRedis(path, m)
	case configs.MethodLDAP:
		method, err = b.newLDAP(path, m)
	default:
		return // of no type: a mistake that is known
	}
	if err != nil {
		b.fail(path+at, err)
		return
	}
	b.methods[m.Name] = b.grouped(path, m, method)
}

func (b *builder) newPassword(m configs.Method) (authn.Authenticator, error) {
	users, err := password.Load(m.File)
	if err != nil {
		return nil, err
	}
	return password.New(m.Name, users, b.shared.pool), nil
}

func newCertificate(m configs.Method) (authn.Authenticator, error) {
	t, err := filters.ParseTemplate(m.Username)
	if err != nil {
		return nil, err
	}
	groups := certificate.NoGroups
	if m.GroupsFrom == configs.GroupsFromUnits {
		groups = certificate.Units
	}
	return certificate.New(m.Name, t, certificate.Allow{Users: m.AllowUsers, Fingerprints: m.Fingerprints}, groups)
}

// guard makes the Guard of a method that asks somebody else.
func (b *builder) guard(m configs.Method) *authn.Guard {
	return authn.NewGuard(authn.GuardOptions{
		Timeout:     m.Timeout,
		Concurrent:  m.MaxConnections,
		TTL:         m.Cache.TTL,
		NegativeTTL: m.Cache.NegativeTTL,
		Size:        m.Cache.Size,
		Failures:    m.Breaker.Failures,
		Cooldown:    m.Breaker.Cooldown,
		Changed:     b.shared.sourceChanged(m.Name),
	})
}

// closeLater lets go of what a method holds when the configuration that it is of
// is no longer in force.
func (b *builder) closeLater(c io.Closer) { b.closers = append(b.closers, c) }

// secretIn returns the content of a file that holds a secret alone, without the
// line's end; "" if there is no file.
func secretIn(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	return strings.TrimRight(string(data), "\r\n"), err
}

// poolIn returns the certificates in a PEM file, nil if there is no file.
func poolIn(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // nil means those of the system
	}
	certs, err := certificatesIn(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, nil
}
