package proxy_test

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// tenant brings a client of the tenant t and the broker through CONNECT and CONNACK.
func (h *house) tenant(v packets.Version, connack []packets.Properties, edit ...func(*packets.Connect)) (client, broker *mqtttest.Peer) {
	h.t.Helper()
	edit = append(edit, mqtttest.Login("t", "x"))
	client = h.dial(v)
	client.Send(mqtttest.Connect(v, "device", edit...))
	broker = h.answer(v)
	broker.Expect("The broker gets its own identifier.", mqtttest.Connect(v, "t-device", edit...))
	broker.Send(mqtttest.Connack(v, packets.Success, connack...))
	client.Expect("The CONNACK comes back.", mqtttest.Connack(v, packets.Success, connack...))
	return client, broker
}

// nameStep is a packet that one end sends, and as what it arrives; nil: it does not.
type nameStep struct {
	says           string
	sent, received []byte
}

// withhold keeps "drop me" from the client.
func withhold(h *house) func(*proxy.Policy) {
	return func(p *proxy.Policy) {
		p.Down = append(filters.Chain{&opener{h: h, filter: func(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
			if string(p.Payload) == "drop me" {
				return filters.Withhold("test")
			}
			return filters.Pass()
		}}}, p.Down...)
	}
}

// TestAliasedNames: client and broker know an alias by different names.
func TestAliasedNames(t *testing.T) {
	large := strings.Repeat("x", 50_000)
	tests := []struct {
		name  string
		down  bool
		steps []nameStep
	}{
		{"to the broker", false, []nameStep{
			{"An alias is set.", aliased("a", 1, "1"), aliased("t/a", 1, "1")},
			{"The alias alone goes on alone.", aliased("", 1, "2"), aliased("", 1, "2")},
			{"A large one, too.", aliased("", 1, large), aliased("", 1, large)},
			{"The name is said again.", aliased("a", 1, "3"), aliased("t/a", 1, "3")},
			{"It is set anew, and the broker does not hear of it.", aliased("b", 1, "drop me"), nil},
			{"The broker is told.", aliased("", 1, "4"), aliased("t/b", 1, "4")},
			{"From then on it knows.", aliased("", 1, "5"), aliased("", 1, "5")},
			{"A name of the broker's own is refused.", aliased("$x", 1, "6"), nil},
			{"And so is its alias.", aliased("", 1, "7"), nil},
			{"Another is set by a large one.", aliased("c", 2, large), aliased("t/c", 2, large)},
			{"And used.", aliased("", 2, "8"), aliased("", 2, "8")},
		}},
		{"to the client", true, []nameStep{
			{"An alias is set.", aliased("t/a", 1, "1"), aliased("a", 1, "1")},
			{"The alias alone goes on alone.", aliased("", 1, "2"), aliased("", 1, "2")},
			{"A large one, too.", aliased("", 1, large), aliased("", 1, large)},
			{"It is set to another's name.", aliased("u/a", 1, "3"), nil},
			{"And stands for it.", aliased("", 1, "4"), nil},
			{"It is set anew, and the client does not hear of it.", aliased("t/b", 1, "drop me"), nil},
			{"The client is told.", aliased("", 1, "5"), aliased("b", 1, "5")},
			{"From then on it knows.", aliased("", 1, "6"), aliased("", 1, "6")},
			{"Another is set by a large one.", aliased("t/c", 2, large), aliased("c", 2, large)},
			{"And used.", aliased("", 2, "7"), aliased("", 2, "7")},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				h.listener.SetPolicy(h.newPolicy(dropMe(h), withhold(h), namespaced(t)))
				client, broker := h.tenant(packets.V5, maximum(4), mqtttest.Props(maximum(4)...))
				from, to := client, broker
				if tt.down {
					from, to = broker, client
				}
				for _, s := range tt.steps {
					from.Send(s.sent)
					if s.received != nil {
						to.Expect(s.says, s.received)
					}
					synctest.Wait()
				}
				last := mqtttest.Pingreq()
				if tt.down {
					last = mqtttest.Pingresp()
				}
				from.Send(last)
				to.Expect("Nothing else has gone on.", last)
			})
		})
	}
}

// TestGrownAlias: the size that the broker takes holds for the packet that it gets.
func TestGrownAlias(t *testing.T) {
	const v, most = packets.V5, 60
	alias := mqtttest.Uint16(packets.TopicAlias, 1)
	named := func(topic string) packets.Properties {
		return append(mqtttest.Text(packets.ResponseTopic, topic), alias...)
	}
	for name, ps := range map[string]struct{ sent, goesOn packets.Properties }{
		"an alias":         {alias, alias},
		"a Response Topic": {named("r"), named("t/r")},
	} {
		publish := func(topic, payload string, ps packets.Properties) []byte {
			return mqtttest.Publish(v, 1, 7, topic, payload, ps)
		}
		payload := func(topic string, size int) string { // with which the broker gets so many bytes
			return strings.Repeat("x", size-len(publish(topic, "", ps.goesOn)))
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				h.listener.SetPolicy(h.newPolicy(dropMe(h), namespaced(t)))
				client, broker := h.tenant(v, append(maximum(4), mqtttest.Uint32(packets.MaximumPacketSize, most)))
				puback := mqtttest.Ack(v, packets.PUBACK, 7, packets.Success)
				refused := packets.AppendAck(nil, v, packets.PUBACK, 7, packets.ImplementationSpecificError)
				client.Send(aliased("data", 1, "drop me"))
				client.Send(publish("", payload("t/data", most+1), ps.sent))
				client.Expect("It is too large with the name, which the broker does not know.", refused)
				fits := payload("t/data", most-2) // lengths might have needed a byte more
				client.Send(publish("", fits, ps.sent))
				broker.Expect("It fits with the name.", publish("t/data", fits, ps.goesOn))
				broker.Send(puback)
				client.Expect("It is acknowledged.", puback)
				fits = payload("", most)
				client.Send(publish("", fits, ps.sent))
				broker.Expect("It fits without the name, which the broker knows now.", publish("", fits, ps.goesOn))
				broker.Send(puback)
				client.Expect("It is acknowledged.", puback)
				client.Send(publish("data", fits, ps.sent))
				client.Expect("With the name it does not.", refused)
			})
		})
	}
}

// TestStreamedNames: a payload of any size is passed on as it comes.
func TestStreamedNames(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, namespaced(t))
		defer h.close()
		client, broker := h.tenant(v, nil)
		const half = 300_000 // more than all buffers on the way together
		for _, way := range []struct {
			from, to   *mqtttest.Peer
			sent, gets string
		}{{client, broker, "a", "t/a"}, {broker, client, "t/a", "a"}} {
			large := func(topic string) []byte {
				return mqtttest.Publish(v, 0, 0, topic, strings.Repeat("x", 2*half))
			}
			sent, want := large(way.sent), large(way.gets)
			go way.from.Send(sent[:half])
			got := make([]byte, len(want))
			n, err := io.ReadFull(way.to.Conn, got[:half+len(want)-len(sent)])
			if err != nil {
				t.Fatalf("%q: %d bytes of what is here, %v", way.sent, n, err)
			}
			go way.from.Send(sent[half:])
			if _, err := io.ReadFull(way.to.Conn, got[n:]); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%q: %v, or not what was sent", way.sent, err)
			}
			synctest.Wait()
		}
	})
}

// TestConnackNames: what the broker tells the client of itself has the client's names.
func TestConnackNames(t *testing.T) {
	assigned := func(id string) packets.Properties { return mqtttest.Text(packets.AssignedClientIdentifier, id) }
	info := func(topic string) packets.Properties { return mqtttest.Text(packets.ResponseInformation, topic) }
	reason := mqtttest.Text(packets.ReasonString, "t/hello")
	for _, tt := range []struct {
		name      string
		sent, got []packets.Properties
	}{
		{"its own", []packets.Properties{assigned("t-1"), info("t/r"), reason}, []packets.Properties{assigned("1"), info("r"), reason}},
		{"another's", []packets.Properties{assigned("u-1"), info("u/r")}, nil},
		{"nothing but the prefix", []packets.Properties{assigned("t-"), info("t/")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, namespaced(t))
				defer h.close()
				client := h.dial(packets.V5)
				client.Send(mqtttest.Connect(packets.V5, "device", mqtttest.Login("t", "x")))
				broker := h.answer(packets.V5)
				broker.Expect("CONNECT", mqtttest.Connect(packets.V5, "t-device", mqtttest.Login("t", "x")))
				broker.Send(mqtttest.Connack(packets.V5, packets.Success, tt.sent...))
				client.Expect("The names are the client's.", mqtttest.Connack(packets.V5, packets.Success, tt.got...))
			})
		})
	}
}

// TestAnswersOfNames: the codes of filters stay in their order, though one is refused.
func TestAnswersOfNames(t *testing.T) {
	const v = packets.V5
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) {
			p.Up = filters.Chain{&opener{h: h, filter: func(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
				v := filters.Pass()
				for filter := range p.Subscriptions() {
					j := filters.Judgement{Rule: "test"}
					if string(filter) == "t/denied" {
						j.Reason = packets.NotAuthorized
					}
					v.Filters = append(v.Filters, j)
				}
				return v
			}}}
		}, namespaced(t)))
		client, broker := h.tenant(v, nil)
		client.Send(mqtttest.Subscribe(v, 3, "a", "denied", "$share/g/b"))
		broker.Expect("Rules judge the broker's names.", mqtttest.Subscribe(v, 3, "t/a", "$share/g/t/b"))
		broker.Send(mqtttest.Suback(v, 3, 1, 2))
		client.Expect("In the client's order.", mqtttest.Suback(v, 3, 1, packets.NotAuthorized, 2))
		if lines := h.audit.all(); !slices.ContainsFunc(lines, func(l string) bool {
			return strings.Contains(l, "subscribe denied") && strings.Contains(l, "filter=t/denied")
		}) {
			t.Errorf("no audit line has the broker's name: %q", lines)
		}
	})
}

// TestLostNames: what a client has lost at a reload it is told by its own names.
func TestLostNames(t *testing.T) {
	const v = packets.V5
	synctest.Test(t, func(t *testing.T) {
		h := open(t, namespaced(t))
		defer h.close()
		client, broker := h.tenant(v, nil)
		client.Send(mqtttest.Subscribe(v, 1, "a/#", "$share/g/a"))
		broker.Expect("The client subscribes.", mqtttest.Subscribe(v, 1, "t/a/#", "$share/g/t/a"))
		broker.Send(mqtttest.Suback(v, 1, 1, 1))
		client.Expect("It is subscribed.", mqtttest.Suback(v, 1, 1, 1))
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.Up = append(p.Up, &right{prefix: "t/a"}, &right{prefix: "$share/g/t/a"}) }, namespaced(t)))
		broker.Expect("It is unsubscribed.", unsubscribe(v, 65535, "$share/g/t/a", "t/a/#"))
		broker.Send(unsuback(v, 65535, 0, 0), mqtttest.Publish(v, 0, 0, "t/b", "x"))
		client.Expect("The client is told.", told(v, mqtttest.Publish(v, 0, 0, "b", "x"), "$share/g/a", "a/#"))
	})
}

// TestShrunkAlias: the size that the client takes holds for the packet that it gets.
func TestShrunkAlias(t *testing.T) {
	const v, most = packets.V5, 60
	alias := mqtttest.Uint16(packets.TopicAlias, 1)
	for _, tt := range []struct {
		name string
		size int // with the client's name
		gets bool
	}{{"it fits", most - 1, true}, {"it is too large", most + 1, false}} { // the length of all might have needed a byte more
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				h.listener.SetPolicy(h.newPolicy(withhold(h), namespaced(t)))
				client, broker := h.tenant(v, nil, mqtttest.Props(maximum(4)...), func(c *packets.Connect) {
					c.Props = append(c.Props, mqtttest.Uint32(packets.MaximumPacketSize, most)...)
				})
				broker.Send(aliased("t/data", 1, "drop me"))
				fill := strings.Repeat("x", tt.size-len(mqtttest.Publish(v, 0, 0, "data", "", alias)))
				broker.Send(mqtttest.Publish(v, 0, 0, "", fill, alias), mqtttest.Pingresp())
				if tt.gets {
					client.Expect("The client is told the name.", mqtttest.Publish(v, 0, 0, "data", fill, alias))
				}
				client.Expect("Nothing else comes.", mqtttest.Pingresp())
			})
		})
	}
}
