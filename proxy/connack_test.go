package proxy_test

import (
	"testing"
	"testing/synctest"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// TestMaximumPacketSize: MQTT 5.0 clients are told what the policy takes.
func TestMaximumPacketSize(t *testing.T) {
	const v5 = packets.V5
	size := func(n uint32) packets.Properties { return mqtttest.Uint32(packets.MaximumPacketSize, n) }
	takes := func(n uint32) func(*packets.Connect) { return func(c *packets.Connect) { c.Props = size(n) } }
	hello := mqtttest.Text(packets.ReasonString, "hello")
	refused := mqtttest.Connack(v5, packets.NotAuthorized)
	tests := []struct {
		name         string
		version      packets.Version
		client       func(*packets.Connect)
		broker, want []byte
	}{
		{"added", v5, nil, mqtttest.Connack(v5, 0, hello), mqtttest.Connack(v5, 0, hello, size(1000))},
		{"lowered", v5, nil, mqtttest.Connack(v5, 0, size(5000), hello), mqtttest.Connack(v5, 0, size(1000), hello)},
		{"the broker takes less", v5, nil, mqtttest.Connack(v5, 0, size(500)), mqtttest.Connack(v5, 0, size(500))},
		{"the client takes no longer CONNACK", v5, takes(9), mqtttest.Connack(v5, 0), mqtttest.Connack(v5, 0)},
		{"the client takes just that", v5, takes(10), mqtttest.Connack(v5, 0), mqtttest.Connack(v5, 0, size(1000))},
		{"a refusal", v5, nil, refused, refused},
		{"3.1.1 has no place for it", packets.V311, nil, mqtttest.Connack(packets.V311, 0), mqtttest.Connack(packets.V311, 0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, func(p *proxy.Policy) { p.Limits.MaxPacketSize = 1000 })
				defer h.close()
				edit := tt.client
				if edit == nil {
					edit = func(*packets.Connect) {}
				}
				client := h.dial(tt.version)
				client.Send(mqtttest.Connect(tt.version, "device", edit))
				broker := h.answer(tt.version)
				broker.Expect("The CONNECT goes on as it came.", mqtttest.Connect(tt.version, "device", edit))
				broker.Send(tt.broker)
				client.Expect("The CONNACK says what is taken.", tt.want)
			})
		})
	}
}
