package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/pki"
)

// TestVerifyResumed checks states as VerifyConnection sees them on resumption,
// when crypto/tls itself may not have looked at the chain.
func TestVerifyResumed(t *testing.T) {
	ca, other := authority(t), authority(t)
	leaf := func(ca *pki.CA, o pki.Options) []*x509.Certificate {
		certPEM, _, err := ca.Issue(o)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(certPEM)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{c}
	}
	tests := []struct {
		name  string
		mode  tls.ClientAuthType
		certs []*x509.Certificate
		ok    bool
	}{
		{"a good one", tls.RequireAndVerifyClientCert, leaf(ca, pki.Options{CN: "a", Client: true}), true},
		{"one whose authority was withdrawn", tls.RequireAndVerifyClientCert, leaf(other, pki.Options{CN: "a", Client: true}), false},
		{"also where none is needed", tls.VerifyClientCertIfGiven, leaf(other, pki.Options{CN: "a", Client: true}), false},
		{"one that has expired", tls.RequireAndVerifyClientCert, leaf(ca, pki.Options{CN: "a", Client: true, NotAfter: time.Now().Add(-time.Hour)}), false},
		{"a server's", tls.RequireAndVerifyClientCert, leaf(ca, pki.Options{CN: "a"}), false},
		{"none, from before one was needed", tls.RequireAndVerifyClientCert, nil, false},
		{"none, where none is needed", tls.VerifyClientCertIfGiven, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(ca.PEM())
			config := NewTLS(TLSOptions{ClientAuth: tt.mode, ClientCAs: pool}).plain
			err := config.VerifyConnection(tls.ConnectionState{PeerCertificates: tt.certs, DidResume: true})
			if (err == nil) != tt.ok {
				t.Errorf("error %v, want accepted: %v", err, tt.ok)
			}
		})
	}
}

// TestNoAuthorities fails closed: without a pool, crypto/tls would take the
// system's authorities for those of the clients.
func TestNoAuthorities(t *testing.T) {
	c := NewTLS(TLSOptions{ClientAuth: tls.RequireAndVerifyClientCert})
	for _, config := range []*tls.Config{c.plain, c.mqtt} {
		if config.ClientCAs == nil || !config.ClientCAs.Equal(x509.NewCertPool()) {
			t.Errorf("client authorities %v, want none", config.ClientCAs)
		}
	}
}

func authority(t *testing.T) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA("clients")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}
