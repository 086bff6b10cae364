// Package pki is a throwaway certificate authority for the demo and for tests.
//
// Its keys are made anew each time and live as long as the process, its
// certificates for days. It keeps no record of what it issued or revoked:
// it is not for a deployment.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityLifetime   = 30 * 24 * time.Hour
	certificateLifetime = 7 * 24 * time.Hour

	// clockSkew is how far certificates reach back.
	clockSkew = time.Hour
)

// CA is a certificate authority with an ECDSA P-256 key. It may be used by
// several goroutines at once.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// NewCA makes an authority whose common name is name.
func NewCA(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &CA{cert: cert, key: key}, nil
}

// PEM returns the authority's own certificate.
func (ca *CA) PEM() []byte {
	return encode("CERTIFICATE", ca.cert.Raw)
}

// Options say what a certificate is for.
type Options struct {
	CN         string
	OU         []string
	DNS        []string
	IPs        []net.IP
	URIs       []string
	Emails     []string
	OCSPServer []string  // URLs of who tells whether it is revoked
	Client     bool      // for a client
	OCSPSigner bool      // for who signs answers of OCSP; otherwise for a server
	RSABits    int       // size of an RSA key; 0: an ECDSA P-256 key
	NotBefore  time.Time // zero: an hour ago; may be to come, for a test
	NotAfter   time.Time // zero: a week from now; may be past, for a test
}

// Issue makes a key and a certificate for it, both in PEM, the key in PKCS #8.
func (ca *CA) Issue(o Options) (certPEM, keyPEM []byte, err error) {
	template, err := o.template()
	if err != nil {
		return nil, nil, err
	}
	key, err := o.newKey()
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return encode("CERTIFICATE", cert), encode("PRIVATE KEY", pkcs8), nil
}

// CRL makes a list in PEM of the certificates with these serial numbers as
// revoked. It is out of date from nextUpdate on, which may be past, for a test.
func (ca *CA) CRL(nextUpdate time.Time, serials ...*big.Int) ([]byte, error) {
	now := time.Now()
	thisUpdate := now.Add(-clockSkew)
	if nextUpdate.Before(thisUpdate) {
		thisUpdate = nextUpdate.Add(-clockSkew)
	}
	template := &x509.RevocationList{
		Number:     big.NewInt(now.UnixNano()), // a later list has a higher one
		ThisUpdate: thisUpdate,
		NextUpdate: nextUpdate,
	}
	for _, serial := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: serial, RevocationTime: thisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, ca.cert, ca.key)
	if err != nil {
		return nil, err
	}
	return encode("X509 CRL", der), nil
}

func (o Options) newKey() (crypto.Signer, error) {
	if o.RSABits > 0 {
		return rsa.GenerateKey(rand.Reader, o.RSABits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func (o Options) template() (*x509.Certificate, error) {
	notBefore := o.NotBefore
	if notBefore.IsZero() {
		notBefore = time.Now().Add(-clockSkew)
	}
	notAfter := o.NotAfter
	if notAfter.IsZero() {
		notAfter = time.Now().Add(certificateLifetime)
	}
	if notAfter.Before(notBefore) {
		notBefore = notAfter.Add(-clockSkew)
	}
	usage := x509.ExtKeyUsageServerAuth
	switch {
	case o.Client:
		usage = x509.ExtKeyUsageClientAuth
	case o.OCSPSigner:
		usage = x509.ExtKeyUsageOCSPSigning
	}
	template := &x509.Certificate{
		Subject:        pkix.Name{CommonName: o.CN, OrganizationalUnit: o.OU},
		DNSNames:       o.DNS,
		IPAddresses:    o.IPs,
		EmailAddresses: o.Emails,
		OCSPServer:     o.OCSPServer,
		NotBefore:      notBefore,
		NotAfter:       notAfter,
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{usage},
	}
	for _, uri := range o.URIs {
		u, err := url.Parse(uri)
		if err != nil {
			return nil, fmt.Errorf("pki: %w", err)
		}
		template.URIs = append(template.URIs, u)
	}
	return template, nil
}

// Write puts a certificate and its key into dir as name.crt and name.key, the
// key readable by its owner only. Without a key only name.crt is written.
func Write(dir, name string, certPEM, keyPEM []byte) error {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".crt", certPEM, 0o644); err != nil { //nolint:gosec // public
		return err
	}
	if keyPEM == nil {
		return nil
	}
	return os.WriteFile(path+".key", keyPEM, 0o600)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
