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

// denying refuses topics with a prefix, in both directions.
func denying(h *house, prefix string) func(*proxy.Policy) {
	return func(p *proxy.Policy) {
		chain := filters.Chain{&opener{h: h, filter: func(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
			if p.Type == packets.PUBLISH && strings.HasPrefix(string(p.Topic), prefix) {
				return filters.Deny(s, p, packets.NotAuthorized, "withdrawn")
			}
			return filters.Pass()
		}}}
		p.Up, p.Down = chain, chain
	}
}

// TestReload withdraws a right from a running session and gives it back. What
// was opened is closed once, which the house checks.
func TestReload(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		up, down := mqtttest.Publish(v, 1, 7, "data/a", "1"), mqtttest.Publish(v, 0, 0, "data/b", "2")
		allowed := func() {
			t.Helper()
			client.Send(up)
			broker.Expect("It may publish.", up)
			broker.Send(down)
			client.Expect("It may receive.", down)
		}
		allowed()
		for range 3 {
			h.listener.SetPolicy(h.newPolicy(denying(h, "data/")))
			client.Send(up, mqtttest.Pingreq())
			client.Expect("The next packet is judged by the new rules.", mqtttest.Ack(v, packets.PUBACK, 7, packets.NotAuthorized))
			broker.Expect("It does not arrive.", mqtttest.Pingreq())
			broker.Send(down, mqtttest.Pingresp())
			client.Expect("So is the next delivery.", mqtttest.Pingresp())

			h.listener.SetPolicy(h.newPolicy())
			allowed()
		}
		h.listener.SetPolicy(h.newPolicy()) // which the session never sees
		client.Send(mqtttest.Disconnect(v, packets.Success))
		client.Close()
		broker.Expect("The session ends.", mqtttest.Disconnect(v, packets.Success))
		broker.Close()
		h.expectEnd("ended client_disconnect")
	})
}

// TestReloadOfListener changes what holds for new connections.
func TestReloadOfListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		old, oldBroker := h.session(packets.V5)
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) {
			p.Listener = "renamed"
			p.Limits.MaxPacketSize = 100
		}))
		next, _ := h.session(packets.V5)
		if n := h.seen.count("opened renamed"); n != 1 {
			t.Errorf("%d connections opened under the new name, want 1", n)
		}
		large := mqtttest.Publish(packets.V5, 0, 0, "data/a", string(long(200)))
		old.Send(large)
		oldBroker.Expect("Limits hold as they were when the connection came.", large)
		next.Send(large)
		next.Expect("New connections have the new ones.", mqtttest.Disconnect(packets.V5, packets.PacketTooLarge))
	})
}

// TestReloadUnderTraffic reloads while packets flow: none is lost.
func TestReloadUnderTraffic(t *testing.T) {
	h := open(t)
	defer h.close()
	client, broker := h.session(packets.V311)
	p := mqtttest.Publish(packets.V311, 0, 0, "data/a", "1")
	const n = 2000
	go func() {
		for range n {
			client.Conn.Write(p)
		}
	}()
	go func() {
		for range n {
			broker.Conn.Write(p)
		}
	}()
	reloads := make(chan struct{})
	go func() {
		defer close(reloads)
		for range 200 {
			h.listener.SetPolicy(h.newPolicy())
		}
	}()
	for range n {
		broker.Expect("Nothing is lost on the way up.", p)
		client.Expect("Nor on the way down.", p)
	}
	<-reloads
}
