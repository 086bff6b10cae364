package proxy_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// quick lets everything go on by the short way.
type quick struct{}

func (quick) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Pass()
}
func (quick) Passes(time.Time, *filters.Session, *packets.Packet) bool { return true }

// TestShortWayAfterReload: a policy that was put in force judges the next packet,
// though the one before it would let that pass by the short way.
func TestShortWayAfterReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := func(p *proxy.Policy) { p.Up, p.Down = filters.Chain{quick{}}, filters.Chain{quick{}} }
		h := open(t, short)
		defer h.close()
		client, broker := h.session(packets.V5)
		dropped, marker := mqtttest.Publish(packets.V5, 0, 0, "dropped/a", "x"), mqtttest.Publish(packets.V5, 0, 0, "data/a", "x")
		client.Send(dropped)
		broker.Expect("Nobody drops it yet.", dropped)
		broker.Send(dropped)
		client.Expect("Nor this way.", dropped)
		h.listener.SetPolicy(h.newPolicy())
		synctest.Wait()
		client.Send(dropped, marker)
		broker.Expect("Now it is dropped.", marker)
		broker.Send(dropped, marker)
		client.Expect("This way too.", marker)
	})
}

// TestShortWayIsForNoAlias: properties take the long way, where Topic Aliases are
// followed and bounded.
func TestShortWayIsForNoAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(p *proxy.Policy) { p.Up = filters.Chain{quick{}} })
		defer h.close()
		client, _ := h.session(packets.V5)
		client.Send(mqtttest.Publish(packets.V5, 0, 0, "data/a", "x", packets.Properties{byte(packets.TopicAlias), 0xff, 0xff}))
		client.Expect("The alias is above the maximum.", mqtttest.Disconnect(packets.V5, packets.TopicAliasInvalid))
	})
}
