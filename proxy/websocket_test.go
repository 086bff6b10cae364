package proxy_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// overWebSocket makes a listener one for WebSockets.
func overWebSocket(p *proxy.Policy) { p.WebSocket = &proxy.WebSocket{Path: "/mqtt"} }

// page is a client's end of a WebSocket. What is written is the payload of one frame, and
// a close frame is the end of what is read.
type page struct {
	net.Conn
	rest   io.Reader // of the frame that has begun
	status ws.StatusCode
	pongs  []string
}

func (p *page) Write(b []byte) (int, error) {
	_, err := p.Conn.Write(frameOf(ws.OpBinary, b))
	return len(b), err
}

func (p *page) Read(b []byte) (int, error) {
	for {
		if p.rest != nil {
			if n, err := p.rest.Read(b); n > 0 || err != io.EOF {
				return n, err
			}
			p.rest = nil
		}
		h, err := ws.ReadHeader(p.Conn)
		if err != nil {
			return 0, err
		}
		if err := ws.CheckHeader(h, ws.StateClientSide); err != nil {
			return 0, err
		}
		if h.OpCode == ws.OpBinary {
			p.rest = io.LimitReader(p.Conn, h.Length)
			continue
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(p.Conn, payload); err != nil {
			return 0, err
		}
		switch h.OpCode {
		case ws.OpPong:
			p.pongs = append(p.pongs, string(payload))
		case ws.OpClose:
			p.status, _ = ws.ParseCloseFrameData(payload)
			return 0, io.EOF
		default:
			return 0, fmt.Errorf("a frame %v", h.OpCode)
		}
	}
}

func frameOf(op ws.OpCode, payload []byte) []byte {
	return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, true, payload), [4]byte{1, 2, 3, 250}))
}

// browse connects a client that has its WebSocket.
func (h *house) browse(v packets.Version) (*mqtttest.Peer, *page) {
	h.t.Helper()
	client := h.dial(v)
	return client, h.shakeHands(client)
}

func (h *house) shakeHands(client *mqtttest.Peer) *page {
	h.t.Helper()
	u := &url.URL{Scheme: "ws", Host: "broker.example", Path: "/mqtt"}
	_, agreed, err := ws.Dialer{Protocols: []string{"mqtt"}}.Upgrade(client.Conn, u)
	if err != nil || agreed.Protocol != "mqtt" {
		h.t.Fatalf("the WebSocket is refused: %+v, %v", agreed, err)
	}
	web := &page{Conn: client.Conn}
	client.Conn = web
	return web
}

// TestWebSocket is a session in a WebSocket, from its beginning to its end.
func TestWebSocket(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, overWebSocket)
		defer h.close()
		client, web := h.browse(v)
		_, broker := h.sessionWith(client, v, mqtttest.Connack(v, packets.Success))
		a, b := mqtttest.Publish(v, 1, 1, "data/a", "first"), mqtttest.Publish(v, 1, 2, "data/b", "second")
		client.Send(a, b)
		broker.Expect("Two packets in one frame.", a, b)
		for i := range a {
			client.Send(a[i : i+1])
		}
		broker.Expect("A packet in as many frames as it has bytes.", a)
		client.Send(nil)
		client.Send(append(bytes.Clone(a), b[:3]...))
		broker.Expect("A frame that ends within a packet.", a)
		client.Send(b[3:])
		broker.Expect("The rest of the packet.", b)
		big := mqtttest.Publish(v, 0, 0, "data/a", string(long(300_000)))
		go client.Send(big)
		broker.Expect("A payload that is streamed.", big)
		go broker.Send(big)
		client.Expect("And back.", big)
		client.Send(mqtttest.Disconnect(v, packets.Success))
		broker.Expect("The goodbye goes on.", mqtttest.Disconnect(v, packets.Success))
		broker.Close()
		client.ExpectClose("The end of the session is that of the WebSocket.")
		if web.status != ws.StatusNormalClosure {
			t.Errorf("closed with status %d, want 1000", web.status)
		}
		client.Close()
		h.expectEnd("ended client_disconnect")
	})
}

// TestWebSocketInTLS: frames lie in records as they like, and nothing waits in TLS that
// nobody looks for. The certificate is still known.
func TestWebSocketInTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		h := open(t, withTLS(id), overWebSocket)
		defer h.close()
		client := h.dial(packets.V5)
		conn := tls.Client(client.Conn, id.client())
		client.Conn = conn
		if err := conn.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		web := h.shakeHands(client)
		_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
		for size := 1; size < 100_000; size = size*3 + 1 {
			one := mqtttest.Publish(packets.V5, 0, 0, "data/a", string(long(size)))
			var want [][]byte
			var frames []byte
			for range 20 {
				want = append(want, one)
				frames = append(frames, frameOf(ws.OpBinary, one)...)
			}
			go func() { _, _ = conn.Write(frames) }()
			broker.Expect("All frames, whatever records they come in.", want...)
			go broker.Send(one)
			client.Expect("And back.", one)
		}
		broker.Close()
		client.ExpectClose("The broker is gone, and so is the session.")
		if web.status != ws.StatusGoingAway {
			t.Errorf("closed with status %d, want 1001", web.status)
		}
		client.Close()
		h.expectEnd("ended broker_closed")
	})
}

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

// TestBadFrames: a client that does not keep to WebSocket is told so, before its session
// and within. Its Will is due, since the broker hears no goodbye.
func TestBadFrames(t *testing.T) {
	unmasked := ws.MustCompileFrame(ws.NewBinaryFrame([]byte{0xc0, 0}))
	for _, tt := range []struct {
		name   string
		sent   []byte
		status ws.StatusCode
	}{
		{"not masked", unmasked, 1002},
		{"text", frameOf(ws.OpText, []byte("hello")), 1003},
		{"a ping that is too long", []byte{0x89, 0xfe, 0x10, 0, 0, 0, 0, 0}, 1002},
		{"a compressed frame", []byte{0xc2, 0x81, 0, 0, 0, 0, 0}, 1002},
		{"a frame that is too large", []byte{0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1009},
		{"too many pings", bytes.Repeat(frameOf(ws.OpPing, nil), 200), 1008},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, overWebSocket)
				defer h.close()
				client, web := h.browse(packets.V5)
				_, _ = web.Conn.Write(tt.sent)
				client.ExpectClose("No session comes of that.")
				client.Close()
				h.expectEnd("refused malformed_connect")
				if got := proxy.Fault(h.fault.Load()); web.status != tt.status || got != proxy.FaultProtocol {
					t.Errorf("status %d, fault %d, want %d", web.status, got, tt.status)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				h := open(t, overWebSocket)
				defer h.close()
				client, web := h.browse(packets.V5)
				_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
				_, _ = web.Conn.Write(tt.sent)
				want := mqtttest.Disconnect(packets.V5, packets.ProtocolError)
				if tt.status == 1008 {
					want = mqtttest.Disconnect(packets.V5, packets.MessageRateTooHigh)
				}
				client.Expect("The reason comes first.", want)
				client.ExpectClose("Then the end.")
				if web.status != tt.status {
					t.Errorf("status %d, want %d", web.status, tt.status)
				}
				broker.ExpectClose("And that of the broker's side, without goodbye.")
				client.Close()
				broker.Close()
				h.expectEnd("ended protocol_error")
			})
		})
	}
}

// TestPings: a ping is answered at once, in the middle of a PUBLISH that is streamed in
// either direction too.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, overWebSocket)
		defer h.close()
		client, web := h.browse(packets.V5)
		_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
		packet := mqtttest.Publish(packets.V5, 0, 0, "data/a", string(long(100_000)))
		ping := func(text string) {
			t.Helper()
			if _, err := web.Conn.Write(frameOf(ws.OpPing, []byte(text))); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 2+len(text))
			web.Conn.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := io.ReadFull(web.Conn, b); err != nil || string(b) != "\x8a"+string(rune(len(text)))+text {
				t.Errorf("a ping is answered with % x, %v", b, err)
			}
		}
		ping("between packets")
		client.Send(packet[:50_000])
		ping("up")
		go client.Send(packet[50_000:])
		broker.Expect("The PUBLISH is whole.", packet)

		broker.Send(packet[:20_000])
		head := make([]byte, 20_000)
		if _, err := io.ReadFull(web, head); err != nil {
			t.Fatal(err)
		}
		ping("down")
		go broker.Send(packet[20_000:])
		rest := make([]byte, len(packet)-len(head))
		if _, err := io.ReadFull(web, rest); err != nil || !bytes.Equal(append(head, rest...), packet) {
			t.Errorf("the PUBLISH is not whole: %v", err)
		}
	})
}

// TestPageCloses: a close frame is answered, with what it says, and is no goodbye in MQTT.
func TestPageCloses(t *testing.T) {
	for _, body := range [][]byte{nil, ws.NewCloseFrameBody(1001, "tab closed")} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, overWebSocket)
			defer h.close()
			client, web := h.browse(packets.V311)
			_, broker := h.sessionWith(client, packets.V311, mqtttest.Connack(packets.V311, packets.Success))
			last := mqtttest.Publish(packets.V311, 0, 0, "data/a", "last")
			client.Send(last)
			_, _ = web.Conn.Write(frameOf(ws.OpClose, body))
			broker.Expect("What came before goes on.", last)
			broker.ExpectClose("The broker hears no DISCONNECT.")
			broker.Close()
			client.ExpectClose("The close is answered.")
			if want := map[bool]ws.StatusCode{true: 1000, false: 1001}[body == nil]; web.status != want {
				t.Errorf("status %d, want %d", web.status, want)
			}
			client.Close()
			h.expectEnd("ended client_closed")
		})
	}
}

// TestSlowFrame: a header that never becomes whole ends the session as a packet does that
// never becomes whole.
func TestSlowFrame(t *testing.T) {
	for _, cut := range []int{1, 3, 7} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, overWebSocket)
			defer h.close()
			client, web := h.browse(packets.V5)
			_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success), mqtttest.KeepAlive(3600))
			time.Sleep(time.Minute)
			frame := frameOf(ws.OpPing, []byte("ping"))
			go func() {
				for _, b := range frame[:cut] {
					_, _ = web.Conn.Write([]byte{b})
					time.Sleep(time.Second)
				}
			}()
			took := ended(client, "It has the time of a packet.", goodbye(packets.V5, packets.ProtocolError)...)
			if took < packetTimeout || took > packetTimeout+time.Second {
				t.Errorf("it took %v, want %v", took, packetTimeout)
			}
			broker.Close()
			client.Close()
			h.expectEnd("ended packet_timeout")
		})
	}
}

// TestSilentWebSocket: an open WebSocket without packets is silence.
func TestSilentWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, overWebSocket)
		defer h.close()
		client, _ := h.browse(packets.V5)
		_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success), mqtttest.KeepAlive(60))
		took := ended(client, "Silence ends the session.", goodbye(packets.V5, packets.KeepAliveTimeout)...)
		if took < 91*time.Second || took > 93*time.Second {
			t.Errorf("after %v, want 91 s", took)
		}
		broker.Close()
		client.Close()
		h.expectEnd("ended keep_alive_timeout")
	})
}

// TestDeafPage: who pings and does not read is not waited for longer than for a write.
func TestDeafPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, overWebSocket)
		defer h.close()
		client, web := h.browse(packets.V5)
		_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success), mqtttest.KeepAlive(3600))
		packet := mqtttest.Publish(packets.V5, 0, 0, "data/a", string(long(10_000)))
		go func() {
			for range 1000 {
				if _, err := broker.Conn.Write(packet); err != nil {
					return
				}
			}
		}()
		synctest.Wait() // nothing more fits
		up := mqtttest.Publish(packets.V5, 0, 0, "data/a", "up")
		_, _ = web.Conn.Write(append(frameOf(ws.OpPing, nil), frameOf(ws.OpBinary, up)...))
		broker.Expect("What is written does not hold up what is read.", up)
		client.Close()
		broker.Close()
		h.wait()
	})
}

// TestWebSocketShutdown tells pages that the server goes away.
func TestWebSocketShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, overWebSocket)
		defer h.close()
		client, web := h.browse(packets.V5)
		_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
		go func() { _ = h.server.Shutdown(t.Context()) }()
		client.Expect("In MQTT first.", goodbye(packets.V5, packets.ServerShuttingDown)...)
		client.ExpectClose("Then in WebSocket.")
		if web.status != ws.StatusGoingAway {
			t.Errorf("status %d, want 1001", web.status)
		}
		client.Close()
		broker.Close()
		h.expectEnd("ended shutdown")
	})
}

// TestRefusedInWebSocket: a refusal in MQTT is followed by the end of the WebSocket.
func TestRefusedInWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, overWebSocket)
		defer h.close()
		client, web := h.browse(packets.V5)
		client.Send(mqtttest.Connect(packets.V5, "device", mqtttest.Login("alice", "wrong")))
		client.Expect("The refusal.", mqtttest.Connack(packets.V5, packets.BadUserNameOrPassword))
		client.ExpectClose("And the end.")
		if web.status != ws.StatusPolicyViolation {
			t.Errorf("status %d, want 1008", web.status)
		}
		client.Close()
		h.expectEnd("refused bad_credentials")
	})
}

// TestWebSocketDoesNotAllocate passes PUBLISHes in frames in both directions.
func TestWebSocketDoesNotAllocate(t *testing.T) {
	h := open(t, overWebSocket, func(p *proxy.Policy) {
		p.Up, p.Down = filters.Chain{opens(func(*filters.Session) {})}, filters.Chain{opens(func(*filters.Session) {})}
	})
	defer h.close()
	client, web := h.browse(packets.V5)
	_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success), mqtttest.KeepAlive(60))
	p := mqtttest.Publish(packets.V5, 1, 7, "data/sensor/temperature", "21.5")
	up, buf := frameOf(ws.OpBinary, p), make([]byte, len(p)+2)
	pass := func(from, to net.Conn, sent, got []byte) {
		_, err := from.Write(sent)
		if _, failed := io.ReadFull(to, got); errors.Join(err, failed) != nil {
			t.Fatal(err, failed)
		}
	}
	h.seen.off.Store(true) // it would count its own
	defer h.seen.off.Store(false)
	allocs := testing.AllocsPerRun(2000, func() {
		pass(web.Conn, broker.Conn, up, buf[:len(p)])
		pass(broker.Conn, web.Conn, p, buf)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per PUBLISH in each direction, want none", allocs)
	}
}
