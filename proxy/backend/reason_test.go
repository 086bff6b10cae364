package backend

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/memnet"
	"github.com/mqttward/mqttward/internal/pki"
)

var errReset = errors.New("reset")

// TestReason: what a server says of our certificate counts for more than that it has
// hung up since.
func TestReason(t *testing.T) {
	ca, err := pki.NewCA("CA")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue(pki.Options{DNS: []string{"broker"}})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		auth tls.ClientAuthType
		want string
	}{
		{"no certificate", tls.RequireAnyClientCert, "certificate required"},
		{"hangs up", tls.NoClientCert, "reset"},
	} {
		near, far := memnet.Pipe(&net.TCPAddr{}, &net.TCPAddr{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tt.auth, MinVersion: tls.VersionTLS13})
			_ = server.HandshakeContext(t.Context())
			_ = server.Close()
		}()
		client := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-done
		if err := Reason(client, errReset); !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		_ = client.Close()
	}
	near, _ := memnet.Pipe(&net.TCPAddr{}, &net.TCPAddr{})
	if err := Reason(near, errReset); !errors.Is(err, errReset) {
		t.Errorf("without TLS: %v", err)
	}
}
