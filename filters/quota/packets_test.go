package quota

import (
	"bytes"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

// TestSubscribes counts Topic Filters, of both requests.
func TestSubscribes(t *testing.T) {
	for _, action := range []Action{Delay, Drop, Disconnect} {
		for _, v := range versions {
			s, now := newSession("user", "client"), time.Now()
			s.Version = v
			c := up(s, Limit{Rule: "the rule", What: Subscribes, Action: action, Rate: slow(3)})
			if got := c.JudgeUp(now, s, subscribe(t, v, 1, "a", "b")); got.Action != filters.Forward {
				t.Errorf("MQTT %v: two of three: %+v", v, got)
			}
			got := c.JudgeUp(now, s, subscribe(t, v, 2, "c", "d"))
			if action == Disconnect {
				if got.Action != filters.Disconnect || got.Reason != packets.MessageRateTooHigh {
					t.Errorf("MQTT %v: four of three: %+v", v, got)
				}
				continue
			}
			code := map[packets.Version]packets.ReasonCode{packets.V31: 1, packets.V311: packets.UnspecifiedError, packets.V5: packets.QuotaExceeded}[v]
			want := packets.AppendSuback(nil, v, 2, nil, []packets.ReasonCode{code, code})
			if got.Action != filters.Reply || !bytes.Equal(got.Packet, want) {
				t.Errorf("MQTT %v: four of three: %+v, want % x", v, got, want)
			}
			gone := parse(t, v, packets.Client, packets.AppendUnsubscribe(nil, v, 3, nil, [][]byte{[]byte("a"), []byte("b")}))
			if got := c.JudgeUp(now, s, gone); got.Action != filters.Forward || got.Delay != maxWait {
				t.Errorf("MQTT %v: an UNSUBSCRIBE, which cannot be refused: %+v", v, got)
			}
			if got := c.JudgeUp(now, s, subscribe(t, v, 4, "c")); got.Action != filters.Forward || got.Delay != 0 {
				t.Errorf("MQTT %v: what was refused has taken something: %+v", v, got)
			}
		}
	}
}

// TestPackets counts everything that a client does of itself.
func TestPackets(t *testing.T) {
	for typ := packets.CONNECT; typ <= packets.AUTH; typ++ {
		s, now := newSession("user", "client"), time.Now()
		c := up(s, Limit{Rule: "the rule", What: Packets, Action: Disconnect, Rate: slow(0)})
		v := c[0].Filter(now, s, &packets.Packet{Type: typ, Raw: []byte{byte(typ) << 4, 0}})
		counts := typ != packets.CONNECT && typ != packets.DISCONNECT
		if counts != (v.Action == filters.Disconnect && v.Reason == packets.MessageRateTooHigh) {
			t.Errorf("%v: %+v", typ, v)
		}
	}
	s, now := newSession("user", "client"), time.Now()
	c := up(s, Limit{What: Packets, Rate: ratelimit.Rate{PerSecond: 10, Burst: 1}})
	ping := &packets.Packet{Type: packets.PINGREQ, Raw: []byte{0xc0, 0}}
	for i := range 5 {
		if v := c.JudgeUp(now, s, ping); v.Action != filters.Forward || v.Delay != time.Duration(i)*100*time.Millisecond {
			t.Errorf("PINGREQ %d: %+v", i, v)
		}
	}
}

// TestAwaitedAnswersAreFree: who is sent a lot acknowledges a lot.
func TestAwaitedAnswersAreFree(t *testing.T) {
	const v = packets.V311
	s, now := newSession("user", "client"), time.Now()
	s.Version = v
	c := up(s, Limit{Rule: "the rule", What: Packets, Action: Disconnect, Rate: slow(0)})
	sent := parse(t, v, packets.Server, packets.AppendPublish(nil, v, 2, []byte("t"), 9, nil, nil, 0))
	filters.Chain{pass{}}.JudgeDown(now, s, sent)
	ack := parse(t, v, packets.Client, packets.AppendAck(nil, v, packets.PUBACK, 9, 0))
	if got := c.JudgeUp(now, s, ack); got.Action != filters.Forward {
		t.Errorf("the answer to a PUBLISH: %+v", got)
	}
	if got := c.JudgeUp(now, s, ack); got.Action != filters.Disconnect {
		t.Errorf("a second one: %+v", got)
	}
}

type pass struct{}

// TestDeliveries withholds what is over the limit, or lets it wait.
func TestDeliveries(t *testing.T) {
	for _, l := range []Limit{{What: Deliveries, Rate: ratelimit.Rate{PerSecond: 1, Burst: 1}}, {What: DeliveredBytes, Rate: ratelimit.Rate{PerSecond: 60, Burst: 60}}} {
		for _, v := range versions {
			for qos := range packets.QoS(3) {
				l.Rule = "the rule"
				judge := func(action Action) filters.Verdict {
					s, now := newSession("user", "client"), time.Now()
					s.Version, l.Action = v, action
					c := down(s, l)
					if got := c.JudgeDown(now, s, publish(v, 0, 60)); got.Action != filters.Forward || got.Delay != 0 {
						t.Errorf("%+v, MQTT %v: within the limit: %+v", l, v, got)
					}
					return c.JudgeDown(now, s, publish(v, qos, 60))
				}
				if got := judge(Delay); got.Action != filters.Forward || got.Delay != time.Second {
					t.Errorf("%+v, MQTT %v, QoS %d: %+v", l, v, qos, got)
				}
				want := filters.Drop
				if qos > 0 {
					want = filters.Reply // the flow is finished towards the broker
				}
				if got := judge(Drop); got.Action != want || got.Rule != "the rule" || got.Reason != packets.QuotaExceeded {
					t.Errorf("%+v, MQTT %v, QoS %d: %+v", l, v, qos, got)
				}
				if got := judge(Disconnect); got.Action != filters.Disconnect || got.Reason != packets.QuotaExceeded {
					t.Errorf("%+v, MQTT %v, QoS %d: %+v", l, v, qos, got)
				}
			}
		}
	}
	s := newSession("user", "client")
	if c := down(s, Limit{What: Messages, Rate: slow(0)}); len(c) != 0 {
		t.Error("there is a filter of deliveries where none are limited")
	}
}
