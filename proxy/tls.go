package proxy

import (
	"bytes"
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

	// CRLs are revocation lists of the client CAs, whose signatures have been
	// checked. A list that is out of date revokes all certificates of its issuer.
	CRLs []*x509.RevocationList
}

// TLS is the server side of a listener's TLS.
type TLS struct {
	mqtt  *tls.Config // for clients that offer the ALPN protocol mqtt
	plain *tls.Config // for all others
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
	if o.ClientAuth != tls.NoClientCert {
		c.VerifyConnection = o.verify
	}
	t := &TLS{mqtt: c.Clone(), plain: c}
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

// Recheck returns an error if the client of a running connection would not get
// through its handshake any more.
func (t *TLS) Recheck(state tls.ConnectionState) error {
	if t.plain.VerifyConnection == nil {
		return nil
	}
	return t.plain.VerifyConnection(state)
}

// verify checks the client certificate on every connection. crypto/tls
// verifies chains in full handshakes only; a resumed session would go on with
// a certificate that has expired, was revoked or whose CA was withdrawn since.
func (o TLSOptions) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		if o.ClientAuth == tls.RequireAndVerifyClientCert {
			return errors.New("client certificate required")
		}
		return nil
	}
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	chains, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots:         o.ClientCAs,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	for _, chain := range chains {
		if err = o.revoked(chain); err == nil {
			return nil
		}
	}
	return err
}

// revoked returns an error if a certificate of the chain is revoked (RFC 5280
// section 6.3).
func (o TLSOptions) revoked(chain []*x509.Certificate) error {
	for _, c := range chain {
		for _, list := range o.CRLs {
			if !bytes.Equal(list.RawIssuer, c.RawIssuer) {
				continue
			}
			if !list.NextUpdate.IsZero() && time.Now().After(list.NextUpdate) {
				return errors.New("the revocation list of the certificate's issuer is out of date")
			}
			for _, entry := range list.RevokedCertificateEntries {
				if entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return errors.New("the client certificate is revoked")
				}
			}
		}
	}
	return nil
}
