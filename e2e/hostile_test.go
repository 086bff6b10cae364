package e2e

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

const get11 = "GET / HTTP/1.1\r\nHost: broker\r\n\r\n"

// halfConnect is the beginning of a CONNECT.
var halfConnect = func() []byte {
	whole := connectOf("alice")
	return whole[:len(whole)/2]
}()

// connectOf is the CONNECT of a user, in MQTT 5.0.
func connectOf(user string) []byte {
	return packets.AppendConnect(nil, packets.V5, &packets.Connect{
		Level: 5, CleanStart: true, ClientID: []byte(user),
		HasUsername: true, Username: []byte(user), HasPassword: true, Password: []byte(password(user)),
	})
}

// send is an attack that sends bytes and waits for what comes.
func send(b []byte) func(net.Conn) {
	return func(c net.Conn) { _, _ = c.Write(b) }
}

// leave is an attack that sends bytes and goes.
func leave(b []byte) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Write(b)
		_ = c.Close()
	}
}

// drip is an attack that sends a byte now and then, until it is cut off.
func drip(b []byte) func(net.Conn) {
	return func(c net.Conn) {
		go func() {
			pause := time.NewTicker(100 * time.Millisecond)
			defer pause.Stop()
			for i := range b {
				if _, err := c.Write(b[i : i+1]); err != nil {
					return
				}
				<-pause.C
			}
		}()
	}
}

// What is not a client is closed, counted once and logged once; the broker
// never hears of it.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{
		broker: b.address(),
		limits: "{handshake_timeout: 1s, connect_timeout: 1s, connect_rate_per_ip: {rate: 0}}",
	})
	garbage := bytes.Repeat([]byte{0xFF, 0x00, 0xA5, 0x10}, 1000)
	hello := append([]byte{0x16, 3, 1, 0x02, 0, 1}, make([]byte, 100)...)
	for _, test := range []struct {
		name   string
		inside bool // of TLS
		attack func(net.Conn)
		reason string
	}{
		{"no TLS", false, send(connectOf("alice")), "tls_handshake"},
		{"HTTP", false, send([]byte(get11)), "tls_handshake"},
		{"garbage", false, send(garbage), "tls_handshake"},
		{"port scan", false, leave(nil), "tls_handshake"},
		{"half a handshake", false, leave(hello), "tls_handshake"},
		{"silence", false, send(nil), "tls_handshake"},
		{"drip of a handshake", false, drip(hello), "tls_handshake"},
		{"HTTP in TLS", true, send([]byte(get11)), "not_mqtt"},
		{"garbage in TLS", true, send(garbage), "not_mqtt"},
		{"PUBLISH first", true, send([]byte{0x30, 3, 0, 1, 'a'}), "not_mqtt"},
		{"PINGREQ first", true, send([]byte{0xC0, 0}), "not_mqtt"},
		{"CONNECT with flags", true, send([]byte{0x11, 0}), "not_mqtt"},
		{"nothing in TLS", true, leave(nil), "closed_early"},
		{"half a CONNECT", true, leave(halfConnect), "closed_early"},
		{"silence in TLS", true, send(nil), "connect_timeout"},
		{"half a CONNECT, then silence", true, send(halfConnect), "connect_timeout"},
		{"drip of a CONNECT", true, drip(connectOf("alice")), "connect_timeout"},
		{"CONNECT of 9 KiB", true, send([]byte{0x10, 0x80, 0x48}), "connect_too_large"},
		{"CONNECT of 256 MiB", true, send(append([]byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F}, garbage...)), "connect_too_large"},
		{"CONNECT of 1 GiB", true, send(append([]byte{0x10, 0x80, 0x80, 0x80, 0x80, 0x04}, garbage...)), "malformed_connect"},
		{"CONNECT of nothing", true, send([]byte{0x10, 0}), "malformed_connect"},
		{"CONNECT of MQTT 6", true, send([]byte("\x10\x10\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x03abc")), "malformed_connect"},
		{"CONNECT with an overlong length", true, send([]byte{0x10, 0x8C, 0x00}), "malformed_connect"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, events := p.metrics(t), len(p.audit(t))
			conn := p.dial(t, test.inside)
			test.attack(conn)
			awaitClosed(t, conn)
			p.awaitMetric(t, refusals(test.reason), before[refusals(test.reason)]+1)
			p.awaitMetric(t, "mqttward_connections", 0)
			changed := p.metrics(t).since(before, "mqttward_refusals_total", "mqttward_sessions_ended_total", "mqttward_connections_total")
			if len(changed) != 2 || changed[`mqttward_connections_total{listener="mqtts"}`] != 1 {
				t.Errorf("counted %v, want one connection and one refusal", changed)
			}
			eventually(t, "an audit line", func() bool { return len(p.audit(t)) > events })
			if all := p.audit(t); len(all) != events+1 || !all[events].has(event{"msg": "connection refused", "end": test.reason}) {
				t.Errorf("logged %v, want one refusal for %s", all[events:], test.reason)
			}
		})
	}
	for _, finding := range findings(logged(t)) {
		t.Error(finding)
	}
	publish(t, p.as("alice"), "-q", "1", "-t", "a", "-m", payload("x")) // all is well for the others
	if n := b.connections(); n != 1 {
		t.Errorf("the broker has seen %d connections, want that of the one client", n)
	}
}

// dial opens a connection, with TLS or without.
func (p *proxy) dial(t *testing.T, inTLS bool) net.Conn {
	t.Helper()
	var conn net.Conn
	var err error
	if inTLS {
		conn, err = tls.Dial("tcp", p.address(), p.tlsConfig())
	} else {
		conn, err = net.Dial("tcp", p.address())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// awaitClosed reads until the other side has closed, closes, and returns what
// has come.
func awaitClosed(t *testing.T, conn net.Conn) []byte {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience)) // fails if we have closed
	got, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection is still open")
	}
	_ = conn.Close()
	return got
}

// Who has logged in may not stall either: a packet has to become whole.
func TestStalledPacket(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), limits: "{packet_timeout: 500ms}"})
	whole := packets.AppendPublish(nil, packets.V5, 0, []byte("topic"), 0, nil, []byte(strings.Repeat(payloadMark, 100)), 0)
	for name, attack := range map[string]func(net.Conn){
		"half a PUBLISH":    send(whole[:6]),
		"half a payload":    send(whole[:500]),
		"drip of a PUBLISH": drip(whole),
	} {
		t.Run(name, func(t *testing.T) {
			ended := `mqttward_sessions_ended_total{reason="packet_timeout"}`
			before := p.metrics(t)[ended]
			conn := p.dial(t, true)
			send(connectOf("alice"))(conn)
			if ack := make([]byte, 4); readFull(t, conn, ack)[0] != 0x20 || ack[3] != 0 {
				t.Fatalf("no CONNACK: % x", ack)
			}
			attack(conn)
			if last := awaitClosed(t, conn); !bytes.HasSuffix(last, []byte{0xE0, 1, 0x82}) && !bytes.HasSuffix(last, []byte{0xE0, 2, 0x82, 0}) {
				t.Errorf("the last words are % x, want a DISCONNECT", last)
			}
			p.awaitMetric(t, ended, before+1)
		})
	}
}

func readFull(t *testing.T, conn net.Conn, b []byte) []byte {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Fatal(err)
	}
	return b
}
