package proxy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

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
		if _, err := from.Write(sent); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, got); err != nil {
			t.Fatal(err)
		}
	}
	h.seen.off.Store(true) // it would count its own
	defer h.seen.off.Store(false)
	allocs := testing.AllocsPerRun(2000, func() {
		pass(web.Conn, broker.Conn, up, buf[:len(p)])
		pass(broker.Conn, web.Conn, p, buf)
	})
	if allocs > proxy.PoolAllocations {
		t.Errorf("%v allocations per PUBLISH in each direction, want none", allocs)
	}
}
