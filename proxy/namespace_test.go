package proxy_test

import (
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// TestMoved: a session that a reload gives other names ends, though it is idle.
func TestMoved(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		h.session(v)
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) {
			p.Namespace = func(*filters.Session) (filters.Namespace, error) { return filters.Namespace{Topics: "a/"}, nil }
		}))
		h.expectEnd("ended identity_revoked")
	})
}

// TestNamespaceMissing: who has no names never reaches the broker.
func TestNamespaceMissing(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, namespaced(t))
		defer h.close()
		client := h.dial(v)
		client.Send(mqtttest.Connect(v, "device"))
		client.Expect("It is refused.", mqtttest.Connack(v, packets.NotAuthorized))
		h.expectEnd("refused connect_denied")
		if h.dials.Load() != 0 {
			t.Error("the broker was dialled")
		}
	})
}
