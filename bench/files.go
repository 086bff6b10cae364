package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/mqttward/mqttward/internal/pki"
)

// writeFiles writes what the proxies share, and keeps what the clients need.
// These offer X25519 only: the hybrid key exchange, which OpenSSL 3.0 does not
// know, would be compared with a cheaper one.
func (l *launcher) writeFiles() error {
	ca, err := pki.NewCA("mqttward bench")
	if err != nil {
		return err
	}
	cert, key, err := ca.Issue(pki.Options{CN: "bench", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	l.tls = &tls.Config{
		RootCAs: roots, ServerName: "127.0.0.1",
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
	}
	return errors.Join(
		pki.Write(l.dir, "server", cert, key),
		os.WriteFile(filepath.Join(l.dir, "server.pem"), append(cert, key...), 0o600),
	)
}
