package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"
)

// alpnMQTT is the registered ALPN protocol id of MQTT.
const alpnMQTT = "mqtt"

// TLSOptions is what a listener's TLS is made of.
type TLSOptions struct {
	Certificates []tls.Certificate // SNI picks; the first serves all other names
	MinVersion   uint16
	ClientAuth   tls.ClientAuthType // NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert
	ClientCAs    *x509.CertPool

	// CRLs are what the authorities of the clients have revoked. They are
	// believed: whoever reads them checks their signatures. Once one is out of
	// date, every certificate of its authority is refused.
	CRLs []*x509.RevocationList
}

// TLS is the server side of a listener's TLS.
type TLS struct {
	mqtt  *tls.Config // for clients that offer the ALPN protocol mqtt
	plain *tls.Config // for all others

	clients *clientAuth
}

// NewTLS returns a TLS with Go's choice of cipher suites and key exchanges,
// the post-quantum hybrid X25519MLKEM768 among them.
func NewTLS(o TLSOptions) *TLS {
	if o.ClientCAs == nil {
		o.ClientCAs = x509.NewCertPool() // nil would mean the system's
	}
	c := &tls.Config{
		Certificates: o.Certificates,
		MinVersion:   max(o.MinVersion, tls.VersionTLS12),
		ClientAuth:   o.ClientAuth,
		ClientCAs:    o.ClientCAs,
	}
	clients := &clientAuth{mode: o.ClientAuth, roots: o.ClientCAs, revoked: newRevocations(o.CRLs)}
	if o.ClientAuth != tls.NoClientCert {
		c.VerifyConnection = func(state tls.ConnectionState) error { return clients.verify(state.PeerCertificates) }
	}
	t := &TLS{mqtt: c.Clone(), plain: c, clients: clients}
	t.mqtt.NextProtos = []string{alpnMQTT}
	return t
}

// configFor offers ALPN mqtt to those who know it. A server that offers a
// protocol must refuse clients that ask only for others (RFC 7301 section
// 3.2), and devices ask for many things.
func (t *TLS) configFor(hello *tls.ClientHelloInfo) *tls.Config {
	if slices.Contains(hello.SupportedProtos, alpnMQTT) {
		return t.mqtt
	}
	return t.plain
}

// Recheck verifies the certificate chain of a running session under t, as if
// the client came now; nil certs: it showed none. It finds what has expired or
// was revoked since, and whose authority was withdrawn. A nil t is a listener
// without TLS, which knows no certificates.
func (t *TLS) Recheck(certs []*x509.Certificate) error {
	if t == nil {
		return (&clientAuth{}).verify(certs)
	}
	return t.clients.verify(certs)
}

// clientAuth judges client certificates. The zero value knows none.
type clientAuth struct {
	mode    tls.ClientAuthType
	roots   *x509.CertPool
	revoked revocations
}

// verify checks the client certificate on every connection. crypto/tls
// verifies chains in full handshakes only; a resumed session would go on with
// a certificate that has expired or was revoked, or whose CA was withdrawn,
// since.
func (a *clientAuth) verify(certs []*x509.Certificate) error {
	switch {
	case len(certs) == 0 && a.mode == tls.RequireAndVerifyClientCert:
		return errors.New("client certificate required")
	case len(certs) == 0:
		return nil
	case a.mode == tls.NoClientCert:
		return errors.New("client certificates are not verified here")
	}
	intermediates := x509.NewCertPool()
	for _, c := range certs[1:] {
		intermediates.AddCert(c)
	}
	chains, err := certs[0].Verify(x509.VerifyOptions{
		Roots:         a.roots,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	return a.revoked.verify(chains, time.Now())
}
