package rig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/mqttward/mqttward/internal/pki"
)

// WriteKeys writes server.crt, server.key, server.pem with both, and ca.crt
// into dir, and returns what ClientTLS makes of the last.
func WriteKeys(dir string) (*tls.Config, error) {
	ca, err := pki.NewCA("mqttward bench")
	if err != nil {
		return nil, err
	}
	cert, key, err := ca.Issue(pki.Options{CN: "bench", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		return nil, err
	}
	return ClientTLS(ca.PEM()), errors.Join(
		pki.Write(dir, "server", cert, key),
		pki.Write(dir, "ca", ca.PEM(), nil),
		os.WriteFile(filepath.Join(dir, "server.pem"), append(cert, key...), 0o600),
	)
}

// ClientTLS is TLS 1.3 for clients that trust the authority, in PEM. They
// offer X25519 only: the hybrid key exchange, which OpenSSL 3.0 does not know,
// would be compared with a cheaper one.
func ClientTLS(authority []byte) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &tls.Config{
		RootCAs: roots, ServerName: "127.0.0.1",
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
	}
}
