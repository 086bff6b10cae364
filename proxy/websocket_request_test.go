package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// TestRequests: what becomes of a request that is not one for MQTT, and whom it is
// blamed on.
func TestRequests(t *testing.T) {
	const good = "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n"
	for _, tt := range []struct {
		name, request string
		answer        string // its beginning; "": none
		end           string
		fault         proxy.Fault
	}{
		{"another path", strings.Replace(good, "/mqtt", "/", 1) + "\r\n", "HTTP/1.1 404 Not Found\r\n", "websocket_handshake", proxy.NoFault},
		{"POST", strings.Replace(good, "GET", "POST", 1) + "\r\n", "HTTP/1.1 405 Method Not Allowed\r\n", "websocket_handshake", proxy.NoFault},
		{"a page of elsewhere", good + "Origin: https://evil.example\r\n\r\n", "HTTP/1.1 403 Forbidden\r\n", "websocket_handshake", proxy.NoFault},
		{"no subprotocol", strings.Replace(good, "mqtt\r\n", "chat\r\n", 1) + "\r\n", "HTTP/1.1 400 Bad Request\r\n", "websocket_handshake", proxy.NoFault},
		{"something behind it", good + "\r\n\x82", "HTTP/1.1 400 Bad Request\r\n", "websocket_handshake", proxy.NoFault},
		{"as long as may be", good + "Cookie: " + strings.Repeat("a", 8<<10-len(good)-8) + "\r\n\r\n", "HTTP/1.1 101 ", "connect_timeout", proxy.FaultSilence},
		{"a byte longer", good + "Cookie: " + strings.Repeat("a", 8<<10-len(good)-7) + "\r\n\r\n", "HTTP/1.1 431 ", "websocket_handshake", proxy.NoFault},
		{"too long", good + "Cookie: " + strings.Repeat("a", 9000) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large\r\n", "websocket_handshake", proxy.NoFault},
		{"without an end", "GET /" + strings.Repeat("a", 9000), "HTTP/1.1 431 Request Header Fields Too Large\r\n", "websocket_handshake", proxy.NoFault},
		{"MQTT", string(mqtttest.Connect(packets.V311, "device")), "HTTP/1.1 400 Bad Request\r\n", "websocket_handshake", proxy.FaultProtocol},
		{"no HTTP", "HELLO\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "websocket_handshake", proxy.FaultProtocol},
		{"silence", "", "", "connect_timeout", proxy.FaultSilence},
		{"half a request", good, "", "connect_timeout", proxy.FaultSilence},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, overWebSocket)
				defer h.close()
				client := h.dial(packets.V5)
				client.Send([]byte(tt.request))
				start := time.Now()
				client.Conn.SetReadDeadline(start.Add(time.Hour))
				answer, err := io.ReadAll(client.Conn)
				if err != nil || !strings.HasPrefix(string(answer), tt.answer) || tt.answer == "" && len(answer) > 0 {
					t.Errorf("answer %q, %v", answer, err)
				}
				if took := time.Since(start); took > connectTimeout {
					t.Errorf("it took %v", took)
				}
				client.Close()
				h.expectEnd("refused " + tt.end)
				if got := proxy.Fault(h.fault.Load()); got != tt.fault {
					t.Errorf("fault %d, want %d", got, tt.fault)
				}
				if n := h.dials.Load(); n != 0 {
					t.Errorf("the broker was dialled %d times", n)
				}
			})
		})
	}
}

// TestRequestInOneRecord: what TLS has of a request beyond what is read at once is not
// waited for.
func TestRequestInOneRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		h := open(t, withTLS(id), overWebSocket)
		defer h.close()
		conn := tls.Client(h.dial(packets.V5).Conn, id.client())
		if err := conn.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "GET /mqtt?%s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", strings.Repeat("a", 700))
		b := make([]byte, 13)
		if _, err := io.ReadFull(conn, b); err != nil || string(b) != "HTTP/1.1 101 " {
			t.Errorf("answer %q, %v", b, err)
		}
	})
}

// TestOriginWithoutTLS: a page that came without TLS is none of a server with it.
func TestOriginWithoutTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		h := open(t, withTLS(id), overWebSocket)
		defer h.close()
		for origin, want := range map[string]string{"http://broker.example": "HTTP/1.1 403 ", "https://broker.example": "HTTP/1.1 101 "} {
			conn := tls.Client(h.dial(packets.V5).Conn, id.client())
			if err := conn.HandshakeContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprintf(conn, "GET /mqtt HTTP/1.1\r\nHost: broker.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\nOrigin: %s\r\n\r\n", origin)
			b := make([]byte, 13)
			if _, err := io.ReadFull(conn, b); err != nil || string(b) != want {
				t.Errorf("a page of %s: %q, %v, want %q", origin, b, err, want)
			}
			conn.Close()
		}
	})
}

// TestSilentAboutRequests: a listener that is silent about refusals is so about these.
func TestSilentAboutRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, overWebSocket, func(p *proxy.Policy) { p.Silent = true })
		defer h.close()
		client := h.dial(packets.V5)
		client.Send([]byte("GET / HTTP/1.1\r\n\r\n"))
		client.ExpectClose("The connection ends without an answer.")
		client.Close()
		h.expectEnd("refused websocket_handshake")
	})
}

// TestRefusalIsRead: a client that goes on sending reads the answer nevertheless.
func TestRefusalIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, overWebSocket)
		defer h.close()
		client := h.dial(packets.V5)
		go func() { _, _ = client.Conn.Write([]byte("GET /" + strings.Repeat("a", 300_000))) }()
		synctest.Wait()
		client.Conn.SetReadDeadline(time.Now().Add(time.Minute))
		if answer, err := io.ReadAll(client.Conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
			t.Errorf("answer %q, %v", answer, err)
		}
		client.Close()
		h.expectEnd("refused websocket_handshake")
	})
}

// TestSlowRequest: the bytes of a request do not move its deadline.
func TestSlowRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, overWebSocket)
		defer h.close()
		client := h.dial(packets.V5)
		go func() {
			for range 60 {
				if _, err := client.Conn.Write([]byte("G")); err != nil {
					return
				}
				time.Sleep(time.Second / 2)
			}
		}()
		if took := ended(client, "It has no longer than a CONNECT."); took != connectTimeout {
			t.Errorf("it took %v, want %v", took, connectTimeout)
		}
		client.Close()
		h.expectEnd("refused connect_timeout")
	})
}
