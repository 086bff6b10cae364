package proxy_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/proxy"
)

// TestReasons: whoever reads the audit log learns what is wrong with a certificate.
func TestReasons(t *testing.T) {
	client := func(edit func(*pki.Options)) func(*testing.T, *pki.CA) tls.Certificate {
		return func(t *testing.T, ca *pki.CA) tls.Certificate {
			o := pki.Options{CN: "plc-7", Client: true}
			edit(&o)
			return issue(t, ca, o)
		}
	}
	good := client(func(*pki.Options) {})
	status := func(err error) func(*proxy.TLSOptions) {
		return func(o *proxy.TLSOptions) {
			o.Status = func(context.Context, []*x509.Certificate) error { return err }
		}
	}
	for _, tt := range []struct {
		name string
		cert func(*testing.T, *pki.CA) tls.Certificate
		edit func(*testing.T, *pki.CA, tls.Certificate) func(*proxy.TLSOptions)
		want []string // in the audit line
	}{
		{"none", nil, nil, []string{"client didn't provide a certificate"}},
		{"expired", client(func(o *pki.Options) { o.NotAfter = time.Now().Add(-time.Minute) }), nil, []string{"certificate has expired", "is after"}},
		{"not valid yet", client(func(o *pki.Options) { o.NotBefore = time.Now().Add(time.Minute) }), nil, []string{"not yet valid", "is before"}},
		{"another authority", func(t *testing.T, _ *pki.CA) tls.Certificate {
			return issue(t, newCA(t, "others"), pki.Options{CN: "plc-7", Client: true})
		}, nil, []string{"certificate signed by unknown authority"}},
		{"a server's", func(t *testing.T, ca *pki.CA) tls.Certificate { return issue(t, ca, pki.Options{CN: "plc-7"}) }, nil, []string{"incompatible key usage"}},
		{"revoked by a list", good, func(t *testing.T, ca *pki.CA, c tls.Certificate) func(*proxy.TLSOptions) {
			return revoke(t, ca, time.Hour, c.Leaf.SerialNumber)
		}, []string{`of "CN=clients" is revoked`}},
		{"list out of date", good, func(t *testing.T, ca *pki.CA, _ tls.Certificate) func(*proxy.TLSOptions) {
			return revoke(t, ca, -time.Minute)
		}, []string{"the CRL of", "is out of date"}},
		{"revoked by another judge", good, func(*testing.T, *pki.CA, tls.Certificate) func(*proxy.TLSOptions) {
			return status(errors.New("revoked, says OCSP"))
		}, []string{"revoked, says OCSP"}},
		{"long chain", func(t *testing.T, ca *pki.CA) tls.Certificate {
			c := good(t, ca)
			for range 8 {
				c.Certificate = append(c.Certificate, good(t, ca).Certificate[0])
			}
			return c
		}, nil, []string{"the client sent 9 certificates, and 8 are the most"}},
		{"small key", client(func(o *pki.Options) { o.RSABits = 1024 }), nil, []string{"RSA key has 1024 bits, and 2048 are the least"}},
		{"large key", nil, nil, []string{"RSA key larger than 8192 bits"}},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tt.name+", "+tls.VersionName(version), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					id, clients := newIdentity(t, "broker.example"), newCA(t, "clients")
					edits := []func(*proxy.TLSOptions){clientAuth(tls.RequireAndVerifyClientCert, clients)}
					cfg := id.client()
					cfg.MaxVersion = version
					if tt.cert != nil || tt.name == "large key" {
						cert := large(t)
						if tt.cert != nil {
							cert = tt.cert(t, clients)
						}
						if tt.edit != nil {
							edits = append(edits, tt.edit(t, clients, cert))
						}
						cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
					}
					h := open(t, withTLS(id, edits...))
					defer h.close()
					h.expectAlert(cfg)
					lines := h.audit.all()
					for _, want := range tt.want {
						if len(lines) != 1 || !strings.Contains(lines[0], want) {
							t.Errorf("the audit log holds %q, want %q", lines, want)
						}
					}
				})
			})
		}
	}
}

// TestMostCertificates: a chain may be as long as that, and a key as small.
func TestMostCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id, clients := newIdentity(t, "broker.example"), newCA(t, "clients")
		h := open(t, withTLS(id, clientAuth(tls.RequireAndVerifyClientCert, clients)))
		defer h.close()
		cert := issue(t, clients, pki.Options{CN: "plc-7", Client: true, RSABits: 2048})
		for range 7 {
			cert.Certificate = append(cert.Certificate, issue(t, clients, pki.Options{CN: "other", Client: true}).Certificate[0])
		}
		h.accepted(id.client(cert))
	})
}

// impostor signs nonsense. Its key would take minutes to make.
type impostor struct{ rsa.PublicKey }

func (i impostor) Public() crypto.PublicKey { return &i.PublicKey }

func (i impostor) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, i.Size()), nil
}

// large is a certificate with an RSA key of 8200 bits.
func large(t *testing.T) tls.Certificate {
	t.Helper()
	by, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).SetBit(big.NewInt(1), 8199, 1)
	key := impostor{rsa.PublicKey{N: n, E: 65537}}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "plc-7"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
