package pki_test

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/pki"
)

func authority(t *testing.T) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA("test authority")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *pki.CA, o pki.Options) *x509.Certificate {
	t.Helper()
	certPEM, keyPEM, err := ca.Issue(o)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func trust(t *testing.T, ca *pki.CA) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca.PEM()) {
		t.Fatal("the authority's PEM holds no certificate")
	}
	return pool
}

func TestServerCertificate(t *testing.T) {
	ca := authority(t)
	cert := issue(t, ca, pki.Options{CN: "broker", DNS: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: trust(t, ca), DNSName: host}); err != nil {
			t.Errorf("for %s: %v", host, err)
		}
	}
	asClient := x509.VerifyOptions{Roots: trust(t, ca), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(asClient); err == nil {
		t.Error("a server's certificate serves as a client's")
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: trust(t, authority(t))}); err == nil {
		t.Error("another authority of the same name vouches for the certificate")
	}
}

func TestClientCertificate(t *testing.T) {
	ca := authority(t)
	cert := issue(t, ca, pki.Options{CN: "plc-7", URIs: []string{"spiffe://plant/plc-7"}, Client: true})
	asClient := x509.VerifyOptions{Roots: trust(t, ca), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(asClient); err != nil {
		t.Error(err)
	}
	if cert.Subject.CommonName != "plc-7" || len(cert.URIs) != 1 || cert.URIs[0].String() != "spiffe://plant/plc-7" {
		t.Errorf("common name %q, URIs %v", cert.Subject.CommonName, cert.URIs)
	}
	if _, _, err := ca.Issue(pki.Options{URIs: []string{"://"}}); err == nil {
		t.Error("an ill-formed URI is accepted")
	}
}

func TestOptions(t *testing.T) {
	ca := authority(t)
	start := time.Now().Add(24 * time.Hour)
	cert := issue(t, ca, pki.Options{
		CN: "responder", Emails: []string{"plc@plant.example"}, OCSPServer: []string{"http://ocsp.plant.example"},
		OCSPSigner: true, RSABits: 2048, NotBefore: start,
	})
	key, isRSA := cert.PublicKey.(*rsa.PublicKey)
	if !isRSA || key.N.BitLen() != 2048 {
		t.Errorf("the key is %T", cert.PublicKey)
	}
	if !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}) || cert.NotBefore.Unix() != start.Unix() {
		t.Errorf("is for %v, valid from %v", cert.ExtKeyUsage, cert.NotBefore)
	}
	if !slices.Equal(cert.EmailAddresses, []string{"plc@plant.example"}) || !slices.Equal(cert.OCSPServer, []string{"http://ocsp.plant.example"}) {
		t.Errorf("addresses %v, responders %v", cert.EmailAddresses, cert.OCSPServer)
	}
}

func TestExpiredCertificate(t *testing.T) {
	ca := authority(t)
	end := time.Now().Add(-24 * time.Hour)
	cert := issue(t, ca, pki.Options{CN: "old", NotAfter: end})
	if !cert.NotBefore.Before(cert.NotAfter) || cert.NotAfter.Unix() != end.Unix() {
		t.Errorf("valid from %v to %v, want an end at %v", cert.NotBefore, cert.NotAfter, end)
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: trust(t, ca)})
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("error %v, want an expiry", err)
	}
}

func TestCRL(t *testing.T) {
	ca := authority(t)
	issuer, cert := parse(t, ca.PEM()), issue(t, ca, pki.Options{CN: "plc-7", Client: true})
	for _, until := range []time.Duration{time.Hour, -24 * time.Hour} {
		end := time.Now().Add(until)
		text, err := ca.CRL(end, cert.SerialNumber)
		if err != nil {
			t.Fatal(err)
		}
		block, rest := pem.Decode(text)
		if block == nil || block.Type != "X509 CRL" || len(rest) > 0 {
			t.Fatalf("is %q", text)
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if err := list.CheckSignatureFrom(issuer); err != nil {
			t.Error(err)
		}
		if list.NextUpdate.Unix() != end.Unix() || !list.ThisUpdate.Before(list.NextUpdate) {
			t.Errorf("of %v, holds until %v, want %v", list.ThisUpdate, list.NextUpdate, end)
		}
		if r := list.RevokedCertificateEntries; len(r) != 1 || r[0].SerialNumber.Cmp(cert.SerialNumber) != 0 {
			t.Errorf("revokes %v", r)
		}
	}
}

func parse(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestWrite(t *testing.T) {
	ca, dir := authority(t), t.TempDir()
	certPEM, keyPEM, err := ca.Issue(pki.Options{CN: "broker"})
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.Write(dir, "server", certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	if err := pki.Write(dir, "ca", ca.PEM(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key %v, want 0600", info.Mode().Perm())
	}
	data, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if block, _ := pem.Decode(data); err != nil || block == nil || block.Type != "CERTIFICATE" {
		t.Errorf("ca.crt holds no certificate (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ca.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ca.key: %v, want no such file", err)
	}
}
