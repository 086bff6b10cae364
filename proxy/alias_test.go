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

// aliased is a PUBLISH with a Topic Alias; an empty topic leaves the name to
// the alias.
func aliased(topic string, alias uint16, payload string) []byte {
	return mqtttest.Publish(packets.V5, 0, 0, topic, payload, mqtttest.Uint16(packets.TopicAlias, alias))
}

// TestTopicAlias sends PUBLISHes with Topic Aliases. Each is judged by the
// name that the alias stands for, and the broker can always tell it.
func TestTopicAlias(t *testing.T) {
	type step struct {
		says           string
		send, goesOnAs []byte // the second nil: nothing does
	}
	same := func(says string, p []byte) step { return step{says, p, p} }
	tests := []struct {
		name  string
		steps []step
		ends  packets.ReasonCode // of the DISCONNECT; Success: the session goes on
	}{
		{name: "an alias is set and used", steps: []step{
			same("It is set.", aliased("data/a", 1, "1")),
			same("It is used as it came.", aliased("", 1, "2")),
			same("Again.", aliased("", 1, "3")),
		}},
		{name: "a denied PUBLISH binds its alias here only", steps: []step{
			{"The topic is denied.", aliased("denied/a", 1, "1"), nil},
			{"The alias stands for a denied topic.", aliased("", 1, "2"), nil},
		}},
		{name: "a name that the broker has not heard is told it", steps: []step{
			{"It is dropped by its payload's rule.", aliased("data/a", 1, "drop me"), nil},
			{"The broker gets the name now.", aliased("", 1, "2"), aliased("data/a", 1, "2")},
			same("From then on it knows.", aliased("", 1, "3")),
		}},
		{name: "a name is kept when the buffer it came in is used again", steps: []step{
			{"It is bound to a denied name.", aliased("denied/a", 1, "1"), nil},
			same("A lot comes.", mqtttest.Publish(packets.V5, 0, 0, "data/a", strings.Repeat("data/a/", 500))),
			same("And more.", mqtttest.Publish(packets.V5, 0, 0, "data/a", strings.Repeat("data/a/", 500))),
			{"It still is.", aliased("", 1, "2"), nil},
		}},
		{name: "an alias is bound anew", steps: []step{
			same("It is set.", aliased("data/a", 1, "1")),
			same("It is set to another name.", aliased("data/b", 1, "2")),
			same("That is what it stands for.", aliased("", 1, "3")),
			{"Then to a denied one.", aliased("denied/a", 1, "4"), nil},
			{"Its old name does not help.", aliased("", 1, "5"), nil},
			same("And back.", aliased("data/a", 1, "6")),
			same("It is used.", aliased("", 1, "7")),
		}},
		{name: "a denied binding leaves the broker with the old one", steps: []step{
			same("The broker knows the first name.", aliased("data/a", 1, "1")),
			{"It is bound anew, but the broker does not hear of it.", aliased("data/b", 1, "drop me"), nil},
			{"So the broker is told the second name.", aliased("", 1, "3"), aliased("data/b", 1, "3")},
		}},
		{name: "the same name again", steps: []step{
			same("It is set.", aliased("data/a", 1, "1")),
			{"The same name, dropped.", aliased("data/a", 1, "drop me"), nil},
			same("The broker still knows it.", aliased("", 1, "3")),
		}},
		{name: "aliases do not mix", steps: []step{
			same("One.", aliased("data/a", 1, "1")),
			{"Two.", aliased("denied/a", 2, "2"), nil},
			same("One is allowed.", aliased("", 1, "3")),
			{"Two is not.", aliased("", 2, "4"), nil},
		}},
		{name: "a large PUBLISH gets the name too", steps: []step{
			{"It is dropped.", aliased("data/a", 1, "drop me"), nil},
			{"The name goes in front of the payload.", aliased("", 1, strings.Repeat("x", 50_000)), aliased("data/a", 1, strings.Repeat("x", 50_000))},
		}},
		{name: "the largest alias", steps: []step{same("It is allowed.", aliased("data/a", 4, "1"))}},
		{name: "an alias above the maximum", steps: []step{same("The first is allowed.", aliased("data/a", 4, "1")), {"The second is not.", aliased("data/a", 5, "2"), nil}}, ends: packets.TopicAliasInvalid},
		{name: "an alias of zero", steps: []step{{"It is invalid.", aliased("data/a", 0, "1"), nil}}, ends: packets.TopicAliasInvalid},
		{name: "an unknown alias", steps: []step{{"It stands for nothing.", aliased("", 3, "1"), nil}}, ends: packets.ProtocolError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				h.listener.SetPolicy(h.newPolicy(dropMe(h)))
				connack := mqtttest.Connack(packets.V5, packets.Success, mqtttest.Uint16(packets.TopicAliasMaximum, 4))
				client, broker := h.sessionWith(h.dial(packets.V5), packets.V5, connack)
				for _, s := range tt.steps {
					client.Send(s.send)
					if s.goesOnAs != nil {
						broker.Expect(s.says, s.goesOnAs)
					}
					synctest.Wait()
				}
				if tt.ends == packets.Success {
					client.Send(mqtttest.Pingreq())
					broker.Expect("Nothing else has gone on, and the session lives.", mqtttest.Pingreq())
					return
				}
				broker.ExpectClose("Nothing else has gone on; the session ends.")
				client.Expect("The client is told why.", mqtttest.Disconnect(packets.V5, tt.ends))
				client.ExpectClose("The session ends.")
				h.expectEnd("ended protocol_error")
			})
		})
	}
}

// TestTopicAliasMaximum lowers the broker's maximum to the policy's, in place.
func TestTopicAliasMaximum(t *testing.T) {
	tests := []struct {
		name           string
		limit          uint16
		broker, client []packets.Properties
		highest        uint16 // alias that may be used; zero: none
	}{
		{"lowered", 16, maximum(100), maximum(16), 16},
		{"lowered, among other properties", 16, append(maximum(100), mqtttest.Text(packets.ReasonString, "hello")), append(maximum(16), mqtttest.Text(packets.ReasonString, "hello")), 16},
		{"already lower", 16, maximum(10), maximum(10), 10},
		{"no limit", 0, maximum(100), maximum(100), 100},
		{"none offered", 16, nil, nil, 0},
		{"none allowed by the broker", 16, maximum(0), maximum(0), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, func(p *proxy.Policy) { p.Limits.MaxTopicAliases = tt.limit })
				defer h.close()
				client := h.dial(packets.V5)
				client.Send(mqtttest.Connect(packets.V5, "device"))
				broker := h.answer(packets.V5)
				broker.Expect("The CONNECT arrives.", mqtttest.Connect(packets.V5, "device"))
				broker.Send(mqtttest.Connack(packets.V5, packets.Success, tt.broker...))
				client.Expect("The CONNACK tells the lower maximum.", mqtttest.Connack(packets.V5, packets.Success, tt.client...))
				if tt.highest > 0 {
					client.Send(aliased("data/a", tt.highest, "1"))
					broker.Expect("The highest alias may be used.", aliased("data/a", tt.highest, "1"))
				}
				client.Send(aliased("data/a", tt.highest+1, "1"))
				client.Expect("One more may not.", mqtttest.Disconnect(packets.V5, packets.TopicAliasInvalid))
			})
		})
	}
}

func maximum(n uint16) []packets.Properties {
	return []packets.Properties{mqtttest.Uint16(packets.TopicAliasMaximum, n)}
}

// TestTopicAliasMemory bounds the names that a client can make the proxy keep.
func TestTopicAliasMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		connack := mqtttest.Connack(packets.V5, packets.Success, maximum(16)...)
		client, broker := h.sessionWith(h.dial(packets.V5), packets.V5, connack)
		name := "data/" + strings.Repeat("x", 30_000)
		for range 5 { // the same alias does not add up
			for alias := range uint16(2) {
				client.Send(aliased(name, alias+1, "1"))
				broker.Expect("Two long names are kept.", aliased(name, alias+1, "1"))
			}
		}
		client.Send(aliased(name, 3, "1"))
		client.Expect("A third is too much.", mqtttest.Disconnect(packets.V5, packets.QuotaExceeded))
	})
}

// TestRenamedAlias: the broker knows an alias by another name than the client as long
// as that is so of every packet, and not because a filter has changed one.
func TestRenamedAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) {
			p.Up = append(p.Up, &opener{h: h, filter: func(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
				if string(p.Payload) == "rename me" {
					return filters.Verdict{Action: filters.Rewrite, Packet: rename(p)}
				}
				return filters.Pass()
			}})
		}))
		defer h.close()
		client, broker := h.sessionWith(h.dial(packets.V5), packets.V5, mqtttest.Connack(packets.V5, packets.Success, maximum(4)...))
		for _, s := range []nameStep{
			{"It is set.", aliased("a", 1, "1"), aliased("a", 1, "1")},
			{"One is renamed.", aliased("", 1, "rename me"), aliased("new/a", 1, "rename me")},
			{"The others are not.", aliased("", 1, "2"), aliased("a", 1, "2")},
			{"The first is renamed.", aliased("b", 2, "rename me"), aliased("new/b", 2, "rename me")},
			{"The second is not.", aliased("", 2, "3"), aliased("b", 2, "3")},
		} {
			client.Send(s.sent)
			broker.Expect(s.says, s.received)
		}
	})
}
