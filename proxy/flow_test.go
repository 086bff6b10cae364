package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/strict"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// checked puts strict into both chains.
func checked(p *proxy.Policy) {
	o := strict.Options{}
	p.Up = append(filters.Chain{strict.Up(o)}, p.Up...)
	p.Down = append(filters.Chain{strict.Down(o)}, p.Down...)
}

// TestWithheldDelivery: the broker's flow is finished in its place among the
// client's acknowledgements.
func TestWithheldDelivery(t *testing.T) {
	for _, v := range versions {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, checked)
			defer h.close()
			client, broker := h.session(v)
			ack := func(kind packets.Type, id uint16) []byte { return mqtttest.Ack(v, kind, id, packets.Success) }
			one, three := mqtttest.Publish(v, 1, 1, "data/a", "1"), mqtttest.Publish(v, 1, 3, "data/b", "3")
			broker.Send(one, mqtttest.Publish(v, 1, 2, "dropped/a", "2"), three, mqtttest.Publish(v, 2, 4, "dropped/b", "4"))
			client.Expect("What is allowed is delivered.", one, three)
			broker.Expect("QoS 2 has an order of its own.", ack(packets.PUBREC, 4))
			client.Send(ack(packets.PUBACK, 1))
			broker.Expect("Ours follows the client's.", ack(packets.PUBACK, 1), ack(packets.PUBACK, 2))
			broker.Send(ack(packets.PUBREL, 4))
			broker.Expect("It is complete.", ack(packets.PUBCOMP, 4))
			client.Send(ack(packets.PUBACK, 3))
			broker.Expect("The client's own.", ack(packets.PUBACK, 3))
			if n := h.seen.count("decided receive denied"); n != 2 {
				t.Errorf("%d deliveries denied", n)
			}
		})
	}
}

// TestDeliveryAlias: the client can always tell the topic, though it did not get
// the PUBLISH that bound its alias.
func TestDeliveryAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, checked, func(p *proxy.Policy) { p.Down = append(filters.Chain{payloads{}}, p.Down...) })
		defer h.close()
		client, broker := h.session(packets.V5, mqtttest.Props(mqtttest.Uint16(packets.TopicAliasMaximum, 2)))
		broker.Send(aliased("data/a", 1, "drop me"), aliased("", 1, "1"), aliased("", 1, "2"), aliased("dropped/a", 2, "x"), aliased("", 2, "y"))
		client.Expect("It gets the name now.", aliased("data/a", 1, "1"), aliased("", 1, "2"))
		broker.Send(aliased("data/a", 3, "above the maximum"))
		client.Expect("The broker has made a mistake.", mqtttest.Disconnect(packets.V5, packets.UnspecifiedError))
		client.ExpectClose("And that is the end.")
		h.expectEnd("ended broker_protocol_error")
	})
}

// TestAliasTooLarge: a PUBLISH that its Topic Name makes larger than the client
// takes is discarded, and its flow finished [MQTT-3.1.2-25].
func TestAliasTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, checked, func(p *proxy.Policy) { p.Down = append(filters.Chain{payloads{}}, p.Down...) })
		defer h.close()
		long := strings.Repeat("t", 90)
		client, broker := h.session(packets.V5, mqtttest.Props(mqtttest.Uint16(packets.TopicAliasMaximum, 2), mqtttest.Uint32(packets.MaximumPacketSize, 120)))
		alias := mqtttest.Uint16(packets.TopicAlias, 1)
		broker.Send(mqtttest.Publish(packets.V5, 1, 1, long, "drop me", alias))
		broker.Expect("It is dropped.", mqtttest.Ack(packets.V5, packets.PUBACK, 1, packets.Success))
		broker.Send(mqtttest.Publish(packets.V5, 1, 2, "", strings.Repeat("x", 40), alias))
		broker.Expect("It would be too large.", mqtttest.Ack(packets.V5, packets.PUBACK, 2, packets.Success))
		small := mqtttest.Publish(packets.V5, 1, 3, "", "x", alias)
		broker.Send(small)
		client.Expect("This one fits with the name.", mqtttest.Publish(packets.V5, 1, 3, long, "x", alias))
	})
}

// TestSubackNeverComes: a client that waits for an answer of ours does not wait
// for ever.
func TestSubackNeverComes(t *testing.T) {
	for _, v := range versions {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			defer h.close()
			client, broker := h.session(v)
			client.Send(mqtttest.Subscribe(v, 1, "data/#"), mqtttest.Subscribe(v, 2, "data/a", "denied/a"))
			broker.Expect("The allowed ones go on.", mqtttest.Subscribe(v, 1, "data/#"), mqtttest.Subscribe(v, 2, "data/a"))
			client.Patience = 3 * packetTimeout
			if v == packets.V5 {
				client.Expect("The broker is at fault.", mqtttest.Disconnect(v, packets.UnspecifiedError))
			}
			client.ExpectClose("That is the end.")
			h.expectEnd("ended broker_protocol_error")
		})
	}
}

// TestSubackComes: an answer that comes in time keeps the session.
func TestSubackComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V5
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		for id := range uint16(3) {
			client.Send(mqtttest.Subscribe(v, id+1, "data/a", "denied/a"))
			broker.Expect("In part.", mqtttest.Subscribe(v, id+1, "data/a"))
			time.Sleep(packetTimeout * 2 / 3)
			broker.Send(mqtttest.Suback(v, id+1, 1))
			client.Expect("Merged.", mqtttest.Suback(v, id+1, 1, packets.NotAuthorized))
		}
		time.Sleep(3 * packetTimeout)
		if ends := h.seen.ends(); len(ends) != 0 {
			t.Errorf("ended: %v", ends)
		}
	})
}

// TestHeld: a client of MQTT 3.x with too much in flight is read more slowly, and
// loses nothing.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V311
		h := open(t, checked, func(p *proxy.Policy) { p.Limits.MaxInflight = 2 })
		defer h.close()
		client, broker := h.session(v)
		var sent [][]byte
		for id := range uint16(5) {
			sent = append(sent, mqtttest.Publish(v, 1, id+1, "data/a", "x"))
		}
		client.Send(sent...)
		broker.Expect("Two go on.", sent[0], sent[1])
		broker.ExpectSilence("The third waits.", time.Second)
		for i := range sent {
			broker.Send(mqtttest.Ack(v, packets.PUBACK, uint16(i+1), packets.Success))
			client.Expect("Acknowledged.", mqtttest.Ack(v, packets.PUBACK, uint16(i+1), packets.Success))
			if i+2 < len(sent) {
				broker.Expect("So there is room.", sent[i+2])
			}
		}
		client.Send(mqtttest.Publish(v, 1, 11, "data/a", "x"), mqtttest.Publish(v, 1, 12, "data/a", "x"), mqtttest.Publish(v, 1, 13, "data/a", "x"))
		broker.Expect("Two.", mqtttest.Publish(v, 1, 11, "data/a", "x"), mqtttest.Publish(v, 1, 12, "data/a", "x"))
		client.Patience = 2 * packetTimeout
		client.ExpectClose("A broker that never answers ends it.")
		h.expectEnd("ended policy")
	})
}

// TestReplyWhileStreaming: a client that writes before it reads is not stopped by
// an answer of ours that has to wait for a streamed PUBLISH.
func TestReplyWhileStreaming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V5
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		body := strings.Repeat("x", 1<<20)
		large := mqtttest.Publish(v, 0, 0, "data/large", body)
		release := make(chan struct{})
		go func() {
			broker.Send(large[:len(large)-1])
			<-release
			broker.Send(large[len(large)-1:])
		}()
		synctest.Wait()
		denied := mqtttest.Publish(v, 1, 7, "denied/a", "x")
		allowed := mqtttest.Publish(v, 1, 8, "data/a", "x")
		client.Send(denied, allowed) // it has read nothing yet
		broker.Expect("What the client writes goes on.", allowed)
		close(release)
		client.Expect("The PUBLISH whole, then our answer.", large, mqtttest.Ack(v, packets.PUBACK, 7, packets.NotAuthorized))
	})
}

// TestWillWithdrawn: a Will that has lost its right is taken back; one that has it
// is left to the broker.
func TestWillWithdrawn(t *testing.T) {
	for _, v := range versions {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, func(p *proxy.Policy) { p.Up = append(p.Up, reviewer{}) })
			defer h.close()
			client, broker := h.session(v, mqtttest.Will("revoked/a", "x"))
			client.Close()
			broker.Expect("A DISCONNECT in the client's name.", mqtttest.Disconnect(v, packets.Success))
			broker.ExpectClose("Then the end.")
			client, broker = h.session(v, mqtttest.Will("data/a", "x"))
			client.Close()
			broker.ExpectClose("The Will is due [MQTT-3.1.2-8].")
		})
	}
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(p *proxy.Policy) { p.Up = append(p.Up, reviewer{}) })
		defer h.close()
		client, broker := h.session(packets.V5, mqtttest.Will("revoked/a", "x"))
		client.Send(mqtttest.Disconnect(packets.V5, packets.DisconnectWithWill))
		broker.Expect("It is not asked for.", []byte{0xe0, 1, 0})
	})
}

// reviewer withdraws Wills to revoked topics.
type reviewer struct{}

func (reviewer) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Pass()
}

func (reviewer) Review(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
	if c, err := p.Connect(); err == nil && strings.HasPrefix(string(c.Will.Topic), "revoked") {
		return filters.Verdict{Rule: "revoked"}
	}
	return filters.Pass()
}

// TestExpiry: a session ends with the identity.
func TestExpiry(t *testing.T) {
	for _, v := range versions {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			h.expires = time.Now().Add(time.Minute)
			defer h.close()
			client, broker := h.session(v)
			client.Patience, broker.Patience = time.Hour, time.Hour
			if v == packets.V5 {
				client.Expect("It is not authorized any more.", mqtttest.Disconnect(v, packets.NotAuthorized))
			}
			client.ExpectClose("The end.")
			broker.ExpectClose("The Will is due.")
			h.expectEnd("ended identity_expired")
		})
	}
}

// TestRecheck: a reload ends the sessions that it would not admit, at once, and
// no other.
func TestRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		gone, _ := h.sessionWith(h.dial(packets.V5), packets.V5, mqtttest.Connack(packets.V5, packets.Success, mqtttest.Uint32(packets.MaximumPacketSize, 100)), mqtttest.Login("eve", "x"))
		stays, broker := h.sessionWith(h.dial(packets.V5), packets.V5, mqtttest.Connack(packets.V5, packets.Success, mqtttest.Uint32(packets.MaximumPacketSize, 100)), mqtttest.Login("bob", "x"))
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.Recheck = noEve }))
		gone.Expect("It would not be let in now.", mqtttest.Disconnect(packets.V5, packets.NotAuthorized))
		gone.ExpectClose("The end.")
		stays.Send(mqtttest.Pingreq())
		broker.Expect("The other goes on.", mqtttest.Pingreq())
	})
}

// payloads drops what says so.
type payloads struct{}

func (payloads) Filter(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type == packets.PUBLISH && string(p.Payload) == "drop me" {
		return filters.Withhold("payload")
	}
	return filters.Pass()
}

// TestRecheckLater: of whom nobody can say now is asked again, until somebody can or
// another policy is in force.
func TestRecheckLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, _ := h.session(packets.V5, mqtttest.Login("eve", "x"))
		synctest.Wait() // a session that begins asks for itself
		asked := 0
		silent := func(ctx context.Context, s *filters.Session, state tls.ConnectionState) error {
			if asked++; asked <= 2 {
				return fmt.Errorf("users: %w", filters.ErrUnavailable)
			}
			return noEve(ctx, s, state)
		}
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.Recheck = silent }))
		client.ExpectSilence("Nobody can say anything yet.", 2*time.Second)
		client.Expect("It ends.", mqtttest.Disconnect(packets.V5, packets.NotAuthorized))
		h.expectEnd("ended identity_revoked")
		if asked != 3 {
			t.Errorf("asked %d times", asked)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, _ := h.session(packets.V5, mqtttest.Login("eve", "x"))
		synctest.Wait()
		asked := 0
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) {
			p.Recheck = func(context.Context, *filters.Session, tls.ConnectionState) error {
				asked++
				return filters.ErrUnavailable
			}
		}))
		synctest.Wait()
		h.listener.SetPolicy(h.newPolicy())
		client.ExpectSilence("The session goes on.", time.Hour)
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// TestLoginDuringReload: who came before a reload and logs in after it has to satisfy
// what is in force then.
func TestLoginDuringReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client := h.dial(packets.V5)
		synctest.Wait()
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) {
			p.Authn = authenticate(func(context.Context, filters.Credentials) (filters.Identity, error) {
				return filters.Identity{}, &packets.Error{Code: packets.NotAuthorized, Msg: "nobody any more"}
			})
		}))
		client.Send(mqtttest.Connect(packets.V5, "device"))
		client.Expect("The methods of now refuse.", mqtttest.Connack(packets.V5, packets.NotAuthorized))
		h.expectEnd("refused bad_credentials")
	})
}

// TestRecheckOfBeginner: a session that begins under another policy than it logged in
// under is asked about until somebody can say.
func TestRecheckOfBeginner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		var asked atomic.Int32
		next := h.newPolicy(func(p *proxy.Policy) {
			p.Recheck = func(context.Context, *filters.Session, tls.ConnectionState) error {
				if asked.Add(1) == 1 {
					return filters.ErrUnavailable
				}
				return errors.New("gone meanwhile")
			}
		})
		h.policy.Authn = authenticate(func(context.Context, filters.Credentials) (filters.Identity, error) {
			h.listener.SetPolicy(next)
			return filters.Identity{Username: "bob", Method: "users"}, nil
		})
		client, _ := h.session(packets.V5)
		client.Expect("It ends when that is known.", mqtttest.Disconnect(packets.V5, packets.NotAuthorized))
		h.expectEnd("ended identity_revoked")
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

func noEve(_ context.Context, s *filters.Session, _ tls.ConnectionState) error {
	if s.Identity.Username == "eve" {
		return errors.New("eve is gone")
	}
	return nil
}
