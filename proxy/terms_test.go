package proxy_test

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

func prop8(id packets.PropertyID, v byte) packets.Properties { return packets.Properties{byte(id), v} }

// TestTerms: what CONNECT asks for and CONNACK grants is lowered to the limits,
// and each side is told.
func TestTerms(t *testing.T) {
	limits := func(p *proxy.Policy) {
		p.Limits.MaxKeepAlive, p.Limits.MaxSessionExpiry, p.Limits.MaxWillDelay = 90*time.Second, 3600, 600
		p.Limits.MaxInflight, p.Limits.MaxTopicAliases, p.Limits.MaxPacketSize = 50, 5, 1000
	}
	size := mqtttest.Uint32(packets.MaximumPacketSize, 1000)
	inflight := mqtttest.Uint16(packets.ReceiveMaximum, 50)
	concat := func(ps ...packets.Properties) packets.Properties {
		var all packets.Properties
		for _, p := range ps {
			all = append(all, p...)
		}
		return all
	}
	connect := func(keepAlive uint16, ps packets.Properties, edit ...func(*packets.Connect)) []byte {
		return mqtttest.Connect(packets.V5, "device", append(edit, mqtttest.KeepAlive(keepAlive), mqtttest.Props(ps))...)
	}
	will := func(delay uint32) func(*packets.Connect) {
		return func(c *packets.Connect) {
			c.Will = &packets.Will{Topic: []byte("w"), Props: mqtttest.Uint32(packets.WillDelayInterval, delay)}
		}
	}
	expiry := func(v uint32) packets.Properties { return mqtttest.Uint32(packets.SessionExpiryInterval, v) }
	keepAlive := func(v uint16) packets.Properties { return mqtttest.Uint16(packets.ServerKeepAlive, v) }
	tests := []struct {
		name             string
		asks, goesOn     []byte
		grants, comesOut packets.Properties
	}{
		{"nothing to lower", connect(60, nil), connect(60, nil), nil, concat(inflight, size)},
		{"Keep Alive", connect(120, nil), connect(90, nil), nil, concat(inflight, size, keepAlive(90))},
		{"no Keep Alive", connect(0, nil), connect(90, nil), nil, concat(inflight, size, keepAlive(90))},
		{"the broker's Keep Alive is longer", connect(60, nil), connect(60, nil), keepAlive(300), concat(keepAlive(90), inflight, size)},
		{"and shorter", connect(60, nil), connect(60, nil), keepAlive(30), concat(keepAlive(30), inflight, size)},
		{"the broker wants none", connect(60, nil), connect(60, nil), keepAlive(0), concat(keepAlive(90), inflight, size)},
		{"Session Expiry", connect(60, expiry(7200)), connect(60, expiry(3600)), nil, concat(inflight, size, expiry(3600))},
		{"for ever", connect(60, expiry(0xffffffff)), connect(60, expiry(3600)), expiry(0xffffffff), concat(expiry(3600), inflight, size)},
		{"shorter, by the broker", connect(60, expiry(60)), connect(60, expiry(60)), expiry(30), concat(expiry(30), inflight, size)},
		{"Will Delay up to the session's end", connect(60, expiry(60), will(300)), connect(60, expiry(60), will(60)), nil, concat(inflight, size)},
		{"Will Delay without a session", connect(60, nil, will(300)), connect(60, nil, will(0)), nil, concat(inflight, size)},
		{"Will Delay", connect(60, expiry(3600), will(700)), connect(60, expiry(3600), will(600)), nil, concat(inflight, size)},
		{"aliases of the broker", connect(60, mqtttest.Uint16(packets.TopicAliasMaximum, 65535)), connect(60, mqtttest.Uint16(packets.TopicAliasMaximum, 5)), nil, concat(inflight, size)},
		{"aliases of the client", connect(60, nil), connect(60, nil), mqtttest.Uint16(packets.TopicAliasMaximum, 10), concat(mqtttest.Uint16(packets.TopicAliasMaximum, 5), inflight, size)},
		{"Receive Maximum", connect(60, nil), connect(60, nil), mqtttest.Uint16(packets.ReceiveMaximum, 20), concat(mqtttest.Uint16(packets.ReceiveMaximum, 20), size)},
		{"Maximum Packet Size", connect(60, nil), connect(60, nil), mqtttest.Uint32(packets.MaximumPacketSize, 5000), concat(size, inflight)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, limits)
				defer h.close()
				client := h.dial(packets.V5)
				client.Send(tt.asks)
				broker := h.answer(packets.V5)
				broker.Expect("The CONNECT is lowered.", tt.goesOn)
				broker.Send(packets.AppendConnack(nil, packets.V5, false, packets.Success, tt.grants))
				client.Expect("And so is the CONNACK.", packets.AppendConnack(nil, packets.V5, false, packets.Success, tt.comesOut))
			})
		})
	}
}

// limited offers less than everything.
type limited struct{ filters.Offer }

func (l limited) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Pass()
}
func (l limited) Limit(o *filters.Offer) { *o = l.Offer }

// TestOffer: the CONNACK says what no rule allows.
func TestOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(p *proxy.Policy) { p.Up = append(p.Up, limited{filters.Offer{MaximumQoS: 1, Wildcard: true}}) })
		defer h.close()
		grants := append(prop8(packets.RetainAvailable, 1), prop8(packets.MaximumQoS, 1)...)
		out := append(prop8(packets.RetainAvailable, 0), prop8(packets.MaximumQoS, 1)...)
		out = append(out, prop8(packets.SharedSubscriptionAvailable, 0)...)
		client := h.dial(packets.V5)
		client.Send(mqtttest.Connect(packets.V5, "device"))
		broker := h.answer(packets.V5)
		broker.Expect("The CONNECT goes on.", mqtttest.Connect(packets.V5, "device"))
		broker.Send(packets.AppendConnack(nil, packets.V5, false, packets.Success, grants))
		client.Expect("It is not told of what it may not do.", packets.AppendConnack(nil, packets.V5, false, packets.Success, out))
	})
}

// TestLongKeepAlive: a client that is silent for one and a half times what is allowed
// holds nothing, whatever it asked for [CVE-2020-13849].
func TestLongKeepAlive(t *testing.T) {
	for _, v := range versions {
		for _, asked := range []uint16{0, 65535} {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, func(p *proxy.Policy) { p.Limits.MaxKeepAlive = 20 * time.Minute })
				defer h.close()
				client := h.dial(v)
				client.Send(mqtttest.Connect(v, "device", mqtttest.KeepAlive(asked)))
				broker := h.answer(v)
				if v == packets.V5 {
					broker.Expect("The Keep Alive is lowered.", mqtttest.Connect(v, "device", mqtttest.KeepAlive(1200)))
				} else {
					broker.Expect("It is the client's: MQTT 3.x cannot be told another.", mqtttest.Connect(v, "device", mqtttest.KeepAlive(asked)))
				}
				broker.Send(mqtttest.Connack(v, packets.Success))
				synctest.Wait()
				time.Sleep(29 * time.Minute)
				if ends := h.seen.ends(); len(ends) != 0 {
					t.Errorf("MQTT %v: too early: %v", v, ends)
				}
				time.Sleep(2 * time.Minute)
				h.expectEnd("ended keep_alive_timeout")
			})
		}
	}
}

// TestGoodbyeExpiry: DISCONNECT does not raise what CONNECT was not given.
func TestGoodbyeExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(p *proxy.Policy) { p.Limits.MaxSessionExpiry = 60 })
		defer h.close()
		client, broker := h.session(packets.V5, mqtttest.Props(mqtttest.Uint32(packets.SessionExpiryInterval, 10)))
		bye := func(expiry uint32) []byte {
			return binary.BigEndian.AppendUint32([]byte{0xe0, 7, 0, 5, byte(packets.SessionExpiryInterval)}, expiry)
		}
		client.Send(bye(3600))
		broker.Expect("It is lowered.", bye(60))
	})
}
