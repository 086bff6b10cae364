package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/proxy"
)

// identity is a certificate, and the authority that vouches for it.
type identity struct {
	ca   *pki.CA
	pair tls.Certificate
	name string
}

func newCA(t *testing.T, name string) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *pki.CA, o pki.Options) tls.Certificate {
	t.Helper()
	cert, key, err := ca.Issue(o)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// newIdentity is that of a server of this name. It is valid at the time of the
// bubble that it is made in.
func newIdentity(t *testing.T, name string) identity {
	t.Helper()
	ca := newCA(t, "authority of "+name)
	return identity{ca: ca, name: name, pair: issue(t, ca, pki.Options{CN: name, DNS: []string{name}})}
}

func pool(cas ...*pki.CA) *x509.CertPool {
	p := x509.NewCertPool()
	for _, ca := range cas {
		p.AppendCertsFromPEM(ca.PEM())
	}
	return p
}

// client is the configuration of a client that expects this server.
func (id identity) client(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: pool(id.ca), ServerName: id.name, Certificates: certs}
}

// withTLS gives a policy the TLS of a server with this identity.
func withTLS(id identity, edit ...func(*proxy.TLSOptions)) func(*proxy.Policy) {
	o := proxy.TLSOptions{Certificates: []tls.Certificate{id.pair}}
	for _, e := range edit {
		e(&o)
	}
	return func(p *proxy.Policy) { p.TLS = proxy.NewTLS(o) }
}
