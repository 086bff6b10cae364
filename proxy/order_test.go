package proxy_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// TestOursBeforeLater: an acknowledgement of ours is on its way before the client
// can acknowledge a later PUBLISH.
func TestOursBeforeLater(t *testing.T) {
	const v = packets.V311
	large := strings.Repeat("x", 6<<10)
	for name, later := range map[string][][]byte{
		"in a run":  {mqtttest.Publish(v, 1, 2, "data/a", large), mqtttest.Publish(v, 0, 0, "renamed/a", "3")},
		"rewritten": {mqtttest.Publish(v, 1, 2, "renamed/a", large)},
		"streamed":  {mqtttest.Publish(v, 1, 2, "data/a", strings.Repeat(large, 4))},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				_, broker := h.session(v) // which reads nothing
				for range 15 {            // what the client's socket takes, almost
					broker.Send(mqtttest.Publish(v, 0, 0, "data/a", strings.Repeat("x", 4<<10)))
					synctest.Wait()
				}
				go broker.Conn.Write(append(mqtttest.Publish(v, 1, 1, "dropped/a", "1"), concat(later...)...))
				broker.Expect("It does not wait for the client to read.", mqtttest.Ack(v, packets.PUBACK, 1, packets.Success))
			})
		})
	}
}

// TestOursBehindStream: what is due waits for the end of a PUBLISH that is
// streamed.
func TestOursBehindStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V311
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		broker.Send(mqtttest.Publish(v, 1, 1, "data/a", "1"), mqtttest.Publish(v, 1, 2, "dropped/a", "2"))
		client.Expect("The first is delivered.", mqtttest.Publish(v, 1, 1, "data/a", "1"))
		large := mqtttest.Publish(v, 0, 0, "data/large", strings.Repeat("x", 100<<10))
		go func() {
			client.Send(mqtttest.Ack(v, packets.PUBACK, 1, packets.Success), large[:50<<10])
			time.Sleep(time.Second)
			client.Send(large[50<<10:])
			time.Sleep(time.Second)
			client.Send(mqtttest.Pingreq())
		}()
		broker.Expect("In their order, and whole.", mqtttest.Ack(v, packets.PUBACK, 1, packets.Success), large,
			mqtttest.Ack(v, packets.PUBACK, 2, packets.Success), mqtttest.Pingreq())
	})
}

// TestAnswersFitClient: what is optional is left out of an answer that would be
// larger than the client takes, and no larger one is sent [MQTT-3.1.2-24].
func TestAnswersFitClient(t *testing.T) {
	const v = packets.V5
	small := func(n uint32) func(*packets.Connect) {
		return mqtttest.Props(mqtttest.Uint32(packets.MaximumPacketSize, n))
	}
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v, small(25))
		client.Send(mqtttest.Subscribe(v, 1, "data/a", "denied/a"))
		broker.Expect("In part.", mqtttest.Subscribe(v, 1, "data/a"))
		broker.Send(packets.AppendSuback(nil, v, 1, mqtttest.Text(packets.ReasonString, "a long reason"), []packets.ReasonCode{1}))
		client.Expect("It fits with the reason.", packets.AppendSuback(nil, v, 1, mqtttest.Text(packets.ReasonString, "a long reason"), []packets.ReasonCode{1, packets.NotAuthorized}))
		client.Send(mqtttest.Subscribe(v, 2, "data/a", "denied/a"))
		broker.Expect("In part.", mqtttest.Subscribe(v, 2, "data/a"))
		broker.Send(packets.AppendSuback(nil, v, 2, mqtttest.Text(packets.ReasonString, "a much longer reason"), []packets.ReasonCode{1}))
		client.Expect("The reason is left out.", mqtttest.Suback(v, 2, 1, packets.NotAuthorized))
	})
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v, small(10))
		client.Send(mqtttest.Subscribe(v, 7, "data/a-name-of-more-than-ten", "denied/a"))
		broker.Expect("What goes to the broker may be longer.", mqtttest.Subscribe(v, 7, "data/a-name-of-more-than-ten"))
		client.Send(mqtttest.Subscribe(v, 1, "denied/1", "denied/2", "denied/3", "denied/4", "denied/5", "denied/6"))
		client.Expect("It could not be told.", mqtttest.Disconnect(v, packets.PacketTooLarge))
		client.ExpectClose("The end.")
	})
}

// TestAliasTooLargeForBroker: the same towards the broker.
func TestAliasTooLargeForBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V5
		h := open(t)
		h.listener.SetPolicy(h.newPolicy(dropMe(h)))
		defer h.close()
		connack := mqtttest.Connack(v, packets.Success, mqtttest.Uint32(packets.MaximumPacketSize, 120), mqtttest.Uint16(packets.TopicAliasMaximum, 2))
		client, broker := h.sessionWith(h.dial(v), v, connack)
		alias, long := mqtttest.Uint16(packets.TopicAlias, 1), strings.Repeat("t", 90)
		client.Send(mqtttest.Publish(v, 0, 0, long, "drop me", alias), mqtttest.Publish(v, 1, 2, "", strings.Repeat("x", 40), alias))
		client.Expect("It would be too large.", mqtttest.Ack(v, packets.PUBACK, 2, packets.ImplementationSpecificError))
		client.Send(mqtttest.Publish(v, 1, 3, "", "x", alias))
		broker.Expect("This one fits with the name.", mqtttest.Publish(v, 1, 3, long, "x", alias))
	})
}

// TestRecheckWhileConnecting: a reload reaches the connections that are on their
// way in.
func TestRecheckWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V5
		h := open(t)
		defer h.close()
		client := h.dial(v)
		client.Send(mqtttest.Connect(v, "device", mqtttest.Login("eve", "x")))
		broker := h.answer(v)
		broker.Expect("Eve is let in.", mqtttest.Connect(v, "device", mqtttest.Login("eve", "x")))
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.Recheck = noEve }))
		broker.Send(mqtttest.Connack(v, packets.Success))
		client.Expect("She would not be let in now.", mqtttest.Connack(v, packets.Success), mqtttest.Disconnect(v, packets.NotAuthorized))
		client.ExpectClose("The end.")
	})
}

// TestGoodbyeKeeps: the session is its owner's for as long as DISCONNECT says.
func TestGoodbyeKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V5
		h := open(t, checked, func(p *proxy.Policy) { p.Sessions = filters.NewStore(10) })
		defer h.close()
		bob := []func(*packets.Connect){mqtttest.Login("bob", "x"), mqtttest.Props(mqtttest.Uint32(packets.SessionExpiryInterval, 10))}
		client, _ := h.sessionWith(h.dial(v), v, connackOf(v), bob...)
		client.Send([]byte{0xe0, 7, 0, 5, byte(packets.SessionExpiryInterval), 0, 0, 0, 60})
		client.ExpectClose("Goodbye.")
		h.wait()
		time.Sleep(20 * time.Second)
		thief := h.dial(v)
		thief.Send(mqtttest.Connect(v, "device", mqtttest.Login("eve", "x")))
		thief.Expect("It is bob's for a minute.", mqtttest.Connack(v, packets.ClientIdentifierNotValid))
		time.Sleep(time.Minute)
		h.sessionWith(h.dial(v), v, connackOf(v), mqtttest.Login("eve", "x"))
	})
}
