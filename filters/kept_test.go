package filters

import (
	"testing"

	"github.com/mqttward/mqttward/packets"
)

// TestKeptBound: what has been forgotten of earlier connections is not let through:
// its PUBREL is answered here.
func TestKeptBound(t *testing.T) {
	for _, v := range versions {
		first := newTalk(t, v, &rules{})
		for id := range uint16(maxKept + 1) {
			first.client("it goes on", publish(v, 2, id+1, "a"), Forward, nil)
		}
		c := newTalk(t, v, &rules{})
		c.s.Resume(first.s)
		if len(c.s.kept) != maxKept || !c.s.unknown {
			t.Fatalf("MQTT %v: %d kept, more: %v", v, len(c.s.kept), c.s.unknown)
		}
		c.client("nobody knows its right", pubrel(v, maxKept+1), Reply, ack(v, packets.PUBCOMP, maxKept+1))
		c.client("its right is known", pubrel(v, 1), Forward, nil)
		again := newTalk(t, v, &rules{})
		again.s.Resume(c.s)
		again.client("nor later", pubrel(v, 9999), Reply, ack(v, packets.PUBCOMP, 9999))
	}
}

// TestKeptReplaced: a PUBLISH that is sent again, or another one under its
// identifier, takes the place of what the broker has.
func TestKeptReplaced(t *testing.T) {
	for _, v := range versions {
		r := &rules{}
		first := newTalk(t, v, r)
		first.client("it goes on", publish(v, 2, 7, "a"), Forward, nil)
		c := newTalk(t, v, r)
		c.s.Resume(first.s)
		c.client("sent again", publish(v, 2, 7, "a"), Forward, nil)
		c.broker("the broker has it", ack(v, packets.PUBREC, 7), Forward)
		c.client("and publishes it", pubrel(v, 7), Forward, nil)
		c.broker("complete", ack(v, packets.PUBCOMP, 7), Forward)
		if len(c.s.kept) != 0 || len(c.s.flows.ids) != 0 {
			t.Errorf("MQTT %v: %d and %d left over", v, len(c.s.kept), len(c.s.flows.ids))
		}
	}
}
