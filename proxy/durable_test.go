package proxy_test

import (
	"testing"
	"testing/synctest"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// present is a CONNACK with Session Present, which no policy of these tests
// changes.
func present(v packets.Version) []byte {
	b := connackOf(v)
	b[2] = 1
	return b
}

func persistent(c *packets.Connect) {
	c.CleanStart = false
	if c.Level == byte(packets.V5) {
		c.Props = mqtttest.Uint32(packets.SessionExpiryInterval, 3600)
	}
}

// TestRefusedOverReconnect: the PUBREL of a refused PUBLISH is ours after a
// reconnect too, if the broker has kept the session; else it is the broker's.
func TestRefusedOverReconnect(t *testing.T) {
	for _, v := range []packets.Version{packets.V31, packets.V311} {
		for _, kept := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, checked, func(p *proxy.Policy) { p.Sessions = filters.NewStore(10) })
				defer h.close()
				client, _ := h.sessionWith(h.dial(v), v, connackOf(v), persistent)
				client.Send(mqtttest.Publish(v, 2, 7, "denied/a", "x"))
				client.Expect("As if it were stored.", mqtttest.Ack(v, packets.PUBREC, 7, packets.Success))
				client.Close()
				h.wait()
				connack := connackOf(v)
				if kept {
					connack = present(v)
				}
				client, broker := h.sessionWith(h.dial(v), v, connack, persistent)
				client.Send(mqtttest.Ack(v, packets.PUBREL, 7, packets.Success))
				if !kept {
					broker.Expect("Nobody knows it.", mqtttest.Ack(v, packets.PUBREL, 7, packets.Success))
					broker.Send(mqtttest.Ack(v, packets.PUBCOMP, 7, packets.Success))
				}
				client.Expect("It is complete.", mqtttest.Ack(v, packets.PUBCOMP, 7, packets.Success))
			})
		}
	}
}

// TestTakeover: the same user takes over its session, and the broker tells the old
// connection so; another user does not get it, connected or not.
func TestTakeover(t *testing.T) {
	for _, v := range versions {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, checked, func(p *proxy.Policy) { p.Sessions = filters.NewStore(10) })
			defer h.close()
			bob, eve := mqtttest.Login("bob", "x"), mqtttest.Login("eve", "x")
			steal := func(say string) {
				t.Helper()
				thief := h.dial(v)
				thief.Send(mqtttest.Connect(v, "device", persistent, eve))
				thief.Expect(say, mqtttest.Connack(v, packets.ClientIdentifierNotValid))
				thief.ExpectClose("Nothing was dialled.")
			}
			old, oldBroker := h.sessionWith(h.dial(v), v, connackOf(v), persistent, bob)
			steal("The session is bob's.")
			client, broker := h.sessionWith(h.dial(v), v, present(v), persistent, bob)
			if v == packets.V5 {
				taken := []byte{0xe0, 1, byte(packets.SessionTakenOver)}
				oldBroker.Send(taken)
				old.Expect("The broker says why.", taken)
			}
			oldBroker.Close()
			old.ExpectClose("The old connection ends.")
			h.wait()
			client.Send(mqtttest.Pingreq())
			broker.Expect("The new one goes on.", mqtttest.Pingreq())
			steal("It still is.")
			client.Close()
			h.wait()
			steal("It waits for bob.")
			if n := h.dials.Load(); n != 2 {
				t.Errorf("%d dials", n)
			}
		})
	}
}
