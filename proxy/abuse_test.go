package proxy_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/ratelimit"
)

// visitor is a peer that never becomes a client: what it does, when it has to
// be gone, and as what it is counted.
type visitor struct {
	name  string
	visit func(c net.Conn) // runs in a goroutine of its own; the connection is closed in the end
	gone  time.Duration    // after this time the proxy has closed the connection
	count string
	fault proxy.Fault // that its network answers for
}

func say(b ...[]byte) func(net.Conn) {
	return func(c net.Conn) {
		for _, b := range b {
			c.Write(b)
		}
		io.Copy(io.Discard, c)
	}
}

// drip sends b one byte a second.
func drip(b []byte) func(net.Conn) {
	return func(c net.Conn) {
		go func() {
			for i := range b {
				if _, err := c.Write(b[i : i+1]); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		io.Copy(io.Discard, c)
	}
}

func long(n int) []byte { return []byte(strings.Repeat("x", n)) }

// onPlaintext are visitors of a port without TLS. hello is a ClientHello.
func onPlaintext(hello []byte) []visitor {
	connect := mqtttest.Connect(packets.V311, "device", mqtttest.Login("alice", "secret"))
	large := func(n int) []byte { return mqtttest.Connect(packets.V5, string(long(n))) }
	return []visitor{
		{"a port scanner", func(c net.Conn) { c.Close() }, 0, "refused closed_early", proxy.NoFault},
		{"HTTP", say([]byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")), 0, "refused not_mqtt", proxy.FaultProtocol},
		{"SSH", say([]byte("SSH-2.0-OpenSSH_9.6\r\n")), 0, "refused not_mqtt", proxy.FaultProtocol},
		{"a packet that is no CONNECT", say(mqtttest.Publish(packets.V311, 0, 0, "data/a", "1")), 0, "refused not_mqtt", proxy.FaultProtocol},
		{"a CONNACK", say(mqtttest.Connack(packets.V311, packets.Success)), 0, "refused not_mqtt", proxy.FaultProtocol},
		{"TLS", say(hello), 0, "refused not_mqtt", proxy.FaultProtocol},
		{"CONNECT with flags", say([]byte{0x11, 0}), 0, "refused not_mqtt", proxy.FaultProtocol},
		{"garbage", say(long(1 << 20)), 0, "refused not_mqtt", proxy.FaultProtocol},
		{"a wrong protocol name", say([]byte("\x10\x0e\x00\x04MQTX\x04\x02\x00\x00\x00\x02ab")), 0, "refused malformed_connect", proxy.FaultProtocol},
		{"a length of five bytes", say([]byte{0x10, 0xff, 0xff, 0xff, 0xff, 0x01}), 0, "refused malformed_connect", proxy.FaultProtocol},
		{"a length that is longer than needed", say([]byte{0x10, 0x80, 0x00}), 0, "refused malformed_connect", proxy.FaultProtocol},
		{"a CONNECT that ends too soon", say(append([]byte{0x10, 5}, connect[2:7]...)), 0, "refused malformed_connect", proxy.FaultProtocol},
		{"a CONNECT of 256 MiB", say([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}), 0, "refused connect_too_large", proxy.FaultProtocol},
		{"a CONNECT above its limit", say(large(9000)), 0, "refused connect_too_large", proxy.FaultProtocol},
		{"half a CONNECT", say(connect[:len(connect)/2]), connectTimeout, "refused connect_timeout", proxy.FaultSilence},
		{"half a CONNECT and gone", func(c net.Conn) { c.Write(connect[:9]); c.Close() }, 0, "refused closed_early", proxy.NoFault},
		{"a CONNECT of one byte a second", drip(connect), connectTimeout, "refused connect_timeout", proxy.FaultSilence},
		{"silence", say(), connectTimeout, "refused connect_timeout", proxy.FaultSilence},
		{"silence and half-closed", func(c net.Conn) {
			c.(interface{ CloseWrite() error }).CloseWrite()
			io.Copy(io.Discard, c)
		}, 0, "refused closed_early", proxy.NoFault},
	}
}

// onTLS are visitors of a port with TLS.
func onTLS(hello []byte) []visitor {
	connect := mqtttest.Connect(packets.V311, "device")
	return []visitor{
		{"a port scanner", func(c net.Conn) { c.Close() }, 0, "refused tls_handshake", proxy.NoFault},
		{"a client without TLS", say(connect), time.Second, "refused tls_handshake", proxy.FaultProtocol},
		{"HTTP", say([]byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")), time.Second, "refused tls_handshake", proxy.FaultProtocol},
		{"garbage", say(long(1 << 20)), time.Second, "refused tls_handshake", proxy.FaultProtocol},
		{"a TLS record of garbage", say([]byte("\x16\x03\x01\x00\x10"), long(16)), time.Second, "refused tls_handshake", proxy.FaultProtocol},
		{"silence", say(), handshakeTimeout, "refused tls_handshake", proxy.FaultSilence},
		{"half a ClientHello", say(hello[:len(hello)/2]), handshakeTimeout, "refused tls_handshake", proxy.FaultSilence},
		{"a handshake that stops", say(hello), handshakeTimeout, "refused tls_handshake", proxy.FaultSilence},
		{"a handshake of one byte a second", drip(hello), handshakeTimeout, "refused tls_handshake", proxy.FaultSilence},
	}
}

// clientHello returns the first bytes that a TLS client sends.
func clientHello(t *testing.T, groups ...tls.CurveID) []byte {
	near, far := net.Pipe()
	go func() {
		tls.Client(near, &tls.Config{ServerName: "localhost", CurvePreferences: groups}).Handshake()
		near.Close()
	}()
	defer far.Close()
	var hello bytes.Buffer
	if _, err := io.CopyN(&hello, far, 5); err != nil {
		t.Fatal(err)
	}
	length := binary.BigEndian.Uint16(hello.Bytes()[3:])
	if _, err := io.CopyN(&hello, far, int64(length)); err != nil {
		t.Fatal(err)
	}
	return hello.Bytes()
}

func TestVisitors(t *testing.T) {
	for _, v := range onPlaintext(clientHello(t)) {
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { receive(t, open(t), v) })
		})
	}
}

func TestVisitorsOfTLS(t *testing.T) {
	for _, v := range onTLS(clientHello(t)) {
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, withTLS(newIdentity(t, "broker.example")))
				receive(t, h, v)
				if n := h.seen.count("handshake failed"); n != 1 {
					t.Errorf("%d failed handshakes counted, want 1", n)
				}
			})
		})
	}
}

// receive checks how h treats the visitor v: gone in time, counted once,
// nothing dialled, nothing logged as an error.
func receive(t *testing.T, h *house, v visitor) {
	t.Helper()
	turnAway(t, h, v)
	if lines := h.log.at(slog.LevelWarn); len(lines) > 0 {
		t.Errorf("log: %q", lines)
	}
	if lines := h.audit.all(); len(lines) != 1 {
		t.Errorf("audit: %q, want one line", lines)
	}
}

func turnAway(t *testing.T, h *house, v visitor) {
	t.Helper()
	defer h.close()
	conn := h.dial(packets.V311).Conn
	start, left := time.Now(), make(chan time.Duration)
	go func() {
		v.visit(conn)
		conn.Close()
		left <- time.Since(start)
	}()
	if took := <-left; took > v.gone {
		t.Errorf("gone after %v, want %v", took, v.gone)
	}
	h.expectEnd(v.count)
	if f := h.fault.Load(); f != int32(v.fault) {
		t.Errorf("fault %d, want %d", f, v.fault)
	}
	if n := h.dials.Load(); n != 0 {
		t.Errorf("%d dials to the broker", n)
	}
}

// TestHandshakeSlots fills the slots with handshakes that never end: others
// wait no longer than they, and get in when one is free.
func TestHandshakeSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		h := open(t, withTLS(id), func(p *proxy.Policy) { p.Handshakes = ratelimit.NewTurns(2) })
		defer h.close()
		h.dial(packets.V5).Send(clientHello(t))
		h.dial(packets.V5).Send(clientHello(t))
		synctest.Wait()
		time.Sleep(handshakeTimeout / 2)

		waits := h.dial(packets.V5)
		waits.Send(clientHello(t))
		time.Sleep(handshakeTimeout / 2)
		client := h.dial(packets.V5)
		client.Conn = tls.Client(client.Conn, id.client())
		_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
		client.Send(mqtttest.Disconnect(packets.V5, packets.Success))
		broker.Expect("A free slot serves the next.", mqtttest.Disconnect(packets.V5, packets.Success))

		expectEnd(t, waits, "Who does not go on is closed.")
		synctest.Wait() // it is counted after
		if n := h.seen.count("refused tls_handshake"); n != 3 {
			t.Errorf("%d handshakes refused, want 3", n)
		}
	})
}

// expectEnd reads what a handshake has said so far, to its end.
func expectEnd(t *testing.T, p *mqtttest.Peer, sentence string) {
	t.Helper()
	_ = p.Conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, p.Conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s It is not", sentence)
	}
}

// TestSilenceTakesNoSlot: connections that say nothing keep nobody waiting.
func TestSilenceTakesNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		h := open(t, withTLS(id), func(p *proxy.Policy) { p.Handshakes = ratelimit.NewTurns(1) })
		defer h.close()
		h.dial(packets.V5)
		h.dial(packets.V5)
		synctest.Wait()
		start := time.Now()
		client := h.dial(packets.V5)
		client.Conn = tls.Client(client.Conn, id.client())
		h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
		if waited := time.Since(start); waited != 0 {
			t.Errorf("a client with a ClientHello waited %v for those without", waited)
		}
	})
}

// TestNoHandshakeSlot has a client that waits for a slot in vain.
func TestNoHandshakeSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := ratelimit.NewTurns(1)
		slots.Try(ratelimit.Stranger) // a handshake on another listener
		h := open(t, withTLS(newIdentity(t, "broker.example")), func(p *proxy.Policy) { p.Handshakes = slots })
		defer h.close()
		receive(t, h, visitor{"", say(clientHello(t)), handshakeTimeout, "refused tls_handshake", proxy.NoFault})
		if slots.Try(ratelimit.Known) {
			t.Error("the other listener's slot was given back")
		}
	})
}

// TestAdmission shows that a refusal costs one close and one counter.
func TestAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		admit := h.policy.Admit
		h.policy.Admit = func(now time.Time, addr netip.Addr) (proxy.Visit, string) {
			if addr.String() == "203.0.113.9" {
				return nil, "rate"
			}
			return admit(now, addr)
		}
		// The address of a dual-stack socket is the IPv4 address that it stands for.
		conn, err := h.front.DialFrom(&net.TCPAddr{IP: net.ParseIP("::ffff:203.0.113.9"), Port: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v, want the end", err)
		}
		if n := h.seen.count("refused rate"); n != 1 || h.seen.sum("opened") != 0 || h.seen.sum("closed") != 0 {
			t.Errorf("counters %v, want one refusal and nothing else", h.seen.counts)
		}
		if lines := h.audit.all(); len(lines) != 0 {
			t.Errorf("audit: %q, want nothing", lines)
		}
		delete(h.seen.counts, "refused rate")
		h.session(packets.V311)
	})
}
