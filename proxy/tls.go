package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
)

// alpnMQTT is the registered ALPN protocol id of MQTT.
const alpnMQTT = "mqtt"

// TLSOptions is what a listener's TLS is made of.
type TLSOptions struct {
	Certificates []tls.Certificate // SNI picks; the first serves all other names
	MinVersion   uint16
	ClientAuth   tls.ClientAuthType // NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert
	ClientCAs    *x509.CertPool
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

// verify checks the client certificate on every connection. crypto/tls
// verifies chains in full handshakes only; a resumed session would go on with
// a certificate that has expired or whose CA was withdrawn since.
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
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots:         o.ClientCAs,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}
