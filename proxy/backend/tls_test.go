package backend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"
)

// secured is a server with a certificate for these names, and who vouches for it.
func secured(t *testing.T, hosts []string, ips ...net.IP) (address string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: hosts, IPAddresses: ips, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(leaf)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = conn.Read(make([]byte, 1)) }()
		}
	}()
	return l.Addr().String(), roots
}

// TestVerification: the certificate of a server has to be for where it was dialled, for
// the name that led there, or for the one name that the pool wants of all.
func TestVerification(t *testing.T) {
	byIP, roots := secured(t, nil, net.IPv4(127, 0, 0, 1))
	byName, named := secured(t, []string{"b.test"})
	for _, tt := range []struct {
		about, address, host, want string
		roots                      *x509.CertPool
		ok                         bool
	}{
		{"an address that the certificate has", byIP, "", "", roots, true},
		{"an authority of others", byIP, "", "", named, false},
		{"an address that it has not", byName, "", "", named, false},
		{"the name of an address", byName, "b.test", "", named, true},
		{"the name of another address", byName, "c.test", "", named, false},
		{"the name of all", byName, "", "b.test", named, true},
		{"another name of all", byName, "b.test", "c.test", named, false},
	} {
		o := Options{Servers: []Spec{{Address: tt.address}}, TLS: &tls.Config{
			RootCAs: tt.roots, ServerName: tt.want, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1),
		}}
		p := New(o, nil)
		if tt.host != "" {
			o.Servers[0].Address, o.Resolver = "any:1", &Resolver{}
			p = New(o, nil)
			p.move(map[string][]Location{"any:1": {{Address: netip.MustParseAddrPort(tt.address), Host: tt.host}}})
		}
		for range 2 { // with and without a session to resume
			conn, err := p.Servers()[0].Dial(t.Context())
			if (err == nil) != tt.ok {
				t.Errorf("%s: %v", tt.about, err)
			}
			if err == nil {
				_ = conn.Close()
			}
		}
	}
}
