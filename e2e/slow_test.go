package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// crowd is settings for many clients of one address that need no password; limits
// has to end them.
func crowd(b *broker, listeners, limits string) settings {
	return settings{
		broker: b.address(), listeners: listeners, authn: "[{name: guests, type: anonymous}]",
		limits: "{max_connections_per_ip: 0, max_connections_per_identity: 0, connect_rate_per_ip: {rate: 0}, publish_rate: {rate: 0}, publish_bytes: {rate: 0}, " + limits + "}",
	}
}

// raw connects to the broker around the proxy.
func (b *broker) raw(t *testing.T) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", b.address())
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(t, conn)
}

// gauge subscribes at the broker itself to one of the numbers that it tells of
// itself. What it returns waits for a value.
func (b *broker) gauge(t *testing.T, topic string) func(say string, ok func(n int) bool) {
	t.Helper()
	s := subscribe(t, b.direct(), "-t", topic)
	return func(say string, ok func(n int) bool) {
		t.Helper()
		if text, good := s.out.wait(s.done, func(text string) bool {
			fields := strings.Fields(text[max(0, strings.LastIndex(text, "message ")):])
			n, err := strconv.Atoi(fields[len(fields)-1])
			return err == nil && ok(n)
		}); !good {
			t.Fatalf("not within %v: %s: the broker says\n%s", patience, say, text)
		}
	}
}

// clients waits until the broker has n clients, and the gauge.
func (b *broker) clients(t *testing.T) func(n int) {
	t.Helper()
	gauge := b.gauge(t, "$SYS/broker/clients/connected")
	return func(n int) {
		t.Helper()
		gauge(fmt.Sprintf("%d clients", n), func(got int) bool { return got == n+1 })
	}
}

// SlowITe (CVE-2020-13849): clients ask for a Keep Alive of 18 hours, or none, and
// fall silent. The broker would hold them; here they have no more than
// max_keepalive.
func TestSlowITe(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, crowd(b, plain, "max_keepalive: 2s"))
	count := b.clients(t)
	var around []*raw
	n := 0
	for _, v := range []packets.Version{packets.V31, v3, v5} {
		for _, keepAlive := range []uint16{0, 65535} {
			id := fmt.Sprintf("slowite%d", n)
			c := b.raw(t)
			c.connect(v, "around"+id, "", mqtttest.KeepAlive(keepAlive))
			around = append(around, c)
			c = p.raw(t)
			c.send(rawConnect(v, id, "", mqtttest.KeepAlive(keepAlive)))
			ack := c.next()
			switch {
			case connackCode(ack) != "00":
				t.Fatalf("%s is refused: %s", id, ack)
			case v == v5 && !strings.Contains(ack, "130002"):
				t.Errorf("the CONNACK %s does not say Server Keep Alive 2", ack)
			}
			n++
		}
	}
	p.awaitMetric(t, "mqttward_connections", 0)
	m := p.metrics(t)
	if keep, gone := m[`mqttward_sessions_ended_total{reason="keep_alive_timeout"}`], m[`mqttward_sessions_ended_total{reason="broker_closed"}`]; keep < 4 || keep+gone != 6 { // the broker goes by the Server Keep Alive, too
		t.Errorf("%v sessions were ended by the proxy and %v by the broker, want 6, of which 4 of MQTT 3.x by the proxy", keep, gone)
	}
	count(len(around))
	for _, c := range around {
		c.alive("without the proxy it has its slot still")
	}
}

// SlowTT: clients send a packet a byte at a time, and never the last. The whole
// packet has a deadline, which its bytes do not move; what has not come whole does
// not reach the broker.
func TestSlowTT(t *testing.T) {
	t.Parallel()
	const each = 25
	b := startBroker(t)
	t.Run("CONNECT in TLS", func(t *testing.T) {
		p := startProxy(t, crowd(b, "", "connect_timeout: 1s"))
		before := b.connections()
		var conns []net.Conn
		for range each {
			conn := p.dial(t, true)
			drip(rawConnect(v5, strings.Repeat("x", 1000), ""))(conn)
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			awaitClosed(t, conn)
		}
		p.awaitMetric(t, refusals("connect_timeout"), each)
		p.awaitMetric(t, "mqttward_connections", 0)
		if n := b.connections() - before; n != 0 {
			t.Errorf("the broker has seen %d connections", n)
		}
	})
	t.Run("sessions", func(t *testing.T) {
		p := startProxy(t, crowd(b, "", "connect_timeout: 60s, packet_timeout: 1s"))
		witness, count := b.monitor(t), b.clients(t)
		filters := make([]string, 1000)
		for i := range filters {
			filters[i] = "slowtt/" + strconv.Itoa(i)
		}
		body := strings.Repeat(payloadMark, 20_000)
		attacks := []struct {
			packet []byte
			start  int // bytes that come at once
		}{
			{mqtttest.Subscribe(v5, 1, filters...), 0},
			{mqtttest.Publish(v5, 0, 0, "slowtt/"+strings.Repeat("x", 1000), "x"), 0},
			{mqtttest.Publish(v5, 1, 7, "slowtt", body[:1000]), 0},
			{mqtttest.Publish(v5, 1, 7, "slowtt", body), 100_000}, // which has begun to flow
		}
		var conns []net.Conn
		for i := range each {
			for j, a := range attacks {
				conn, err := tls.Dial("tcp", p.address(), p.tlsConfig())
				if err != nil {
					t.Fatal(err)
				}
				c := newRaw(t, conn)
				c.connect(v5, fmt.Sprintf("slowtt-%d-%d", i, j), "")
				c.send(a.packet[:a.start])
				drip(a.packet[a.start:])(conn)
				conns = append(conns, conn)
			}
		}
		for _, conn := range conns {
			awaitClosed(t, conn)
		}
		p.awaitMetric(t, `mqttward_sessions_ended_total{reason="packet_timeout"}`, float64(len(conns)))
		p.awaitMetric(t, "mqttward_connections", 0)
		count(1) // the witness
		publish(t, b.direct(), "-V", "5", "-q", "2", "-t", "last", "-m", "x")
		witness.await(t, "message last ")
		if topics := messages(witness.out.String()); !slices.Equal(topics, []string{"last"}) {
			t.Errorf("the broker got messages of %v", topics)
		}
		if strings.Contains(b.out.String(), "Received SUBSCRIBE from slowtt") {
			t.Error("the broker got a SUBSCRIBE")
		}
	})
}
