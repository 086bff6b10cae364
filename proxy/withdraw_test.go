package proxy_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// right is a filter that can be asked again: nothing that begins with prefix may be
// subscribed to or delivered.
type right struct {
	prefix string
	down   bool
	before func() // a SUBSCRIBE is judged
}

func (r *right) Filter(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	switch {
	case p.Type == packets.SUBSCRIBE:
		if r.before != nil {
			r.before()
		}
		return r.Review(now, s, p)
	case r.down && p.Type == packets.PUBLISH && bytes.HasPrefix(p.Topic, []byte(r.prefix)):
		return filters.Withhold("taken")
	}
	return filters.Pass()
}

func (r *right) Review(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
	v := filters.Pass()
	if p.Type != packets.SUBSCRIBE {
		return v
	}
	for filter := range p.Subscriptions() {
		var j filters.Judgement
		if bytes.HasPrefix(filter, []byte(r.prefix)) {
			j = filters.Judgement{Reason: packets.NotAuthorized, Rule: "taken"}
		}
		v.Filters = append(v.Filters, j)
	}
	return v
}

// without is a policy under which nobody has a right to what begins with prefix.
func without(h *house, prefix string) *proxy.Policy {
	return h.newPolicy(func(p *proxy.Policy) {
		p.Sessions = h.policy.Sessions
		p.Up = append(p.Up, &right{prefix: prefix})
		p.Down = append(p.Down, &right{prefix: prefix, down: true})
	})
}

func unsubscribe(v packets.Version, id uint16, names ...string) []byte {
	var filters [][]byte
	for _, n := range names {
		filters = append(filters, []byte(n))
	}
	return packets.AppendUnsubscribe(nil, v, id, nil, filters)
}

func unsuback(v packets.Version, id uint16, codes ...packets.ReasonCode) []byte {
	return packets.AppendUnsuback(nil, v, id, nil, codes)
}

// subscribed is a session that is subscribed to filters.
func (h *house) subscribed(v packets.Version, names ...string) (client, broker *mqtttest.Peer) {
	h.t.Helper()
	client, broker = h.session(v)
	client.Send(mqtttest.Subscribe(v, 1, names...))
	broker.Expect("The client subscribes.", mqtttest.Subscribe(v, 1, names...))
	granted := mqtttest.Suback(v, 1, slices.Repeat([]packets.ReasonCode{1}, len(names))...)
	broker.Send(granted)
	client.Expect("It is subscribed.", granted)
	return client, broker
}

// told is a packet of the broker that says to an MQTT 5.0 client what it has lost.
func told(v packets.Version, b []byte, lost ...string) []byte {
	p, err := packets.Parse(b, v, packets.Server)
	if err != nil {
		panic(err)
	}
	if v != packets.V5 {
		return b
	}
	ps := slices.Clip(p.Props)
	for _, filter := range lost {
		ps = ps.WithUser("mqttward-unsubscribed", filter)
	}
	switch p.Type {
	case packets.PUBLISH:
		return packets.AppendPublish(nil, v, p.Flags, p.Topic, p.ID, ps, p.Payload, p.Rest)
	case packets.SUBACK:
		return packets.AppendSuback(nil, v, p.ID, ps, []packets.ReasonCode{packets.ReasonCode(p.Payload[0])})
	case packets.UNSUBACK:
		return packets.AppendUnsuback(nil, v, p.ID, ps, []packets.ReasonCode{packets.ReasonCode(p.Payload[0])})
	default:
		return packets.AppendAckWith(nil, p.Type, p.ID, p.Reason, ps)
	}
}

// TestWithdrawn: a reload takes a right from a client that does nothing.
func TestWithdrawn(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.subscribed(v, "a/#", "b/#")
		inFlight := mqtttest.Publish(v, 1, 7, "a/1", "before")
		broker.Send(inFlight)
		client.Expect("It still has the right.", inFlight)

		h.listener.SetPolicy(without(h, "a/"))
		broker.Expect("It is unsubscribed at once.", unsubscribe(v, 65535, "a/#"))
		broker.Send(mqtttest.Publish(v, 1, 8, "a/2", "crossing"), mqtttest.Publish(v, 0, 0, "a/3", "crossing"), mqtttest.Pingresp())
		client.Expect("What crosses the UNSUBSCRIBE is not delivered.", mqtttest.Pingresp())
		client.Send(mqtttest.Ack(v, packets.PUBACK, 7, packets.Success))
		broker.Expect("The broker has both acknowledged, in order.",
			mqtttest.Ack(v, packets.PUBACK, 7, packets.Success), mqtttest.Ack(v, packets.PUBACK, 8, packets.Success))
		broker.Send(unsuback(v, 65535, packets.Success), mqtttest.Pingresp())
		client.Expect("The answer is ours.", mqtttest.Pingresp())
		message := mqtttest.Publish(v, 0, 0, "b/1", "after")
		broker.Send(message, message)
		client.Expect("The other subscription goes on, and the client is told once.", told(v, message, "a/#"), message)

		h.listener.SetPolicy(h.newPolicy())
		broker.ExpectSilence("A right that is back brings no subscription back.", time.Minute)
		again := mqtttest.Subscribe(v, 2, "a/#")
		client.Send(again)
		broker.Expect("But the client may.", again)

		if n := h.seen.count("decided subscribe withdrawn"); n != 1 {
			t.Errorf("%d subscriptions withdrawn", n)
		}
		if !slices.ContainsFunc(h.audit.all(), contains("subscription withdrawn", "filter=a/#", "rule=taken", "client_id=device")) {
			t.Errorf("audit: %q", h.audit.all())
		}
	})
}

// TestWithdrawnInFlight: a SUBSCRIBE that the broker has not answered is undone
// behind its answer.
func TestWithdrawnInFlight(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		client.Send(mqtttest.Subscribe(v, 1, "a/#"))
		broker.Expect("It is allowed.", mqtttest.Subscribe(v, 1, "a/#"))
		h.listener.SetPolicy(without(h, "a/"))
		broker.ExpectSilence("The broker may not have seen it yet.", time.Second)
		broker.Send(mqtttest.Suback(v, 1, 1))
		client.Expect("It was granted, and is gone.", told(v, mqtttest.Suback(v, 1, 1), "a/#"))
		broker.Expect("Now it is undone.", unsubscribe(v, 65535, "a/#"))
	})
}

// TestWithdrawnWhileJudged: the reload comes while the old rules judge a SUBSCRIBE.
func TestWithdrawnWhileJudged(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) {
			p.Up = append(p.Up, &right{prefix: "none", before: func() {
				h.listener.SetPolicy(without(h, "a/"))
				time.Sleep(time.Millisecond) // all that goes beside is over
			}})
		}))
		client, broker := h.session(v)
		client.Send(mqtttest.Subscribe(v, 1, "a/#"))
		broker.Expect("The old rules allow it.", mqtttest.Subscribe(v, 1, "a/#"))
		broker.Send(mqtttest.Suback(v, 1, 1))
		broker.Expect("The new ones do not.", unsubscribe(v, 65535, "a/#"))
	})
}

// TestWithdrawnLater: what the broker cannot be told now it is told when it has
// answered something, though the client stays idle.
func TestWithdrawnLater(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		const most = 4096 // filters that may wait for the broker
		h := open(t)
		defer h.close()
		client, broker := h.subscribed(v, "a/#")
		many := mqtttest.Subscribe(v, 2, slices.Repeat([]string{"b"}, most)...)
		client.Send(many)
		broker.Expect("As much as can wait.", many)
		h.listener.SetPolicy(without(h, "a/"))
		broker.ExpectSilence("There is no room for more.", time.Second)
		broker.Send(mqtttest.Suback(v, 2, make([]packets.ReasonCode, most)...))
		broker.Expect("Now there is.", unsubscribe(v, 65535, "a/#"))
	})
}

// TestWithdrawnUnanswered: a broker that does not let go ends the session.
func TestWithdrawnUnanswered(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		_, broker := h.subscribed(v, "a/#")
		h.listener.SetPolicy(without(h, "a/"))
		broker.Expect("It is unsubscribed.", unsubscribe(v, 65535, "a/#"))
		time.Sleep(packetTimeout)
		h.expectEnd("ended broker_protocol_error")
	})
}

// TestWithdrawnOffline: what the broker has kept is judged when the client is back.
func TestWithdrawnOffline(t *testing.T) {
	for _, v := range versions {
		for _, kept := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v kept %v", v, kept), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := open(t, func(p *proxy.Policy) { p.Sessions = filters.NewStore(10) })
					defer h.close()
					client, broker := h.sessionWith(h.dial(v), v, connackOf(v), persistent)
					client.Send(mqtttest.Subscribe(v, 1, "a/#", "b/#"))
					broker.Expect("The client subscribes.", mqtttest.Subscribe(v, 1, "a/#", "b/#"))
					broker.Send(mqtttest.Suback(v, 1, 1, 1))
					client.Expect("It is subscribed.", mqtttest.Suback(v, 1, 1, 1))
					client.Close()
					h.wait()
					h.listener.SetPolicy(without(h, "a/"))
					if !kept {
						_, broker = h.sessionWith(h.dial(v), v, connackOf(v), persistent)
						broker.ExpectSilence("The broker has forgotten it.", time.Second)
						return
					}
					client, broker = h.sessionWith(h.dial(v), v, present(v), persistent)
					broker.Expect("It is unsubscribed at once.", unsubscribe(v, 65535, "a/#"))
					broker.Send(unsuback(v, 65535, packets.Success), mqtttest.Publish(v, 0, 0, "b/1", "x"))
					client.Expect("And the client told.", told(v, mqtttest.Publish(v, 0, 0, "b/1", "x"), "a/#"))
				})
			})
		}
	}
}

// TestWithdrawnWhileStreaming: an UNSUBSCRIBE of ours does not get into a PUBLISH
// that is on its way in pieces, nor is it forgotten over it.
func TestWithdrawnWhileStreaming(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.subscribed(v, "a/#")
		large := mqtttest.Publish(v, 0, 0, "t", string(long(300<<10)))
		go client.Send(large)
		synctest.Wait() // the broker does not read
		h.listener.SetPolicy(without(h, "a/"))
		for h.seen.count("decided subscribe withdrawn") == 0 {
			runtime.Gosched()
		}
		broker.Expect("One after the other.", large, unsubscribe(v, 65535, "a/#"))
	})
}

// TestWithdrawnByProof: who has proved to be less has less.
func TestWithdrawnByProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.Up = append(p.Up, ofProof{}) }))
		client, broker := h.enhanced("bob")
		client.Send(mqtttest.Subscribe(v5, 1, "t"))
		broker.Expect("The proof allows it.", mqtttest.Subscribe(v5, 1, "t"))
		broker.Send(mqtttest.Suback(v5, 1, 0))
		client.Expect("Granted.", mqtttest.Suback(v5, 1, 0))
		client.Send(mqtttest.Auth(packets.ReAuthenticate, "test", "bob until 1h"))
		client.Expect("It has succeeded.", packets.AppendAuth(nil, packets.Success, mqtttest.Text(packets.AuthenticationMethod, "test")))
		broker.Expect("The new one does not.", unsubscribe(v5, 65535, "t"))
	})
}

// ofProof allows subscriptions to identities that do not expire.
type ofProof struct{}

func (ofProof) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Pass()
}

func (ofProof) Review(_ time.Time, s *filters.Session, _ *packets.Packet) filters.Verdict {
	if s.Proof().Expires.IsZero() {
		return filters.Pass()
	}
	return filters.Verdict{Rule: "temporary"}
}

// TestNarrowedOverReload: the client sees nothing of the filters that stand for its
// own, until none is left.
func TestNarrowedOverReload(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.Up = append(p.Up, narrow{"a/+", "b"}) }))
		client, broker := h.session(v)
		client.Send(mqtttest.Subscribe(v, 1, "#"))
		broker.Expect("Two for one.", mqtttest.Subscribe(v, 1, "a/+", "b"))
		broker.Send(mqtttest.Suback(v, 1, 1, 1))
		client.Expect("One for two.", mqtttest.Suback(v, 1, 1))
		message := mqtttest.Publish(v, 0, 0, "t", "x")
		for i, step := range []struct {
			lost string
			want []byte
		}{{"a/", message}, {"b", told(v, message, "#")}} {
			h.listener.SetPolicy(without(h, step.lost))
			broker.Expect("A part goes.", unsubscribe(v, 65535, []string{"a/+", "b"}[i]))
			broker.Send(unsuback(v, 65535, 0), message)
			client.Expect("The client is told of the last.", step.want)
		}
	})
}

// narrow lets everybody subscribe to parts only.
type narrow []string

func (n narrow) Filter(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
	v := filters.Pass()
	if p.Type == packets.SUBSCRIBE {
		for range p.Subscriptions() {
			v.Filters = append(v.Filters, filters.Judgement{Narrowed: n})
		}
	}
	return v
}

// TestWithdrawnPanics: a filter that panics in a review ends that session.
func TestWithdrawnPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		h.panics = 1
		h.subscribed(packets.V5, "a/#")
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.Up = append(p.Up, (*right)(nil)) }))
		h.expectEnd("ended panic")
	})
}
