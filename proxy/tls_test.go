package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// clientAuth makes a listener ask for client certificates of these authorities.
func clientAuth(mode tls.ClientAuthType, cas ...*pki.CA) func(*proxy.TLSOptions) {
	return func(o *proxy.TLSOptions) { o.ClientAuth, o.ClientCAs = mode, pool(cas...) }
}

// secure connects a client with TLS and sends its CONNECT, together with its
// certificate if it may: TLS 1.3 does not make it wait for the server's
// judgement.
func (h *house) secure(cfg *tls.Config, behind ...[]byte) (*mqtttest.Peer, *tls.Conn, error) {
	client := h.dial(packets.V5)
	network := &corked{Conn: client.Conn}
	cfg = cfg.Clone()
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		network.cork = state.Version == tls.VersionTLS13
		return nil
	}
	conn := tls.Client(network, cfg)
	client.Conn = conn
	if err := conn.HandshakeContext(h.t.Context()); err != nil {
		return client, conn, err
	}
	_, err := conn.Write(concat(append([][]byte{mqtttest.Connect(packets.V5, "device")}, behind...)...))
	network.pull()
	return client, conn, err
}

// accepted brings a client with TLS into a session.
func (h *house) accepted(cfg *tls.Config) (client, broker *mqtttest.Peer, state tls.ConnectionState) {
	h.t.Helper()
	client, conn, err := h.secure(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	broker = h.answer(packets.V5)
	broker.Expect("The CONNECT arrives.", mqtttest.Connect(packets.V5, "device"))
	broker.Send(mqtttest.Connack(packets.V5, packets.Success))
	client.Expect("The CONNACK comes back.", mqtttest.Connack(packets.V5, packets.Success))
	return client, broker, conn.ConnectionState()
}

// TestClientCertificate shows who gets in with which certificate, and whom the
// authentication then sees.
func TestClientCertificate(t *testing.T) {
	const none, optional, required = tls.NoClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert
	tests := []struct {
		name string
		mode tls.ClientAuthType
		cert string // "", or one of those below
		sees string // common name; "-": refused
	}{
		{"none asked, none shown", none, "", ""},
		{"none asked, one at hand", none, "good", ""},
		{"optional, none shown", optional, "", ""},
		{"optional, a good one", optional, "good", "plc-7"},
		{"optional, one of another authority", optional, "foreign", "-"},
		{"optional, an expired one", optional, "expired", "-"},
		{"required, none shown", required, "", "-"},
		{"required, a good one", required, "good", "plc-7"},
		{"required, one of another authority", required, "foreign", "-"},
		{"required, an expired one", required, "expired", "-"},
		{"required, a server's", required, "server", "-"},
	}
	for _, tt := range tests {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tt.name+", "+tls.VersionName(version), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					id, clients := newIdentity(t, "broker.example"), newCA(t, "clients")
					h := open(t, withTLS(id, clientAuth(tt.mode, clients)))
					defer h.close()
					var seen *x509.Certificate
					h.policy.Authn = authenticate(func(_ context.Context, c filters.Credentials) (filters.Identity, error) {
						seen = c.Certificate
						return filters.Identity{Username: "x", Method: "test"}, nil
					})
					cfg := id.client()
					cfg.MaxVersion = version
					cert := map[string]tls.Certificate{
						"good":    issue(t, clients, pki.Options{CN: "plc-7", Client: true}),
						"foreign": issue(t, newCA(t, "clients"), pki.Options{CN: "plc-7", Client: true}),
						"expired": issue(t, clients, pki.Options{CN: "plc-7", Client: true, NotAfter: time.Now().Add(-time.Minute)}),
						"server":  issue(t, clients, pki.Options{CN: "plc-7"}),
					}[tt.cert]
					if tt.cert != "" {
						// Shown whatever the server asks for.
						cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
					}
					if tt.sees == "-" {
						h.expectAlert(cfg)
						return
					}
					h.accepted(cfg)
					if got := seen != nil; got != (tt.sees != "") || got && seen.Subject.CommonName != tt.sees {
						t.Errorf("the authentication sees %v, want %q", seen, tt.sees)
					}
				})
			})
		}
	}
}

// expectAlert expects that the server refuses a client in the handshake and
// tells it so, though the client has begun to send.
func (h *house) expectAlert(cfg *tls.Config) {
	h.t.Helper()
	client, conn, err := h.secure(cfg, long(20_000))
	if err == nil {
		client.Conn.SetReadDeadline(time.Now().Add(time.Minute))
		_, err = conn.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
		h.t.Errorf("the client sees %v, want an alert of TLS", err)
	}
	client.Close()
	h.expectEnd("refused tls_handshake")
	if n := h.dials.Load(); n != 0 {
		h.t.Errorf("%d dials", n)
	}
}

// TestClientDistrusts has a client that does not know the server's authority.
func TestClientDistrusts(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, withTLS(newIdentity(t, "broker.example")))
			defer h.close()
			cfg := newIdentity(t, "broker.example").client()
			cfg.MaxVersion = version
			client, _, err := h.secure(cfg)
			var unknown x509.UnknownAuthorityError
			if !errors.As(err, &unknown) {
				t.Errorf("handshake: %v, want an unknown authority", err)
			}
			client.Close()
			h.expectEnd("refused tls_handshake")
			if n := h.seen.count("handshake failed"); n != 1 {
				t.Errorf("%d failed handshakes counted, want 1", n)
			}
		})
	}
}

func TestVersionsOfTLS(t *testing.T) {
	tests := []struct {
		server, client uint16 // the server's least, the client's most
		ok             bool
	}{
		{0, tls.VersionTLS11, false},
		{tls.VersionTLS10, tls.VersionTLS11, false}, // TLS 1.2 is the least whatever is asked
		{0, tls.VersionTLS12, true},
		{tls.VersionTLS13, tls.VersionTLS12, false},
		{tls.VersionTLS13, tls.VersionTLS13, true},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			id := newIdentity(t, "broker.example")
			h := open(t, withTLS(id, func(o *proxy.TLSOptions) { o.MinVersion = tt.server }))
			defer h.close()
			cfg := id.client()
			cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tt.client
			if !tt.ok {
				h.expectAlert(cfg)
				return
			}
			if _, _, state := h.accepted(cfg); state.Version != tt.client {
				t.Errorf("negotiated %s", tls.VersionName(state.Version))
			}
		})
	}
}

// TestNegotiation shows what is agreed without anybody asking: a key exchange
// that withstands quantum computers, and ALPN for those who know it.
func TestNegotiation(t *testing.T) {
	tests := []struct {
		name   string
		offers []string
		agreed string
	}{
		{"no ALPN", nil, ""},
		{"mqtt", []string{"mqtt"}, "mqtt"},
		{"mqtt among others", []string{"x-amzn-mqtt-ca", "mqtt"}, "mqtt"},
		{"others only", []string{"x-amzn-mqtt-ca", "http/1.1"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				id := newIdentity(t, "broker.example")
				h := open(t, withTLS(id))
				defer h.close()
				cfg := id.client()
				cfg.NextProtos = tt.offers
				_, _, state := h.accepted(cfg)
				if state.NegotiatedProtocol != tt.agreed {
					t.Errorf("agreed on %q, want %q", state.NegotiatedProtocol, tt.agreed)
				}
				if state.CurveID != tls.X25519MLKEM768 {
					t.Errorf("key exchange %v, want X25519MLKEM768", state.CurveID)
				}
				if n := h.seen.count("handshake ok"); n != 1 {
					t.Errorf("%d handshakes counted, want 1", n)
				}
			})
		})
	}
}

func TestServerName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newIdentity(t, "one.example"), newIdentity(t, "two.example")
		h := open(t, withTLS(one, func(o *proxy.TLSOptions) { o.Certificates = append(o.Certificates, two.pair) }))
		defer h.close()
		for _, tt := range []struct {
			asks string
			gets identity
		}{{"one.example", one}, {"two.example", two}, {"other.example", one}, {"", one}} {
			cfg := &tls.Config{ServerName: tt.asks, InsecureSkipVerify: true}
			_, _, state := h.accepted(cfg)
			if got := state.PeerCertificates[0].Subject.CommonName; got != tt.gets.name {
				t.Errorf("the client asked for %q and got %q, want %q", tt.asks, got, tt.gets.name)
			}
		}
	})
}
