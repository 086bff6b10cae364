package proxy_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

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
		if _, err := io.ReadFull(web, rest); err != nil || !bytes.Equal(concat(head, rest), packet) {
			t.Errorf("the PUBLISH is not whole: %v", err)
		}
	})
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

// TestGatheredFrames gathers a large payload whose frames end where the buffer does, or
// nearly so: there may be room for a byte, and the next that comes is a header.
func TestGatheredFrames(t *testing.T) {
	sound, _ := text(100_000)
	packet := mqtttest.Publish(packets.V5, 0, 0, "json/refuse", sound)
	for _, last := range []int{1, 2, 3, 100, 10_000} {
		for name, inTLS := range map[string]bool{"plain": false, "TLS": true} {
			synctest.Test(t, func(t *testing.T) {
				id := newIdentity(t, "broker.example")
				h := open(t, inspected(t), overWebSocket, func(p *proxy.Policy) {
					if inTLS {
						withTLS(id)(p)
					}
				})
				defer h.close()
				client := h.dial(packets.V5)
				if inTLS {
					conn := tls.Client(client.Conn, id.client())
					client.Conn = conn
					if err := conn.HandshakeContext(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				web := h.shakeHands(client)
				_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
				stream := frameOf(ws.OpBinary, packet[:len(packet)-last])
				for _, b := range packet[len(packet)-last:] {
					stream = append(stream, frameOf(ws.OpBinary, []byte{b})...)
				}
				go func() { _, _ = web.Conn.Write(stream) }()
				broker.Expect(fmt.Sprintf("All of it comes, the last %d bytes in a frame each (%s).", last, name), packet)
			})
		}
	}
}
