package proxy

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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

	// Status says whether anything of a chain that is good otherwise, of a client's
	// certificate up to one of ClientCAs, was revoked since; nil: nobody is asked. It
	// blocks no longer than ctx lets it.
	Status func(ctx context.Context, chain []*x509.Certificate) error

	// Staple returns the answer of OCSP about Certificates[i] that goes to clients
	// that ask for one; nil: none.
	Staple func(i int) []byte

	Tickets Tickets
}

// TLS is the server side of a listener's TLS.
type TLS struct {
	mqtt  *tls.Config // for clients that offer the ALPN protocol mqtt
	plain *tls.Config // for all others

	clients *clientAuth
	tickets *ticketKeys // nil: those of crypto/tls, or none
}

// NewTLS returns a TLS with Go's choice of cipher suites and key exchanges,
// the post-quantum hybrid X25519MLKEM768 among them.
func NewTLS(o TLSOptions) *TLS {
	if o.ClientCAs == nil {
		o.ClientCAs = x509.NewCertPool() // nil would mean the system's
	}
	c := &tls.Config{
		GetCertificate: certificate(o.Certificates, o.Staple),
		MinVersion:     max(o.MinVersion, tls.VersionTLS12),
		ClientAuth:     o.ClientAuth,
		ClientCAs:      o.ClientCAs,

		SessionTicketsDisabled: o.Tickets.Disabled,
	}
	clients := &clientAuth{mode: o.ClientAuth, roots: o.ClientCAs, revoked: newRevocations(o.CRLs), status: o.Status}
	if o.ClientAuth != tls.NoClientCert {
		c.VerifyConnection = func(state tls.ConnectionState) error {
			return clients.verify(context.Background(), state.PeerCertificates)
		}
	}
	t := &TLS{mqtt: c.Clone(), plain: c, clients: clients}
	t.mqtt.NextProtos = []string{alpnMQTT}
	t.tickets = o.Tickets.ticketKeys(t.mqtt, t.plain)
	return t
}

// configFor offers ALPN mqtt to those who know it. A server that offers a
// protocol must refuse clients that ask only for others (RFC 7301 section
// 3.2), and devices ask for many things. Whom a handshake asks about the client has
// as long as the handshake has.
func (t *TLS) configFor(hello *tls.ClientHelloInfo) *tls.Config {
	t.tickets.rotate(time.Now())
	c := t.plain
	if slices.Contains(hello.SupportedProtos, alpnMQTT) {
		c = t.mqtt
	}
	slot, ok := hello.Context().Value(slotKey{}).(*handshakeSlot)
	if t.clients.status == nil || c.VerifyConnection == nil || !ok {
		return c
	}
	c = c.Clone()
	c.VerifyConnection = func(state tls.ConnectionState) error {
		ctx, cancel := slot.rest()
		defer cancel()
		return t.clients.verify(ctx, state.PeerCertificates)
	}
	return c
}

// certificate picks one as crypto/tls does, the first that suits the client or else
// the first, and puts the answer about it in, if there are any. crypto/tls asks it in
// every handshake that signs, since there are no other certificates.
func certificate(certs []tls.Certificate, staple func(i int) []byte) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if slot, ok := hello.Context().Value(slotKey{}).(*handshakeSlot); ok {
			if err := slot.goOn(); err != nil {
				return nil, err
			}
		}
		i := 0
		if len(certs) > 1 {
			i = max(0, slices.IndexFunc(certs, func(c tls.Certificate) bool { return hello.SupportsCertificate(&c) == nil }))
		}
		if staple == nil {
			return &certs[i], nil
		}
		c := certs[i]
		c.OCSPStaple = staple(i)
		return &c, nil
	}
}

// Recheck verifies the certificate chain of a running session under t, as if
// the client came now; nil certs: it showed none. It finds what has expired or
// was revoked since, and whose authority was withdrawn. A nil t is a listener
// without TLS, which knows no certificates. It blocks no longer than ctx lets it.
func (t *TLS) Recheck(ctx context.Context, certs []*x509.Certificate) error {
	if t == nil {
		return (&clientAuth{}).verify(ctx, certs)
	}
	return t.clients.verify(ctx, certs)
}

const (
	// maxChain is how many certificates a client may send. Chains of two or three
	// are usual; each more is work.
	maxChain = 8

	// minRSA is the least size of the RSA key of a client, in bits. What crypto/tls
	// takes at most, 8192, is its own affair.
	minRSA = 2048
)

// clientAuth judges client certificates. The zero value knows none.
type clientAuth struct {
	mode    tls.ClientAuthType
	roots   *x509.CertPool
	revoked revocations
	status  func(context.Context, []*x509.Certificate) error // nil: nobody is asked
}

// verify checks the client certificate on every connection. crypto/tls
// verifies chains in full handshakes only; a resumed session would go on with
// a certificate that has expired or was revoked, or whose CA was withdrawn,
// since.
func (a *clientAuth) verify(ctx context.Context, certs []*x509.Certificate) error {
	switch {
	case len(certs) == 0 && a.mode == tls.RequireAndVerifyClientCert:
		return errors.New("client certificate required")
	case len(certs) == 0:
		return nil
	case a.mode == tls.NoClientCert:
		return errors.New("client certificates are not verified here")
	case len(certs) > maxChain:
		return fmt.Errorf("the client sent %d certificates, and %d are the most", len(certs), maxChain)
	}
	if key, ok := certs[0].PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < minRSA {
		return fmt.Errorf("the client's RSA key has %d bits, and %d are the least", key.N.BitLen(), minRSA)
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
	return a.verifyChains(ctx, chains, time.Now())
}

// verifyChains returns nil if there is a chain of which nothing is revoked.
func (a *clientAuth) verifyChains(ctx context.Context, chains [][]*x509.Certificate, now time.Time) error {
	var errs []error
	for _, chain := range chains {
		err := a.revoked.verifyChain(chain, now)
		if err == nil && a.status != nil {
			err = a.status(ctx, chain)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
