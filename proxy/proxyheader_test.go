package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/proxy/backend"
)

// TestProxyHeader has what the broker is told of clients, over the kernel's
// sockets: others have no addresses.
func TestProxyHeader(t *testing.T) {
	clients := newCA(t, "clients")
	cert := issue(t, clients, pki.Options{CN: "plc-7", Client: true})
	tests := []struct {
		name    string
		version byte
		tls     bool
		certs   []tls.Certificate
	}{
		{"version 1", 1, false, nil},
		{"version 2", 2, false, nil},
		{"version 2 with TLS", 2, true, nil},
		{"version 2 with a certificate", 2, true, []tls.Certificate{cert}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := newIdentity(t, "broker.example")
			var edit []func(*proxy.Policy)
			if tt.tls {
				edit = append(edit, withTLS(id, clientAuth(tls.VerifyClientCertIfGiven, clients)))
			}
			h := open(t, edit...)
			defer h.close()
			h.policy.Route = at(h.reach, announced(tt.version))
			socket, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			h.serve.Go(func() { h.listener.Serve(socket) })
			conn, err := net.Dial("tcp", socket.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			h.peers = append(h.peers, conn)
			client := io.Writer(conn)
			if tt.tls {
				client = tls.Client(conn, id.client(tt.certs...))
			}
			connect := mqtttest.Connect(packets.V5, "device", mqtttest.Login("bob", "x"))
			if _, err := client.Write(connect); err != nil {
				t.Fatal(err)
			}
			broker := h.answer(packets.V5)
			r := bufio.NewReader(broker.Conn)
			header, err := proxyproto.Read(r)
			if err != nil {
				t.Fatal(err)
			}
			rest := make([]byte, len(connect))
			if _, err := io.ReadFull(r, rest); err != nil || !bytes.Equal(rest, connect) {
				t.Errorf("behind the header %x, %v, want the CONNECT", rest, err)
			}
			if header.Version != tt.version || header.SourceAddr.String() != conn.LocalAddr().String() || header.DestinationAddr.String() != socket.Addr().String() {
				t.Errorf("header %+v, want %s to %s", header, conn.LocalAddr(), socket.Addr())
			}
			if tt.version == 2 {
				checkTLVs(t, header, tt.tls, tt.certs != nil)
			}
		})
	}
}

func checkTLVs(t *testing.T, header *proxyproto.Header, secure, certificate bool) {
	t.Helper()
	tlvs, err := header.TLVs()
	if err != nil {
		t.Fatal(err)
	}
	ssl, ok := tlvparse.FindSSL(tlvs)
	name, _ := ssl.ClientCN()
	if !ok || name != "bob" || ssl.ClientSSL() != secure || ssl.ClientCertConn() != certificate || ssl.Verified() != certificate {
		t.Errorf("SSL %+v, %v", ssl, ok)
	}
	var authority string
	for _, tlv := range tlvs {
		if tlv.Type == proxyproto.PP2_TYPE_AUTHORITY {
			authority = string(tlv.Value)
		}
	}
	if (authority == "broker.example") != secure {
		t.Errorf("authority %q", authority)
	}
}

// announced has the broker told who the client is.
func announced(version byte) func(*backend.Options) {
	return func(o *backend.Options) { o.ProxyProtocol = version }
}

// TestLongProxyHeader: who cannot be named whole is not let in under half a name.
func TestLongProxyHeader(t *testing.T) {
	h := open(t, func(p *proxy.Policy) {
		p.Authn = authenticate(func(context.Context, filters.Credentials) (filters.Identity, error) {
			return filters.Identity{Username: strings.Repeat("x", 500), Method: "users"}, nil
		})
	})
	defer h.close()
	h.policy.Route = at(h.reach, announced(2))
	client := h.dial(packets.V5)
	client.Send(mqtttest.Connect(packets.V5, "device"))
	client.Expect("It is refused.", mqtttest.Connack(packets.V5, packets.NotAuthorized))
	client.ExpectClose("It ends.")
	if n := h.dials.Load(); n != 0 {
		t.Errorf("%d dials", n)
	}
}

// TestNoAddress: of a client on a Unix socket or the like nothing is said.
func TestNoAddress(t *testing.T) {
	for version, want := range map[byte]string{1: "PROXY UNKNOWN\r\n", 2: "\r\n\r\n\x00\r\nQUIT\n\x21\x00"} {
		h := open(t)
		h.policy.Route = at(h.reach, announced(version))
		address := filepath.Join(t.TempDir(), "mqtt")
		socket, err := net.Listen("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		h.serve.Go(func() { h.listener.Serve(socket) })
		client, err := net.Dial("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		h.peers = append(h.peers, client)
		if _, err := client.Write(mqtttest.Connect(packets.V311, "device")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(h.answer(packets.V311).Conn, got); err != nil || string(got) != want {
			t.Errorf("version %d: %q, %v, want %q", version, got, err, want)
		}
		socket.Close()
		h.close()
	}
}
