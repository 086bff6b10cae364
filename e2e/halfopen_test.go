package e2e

import (
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// received counts the PUBLISHes that the broker has had of a client.
func (b *broker) received(id string) int {
	return strings.Count(b.out.String(), "Received PUBLISH from "+id+" ")
}

// A client that begins QoS 2 flows and ends none of them is closed at the cap, or
// when the first has had its time. The broker keeps nothing of it.
func TestHalfOpenFlows(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "max_inflight_messages 0") // without a limit of its own
	const most = 100
	p := startProxy(t, crowd(b, plain, "max_inflight: 100, flow_timeout: 2s"))
	body := payloadMark + strings.Repeat("x", 4000)
	stored, count := b.gauge(t, "$SYS/broker/store/messages/bytes"), b.clients(t)
	ended := `mqttward_sessions_ended_total{reason="policy"}`
	for _, v := range []packets.Version{packets.V31, v3, v5} {
		name := "exhaustion " + v.String()
		before := p.metrics(t)[ended]
		c := p.raw(t)
		c.connect(v, name, "")
		sent := make(chan int)
		go func() {
			n := 0
			for ; n < 65535; n++ {
				if _, err := c.Write(mqtttest.Publish(v, 2, uint16(n+1), "flood", body)); err != nil {
					break
				}
			}
			sent <- n
		}()
		if last := awaitClosed(t, c); v == v5 && !strings.Contains(string(last), "\xe0\x01\x93") {
			t.Errorf("%s: the last words are % x, want DISCONNECT 0x93", name, last[max(0, len(last)-8):])
		}
		t.Logf("%s: closed after %d PUBLISHes were sent", name, <-sent)
		p.awaitMetric(t, ended, before+1)
		if n := b.received(name); n == 0 || n > most {
			t.Errorf("%s: the broker got %d, want up to %d", name, n, most)
		}

		name = "patience " + v.String()
		c = p.raw(t)
		c.connect(v, name, "")
		c.send(mqtttest.Publish(v, 2, 1, "flood", body))
		c.expect("the broker has it", ackOf(v, packets.PUBREC, 1, packets.Success))
		if last := awaitClosed(t, c); v == v5 && string(last) != "\xe0\x01\x97" {
			t.Errorf("%s: the last words are % x, want DISCONNECT 0x97", name, last)
		}
		p.awaitMetric(t, ended, before+2)
	}
	count(1) // the other gauge
	stored("nothing is left", func(n int) bool { return n < 4000 })
}

// CVE-2023-28366: a QoS 2 PUBLISH that is sent again and again, and no PUBREL. The
// broker gets it once.
func TestRepeatedPublish(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, crowd(b, plain, "max_inflight: 100"))
	witness := b.monitor(t)
	for _, v := range []packets.Version{packets.V31, v3, v5} {
		name := "repeats " + v.String()
		c := p.raw(t)
		c.connect(v, name, "")
		first := pub(v, 4, 7, "once")
		again := pub(v, 4|8, 7, "once")
		c.send(first)
		c.expect("the broker has it", ackOf(v, packets.PUBREC, 7, packets.Success))
		rc := packets.Success
		if v == v5 {
			rc = packets.PacketIdentifierInUse // sent again in the same connection [MQTT-4.4.0-1]
		}
		for range 1000 {
			c.send(again)
			c.expect("answered", ackOf(v, packets.PUBREC, 7, rc))
		}
		c.send(packets.AppendAck(nil, v, packets.PUBREL, 7, packets.Success))
		c.expect("complete", ackOf(v, packets.PUBCOMP, 7, packets.Success))
		if n := b.received(name); n != 1 {
			t.Errorf("%s: the broker got %d", name, n)
		}
	}
	publish(t, b.direct(), "-V", "5", "-q", "2", "-t", "last", "-m", "x")
	witness.await(t, "message last ")
	if topics := messages(witness.out.String()); len(topics) != 4 {
		t.Errorf("the messages are %v, want one for each version and the last", topics)
	}
}
