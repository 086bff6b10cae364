package filters

import (
	"testing"

	"github.com/mqttward/mqttward/packets"
)

// TestWithheldInOrder: what the client does not get is acknowledged as the client
// would, in its place among the client's own acknowledgements.
func TestWithheldInOrder(t *testing.T) {
	for _, v := range versions {
		c := newTalk(t, v, &rules{denied: []string{"no/"}})
		c.broker("QoS 0 is just dropped", publish(v, 0, 0, "no/a"), Drop)
		c.broker("nothing stands in front", publish(v, 1, 1, "no/a"), Reply, ack(v, packets.PUBACK, 1))
		c.broker("delivered", publish(v, 1, 2, "a"), Forward)
		c.broker("delivered", publish(v, 1, 3, "a"), Forward)
		c.broker("waits for 2 and 3", publish(v, 1, 4, "no/a"), Drop)
		c.broker("waits too", publish(v, 1, 5, "no/a"), Drop)
		c.broker("delivered", publish(v, 1, 6, "a"), Forward)
		c.broker("waits for 6", publish(v, 1, 7, "no/a"), Drop)
		c.client("3 still stands in front", ack(v, packets.PUBACK, 2), Forward, nil)
		c.client("ours follow", ack(v, packets.PUBACK, 3), Forward, nil, ack(v, packets.PUBACK, 4), ack(v, packets.PUBACK, 5))
		c.client("the last", ack(v, packets.PUBACK, 6), Forward, nil, ack(v, packets.PUBACK, 7))
		if _, n := c.s.Delivering(1); n != 0 {
			t.Errorf("MQTT %v: %d deliveries left over", v, n)
		}
	}
}

// TestWithheldQoS2: the two handshakes keep an order each.
func TestWithheldQoS2(t *testing.T) {
	for _, v := range versions {
		c := newTalk(t, v, &rules{denied: []string{"no/"}})
		c.broker("delivered", publish(v, 2, 1, "a"), Forward)
		c.broker("waits for 1", publish(v, 2, 2, "no/a"), Drop)
		c.broker("QoS 1 has an order of its own", publish(v, 1, 3, "no/a"), Reply, ack(v, packets.PUBACK, 3))
		c.client("ours follows", ack(v, packets.PUBREC, 1), Forward, nil, ack(v, packets.PUBREC, 2))
		c.broker("to the client", pubrel(v, 1), Forward)
		c.broker("to us; 1 is not complete", pubrel(v, 2), Drop)
		c.client("ours follows", ack(v, packets.PUBCOMP, 1), Forward, nil, ack(v, packets.PUBCOMP, 2))
		c.broker("an unknown one is the client's", pubrel(v, 9), Forward)
		c.client("which answers", ack(v, packets.PUBCOMP, 9), Forward, nil)

		c.broker("nothing stands in front", publish(v, 2, 4, "no/a"), Reply, ack(v, packets.PUBREC, 4))
		again := publish(v, 2, 4, "no/a")
		again[0] |= 8
		c.broker("sent again", again, Reply, ack(v, packets.PUBREC, 4))
		c.broker("complete", pubrel(v, 4), Reply, ack(v, packets.PUBCOMP, 4))
		c.broker("the PUBREL of nothing is the client's", pubrel(v, 4), Forward)
	}
}

// TestClientRefusesDelivery: a PUBREC with a failure ends the flow
// [MQTT-4.3.3-9], and what waits behind it goes on.
func TestClientRefusesDelivery(t *testing.T) {
	const v = packets.V5
	c := newTalk(t, v, &rules{denied: []string{"no/"}})
	c.broker("delivered", publish(v, 2, 1, "a"), Forward)
	c.broker("waits", publish(v, 2, 2, "no/a"), Drop)
	c.client("refused", packets.AppendAck(nil, v, packets.PUBREC, 1, packets.QuotaExceeded), Forward, nil, ack(v, packets.PUBREC, 2))
	if used, n := c.s.Delivering(1); used || n != 1 {
		t.Errorf("1 in use: %v, %d in all", used, n)
	}
}

// TestBrokerFasterThanSettle: the broker may use an identifier again as soon as
// it has the acknowledgement, which is before Settle is called.
func TestBrokerFasterThanSettle(t *testing.T) {
	const v = packets.V311
	c := newTalk(t, v, &rules{denied: []string{"no/"}})
	up := func(b []byte) { c.up.JudgeUp(timeZero, c.s, parse(t, b, v, packets.Client)) }
	c.broker("delivered", publish(v, 1, 1, "a"), Forward)
	up(ack(v, packets.PUBACK, 1))
	if used, n := c.s.Delivering(1); used || n != 0 {
		t.Errorf("the identifier is in use: %v, %d", used, n)
	}
	c.broker("the identifier is used again", publish(v, 1, 1, "b"), Forward)
	c.broker("waits for the second 1", publish(v, 1, 2, "no/b"), Drop)
	if b := c.s.Settle(timeZero); len(b) != 0 {
		t.Errorf("% x is due, though the second 1 is not acknowledged", b)
	}
	c.client("now", ack(v, packets.PUBACK, 1), Forward, nil, ack(v, packets.PUBACK, 2))

	c.broker("delivered", publish(v, 2, 3, "a"), Forward)
	up(ack(v, packets.PUBREC, 3))
	c.broker("PUBREL before Settle", pubrel(v, 3), Forward)
	if b := c.s.Settle(timeZero); len(b) != 0 {
		t.Errorf("% x is due", b)
	}
	c.client("complete", ack(v, packets.PUBCOMP, 3), Forward, nil)
	if _, n := c.s.Delivering(3); n != 0 {
		t.Errorf("%d deliveries left over", n)
	}
}

// TestResumeDeliveries: the broker goes on with flows that the client has never
// heard of.
func TestResumeDeliveries(t *testing.T) {
	const v = packets.V5
	r := &rules{denied: []string{"no/"}}
	first := newTalk(t, v, r)
	first.broker("ours", publish(v, 2, 1, "no/a"), Reply, ack(v, packets.PUBREC, 1))
	c := newTalk(t, v, r)
	c.s.Resume(first.s)
	c.broker("it is ours still", pubrel(v, 1), Reply, ack(v, packets.PUBCOMP, 1))
}

// TestDeliveryAllocations: following a flow costs no memory.
func TestDeliveryAllocations(t *testing.T) {
	for _, v := range versions {
		c := newTalk(t, v, &rules{denied: []string{"no/"}})
		send := parse(t, publish(v, 1, 7, "a/b"), v, packets.Server)
		answer := parse(t, ack(v, packets.PUBACK, 7), v, packets.Client)
		if n := testing.AllocsPerRun(100, func() {
			c.down.JudgeDown(timeZero, c.s, send)
			c.up.JudgeUp(timeZero, c.s, answer)
			c.s.Settle(timeZero)
		}); n > 0 {
			t.Errorf("MQTT %v: %v allocations", v, n)
		}
	}
}
