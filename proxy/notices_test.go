package proxy_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// withdrawn is a session that has lost "a/#".
func (h *house) withdrawn(client, broker *mqtttest.Peer, names ...string) {
	h.t.Helper()
	const v = packets.V5
	client.Send(mqtttest.Subscribe(v, 1, names...))
	broker.Expect("The client subscribes.", mqtttest.Subscribe(v, 1, names...))
	granted := mqtttest.Suback(v, 1, make([]packets.ReasonCode, len(names))...)
	broker.Send(granted)
	client.Expect("It is subscribed.", granted)
	h.listener.SetPolicy(without(h, "a"))
	broker.Expect("It is unsubscribed.", unsubscribe(v, 65535, names...))
	broker.Send(unsuback(v, 65535, make([]packets.ReasonCode, len(names))...))
}

// TestNoticeOn: each packet that may say it does, whoever it is from.
func TestNoticeOn(t *testing.T) {
	const v = packets.V5
	alias := mqtttest.Uint16(packets.TopicAlias, 1)
	for _, tt := range []struct {
		name        string
		up, down    []byte // what the client sends, if anything, and the broker
		want        []byte // of the broker, before the client is told
		ours, alias bool
	}{
		{name: "PUBACK", up: mqtttest.Publish(v, 1, 2, "t", "x"), down: mqtttest.Ack(v, packets.PUBACK, 2, packets.NoMatchingSubscribers)},
		{name: "PUBREC", up: mqtttest.Publish(v, 2, 2, "t", "x"), down: mqtttest.Ack(v, packets.PUBREC, 2, packets.Success)},
		{name: "PUBREL", down: mqtttest.Ack(v, packets.PUBREL, 2, packets.Success)},
		{name: "SUBACK", up: mqtttest.Subscribe(v, 2, "t"), down: mqtttest.Suback(v, 2, 1)},
		{name: "UNSUBACK", up: unsubscribe(v, 2, "t"), down: unsuback(v, 2, packets.NoSubscriptionExisted)},
		{name: "PUBLISH", down: mqtttest.Publish(v, 1, 2, "t", "x")},
		{name: "one in pieces", down: mqtttest.Publish(v, 1, 2, "t", strings.Repeat("x", 200<<10))},
		{name: "by its alias", alias: true, down: mqtttest.Publish(v, 0, 0, "", "x", alias), want: mqtttest.Publish(v, 0, 0, "t", "x", alias)},
		{name: "an answer of ours", ours: true, up: mqtttest.Publish(v, 1, 2, "denied/t", "x"), want: mqtttest.Ack(v, packets.PUBACK, 2, packets.NotAuthorized)},
		{name: "a SUBACK of ours", ours: true, up: mqtttest.Subscribe(v, 2, "a"), want: mqtttest.Suback(v, 2, packets.NotAuthorized)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				client, broker := h.session(v, func(c *packets.Connect) { c.Props = mqtttest.Uint16(packets.TopicAliasMaximum, 5) })
				if tt.alias {
					named := mqtttest.Publish(v, 0, 0, "t", "x", alias)
					broker.Send(named)
					client.Expect("The alias is set.", named)
				}
				h.withdrawn(client, broker, "a/#")
				if tt.up != nil {
					client.Send(tt.up)
				}
				if tt.up != nil && !tt.ours {
					broker.Expect("It goes on.", tt.up)
				}
				if tt.want == nil {
					tt.want = tt.down
				}
				if tt.down != nil {
					go broker.Send(tt.down)
				}
				client.Expect("The client is told.", told(v, tt.want, "a/#"))
				synctest.Wait()
				broker.Send(mqtttest.Pingresp(), mqtttest.Publish(v, 0, 0, "t", "y"))
				client.Expect("Once.", mqtttest.Pingresp(), mqtttest.Publish(v, 0, 0, "t", "y"))
			})
		})
	}
}

// TestNoticeWithoutProblems: Request Problem Information 0 leaves only PUBLISH
// [MQTT-3.1.2-29].
func TestNoticeWithoutProblems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V5
		h := open(t)
		defer h.close()
		client, broker := h.session(v, func(c *packets.Connect) { c.Props = packets.Properties{byte(packets.RequestProblemInformation), 0} })
		h.withdrawn(client, broker, "a/#", "a/1")
		client.Send(mqtttest.Subscribe(v, 2, "t"), mqtttest.Publish(v, 1, 3, "denied", "x"))
		broker.Expect("It goes on.", mqtttest.Subscribe(v, 2, "t"))
		client.Expect("Not with this.", mqtttest.Ack(v, packets.PUBACK, 3, packets.NotAuthorized))
		broker.Send(mqtttest.Suback(v, 2, 1), mqtttest.Publish(v, 0, 0, "t", "y"))
		client.Expect("Nor with that, but now.", mqtttest.Suback(v, 2, 1), told(v, mqtttest.Publish(v, 0, 0, "t", "y"), "a/#", "a/1"))
	})
}

// TestNoticeSize: the client gets no packet that is larger than it takes; what does
// not go into one waits for another, and what goes into none is only logged.
func TestNoticeSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v, most = packets.V5, 80
		h := open(t)
		defer h.close()
		client, broker := h.sessionWith(h.dial(v), v, connackOf(v), func(c *packets.Connect) { c.Props = mqtttest.Uint32(packets.MaximumPacketSize, most) })
		long := "a." + strings.Repeat("x", most)
		h.withdrawn(client, broker, long, "a/1", "a/2", "a/3")
		large := mqtttest.Publish(v, 0, 0, "t", strings.Repeat("y", most-10))
		broker.Send(large, mqtttest.Publish(v, 0, 0, "t", "y"), mqtttest.Publish(v, 0, 0, "t", "z"), mqtttest.Publish(v, 0, 0, "t", "end"))
		client.Expect("There is no room.", large)
		two := told(v, mqtttest.Publish(v, 0, 0, "t", "y"), "a/1", "a/2")
		if len(two) > most {
			t.Fatalf("%d bytes", len(two))
		}
		client.Expect("For two.", two)
		client.Expect("For one.", told(v, mqtttest.Publish(v, 0, 0, "t", "z"), "a/3"))
		client.Expect("That was all.", mqtttest.Publish(v, 0, 0, "t", "end"))
	})
}

// TestNoticeBound: what waits for one client is bounded.
func TestNoticeBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V5
		h := open(t)
		defer h.close()
		client, broker := h.sessionWith(h.dial(v), v, connackOf(v))
		var names []string
		for _, c := range "12345" {
			names = append(names, "a"+strings.Repeat(string(c), 3000))
		}
		h.withdrawn(client, broker, names...)
		broker.Send(mqtttest.Publish(v, 0, 0, "t", "y"))
		client.Expect("The first two.", told(v, mqtttest.Publish(v, 0, 0, "t", "y"), names[:2]...))
		broker.Send(mqtttest.Publish(v, 0, 0, "t", "y"))
		client.Expect("No more.", mqtttest.Publish(v, 0, 0, "t", "y"))
		if n := h.seen.count("decided subscribe withdrawn"); n != 5 {
			t.Errorf("%d are counted", n)
		}
		client.ExpectSilence("Nothing.", time.Second)

		h.listener.SetPolicy(h.newPolicy())
		h.withdrawn(client, broker, "a/#")
		broker.Send(mqtttest.Publish(v, 0, 0, "t", "y"))
		client.Expect("There is room again.", told(v, mqtttest.Publish(v, 0, 0, "t", "y"), "a/#"))
	})
}
