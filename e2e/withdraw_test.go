package e2e

import (
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// A reload takes a right: clients that do nothing are unsubscribed at the broker,
// those that are away when they are back, and MQTT 5.0 clients are told.
func TestWithdrawnSubscriptions(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	allowed := settings{broker: b.address()}
	p := startProxy(t, allowed)
	five, _ := p.connect5(t, connection("alice"))
	equal(t, "reason codes", five.subscribe(t, 1, "a/#", "b/#"), []byte{1, 1})
	three, _ := p.connect3(t, v311, "bob")
	equal(t, "return codes", three.subscribe(t, "a/#", "b/#"), []byte{1, 1})
	away, _ := p.connect5(t, lasting("carol"))
	equal(t, "reason codes", away.subscribe(t, 1, "a/#", "b/#"), []byte{1, 1})
	_ = away.Disconnect(&paho.Disconnect{})
	b.out.await(t, "Client carol disconnected.", 1)

	denied := allowed
	denied.rules = []string{`{name: taken, deny: [subscribe], topics: ["a/#"]}`, `{allow: [publish, subscribe], topics: ["#"]}`}
	p.configure(t, denied)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob"} {
		b.out.await(t, "Sending UNSUBACK to "+name, 1)
	}
	away, ack := p.connect5(t, lasting("carol"))
	if !ack.SessionPresent {
		t.Error("carol's session is gone")
	}
	b.out.await(t, "Sending UNSUBACK to carol", 1)
	for _, topic := range []string{"a/1", "b/1"} {
		publish(t, b.direct(), "-V", "5", "-q", "1", "-t", topic, "-m", payload("after"))
	}
	for name, c := range map[string]*client5{"alice": five, "carol": away} {
		m := receive(t, "message", c.inbox)
		if m.Topic != "b/1" || m.Properties == nil || m.Properties.User.Get("mqttward-unsubscribed") != "a/#" {
			t.Errorf("%s gets %s with %+v", name, m.Topic, m.Properties)
		}
		p.awaitEvent(t, event{"msg": "subscription withdrawn", "username": name, "filter": "a/#", "rule": "taken, authz.rules[0] (line 10)"})
	}
	if m := receive(t, "message", three.inbox); m.Topic() != "b/1" {
		t.Errorf("bob gets %s", m.Topic())
	}
	if n := p.metrics(t)[`mqttward_decisions_total{action="subscribe",outcome="withdrawn"}`]; n != 3 {
		t.Errorf("%v subscriptions withdrawn", n)
	}

	p.configure(t, allowed)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	publish(t, b.direct(), "-V", "5", "-q", "1", "-t", "a/2", "-m", payload("back"))
	publish(t, b.direct(), "-V", "5", "-q", "1", "-t", "b/2", "-m", payload("back"))
	if topic, _ := five.next(t); topic != "b/2" {
		t.Errorf("a right that is back has brought %s", topic)
	}
	equal(t, "reason codes", five.subscribe(t, 1, "a/#"), []byte{1})
	publish(t, b.direct(), "-V", "5", "-q", "1", "-t", "a/3", "-m", payload("again"))
	if topic, _ := five.next(t); topic != "a/3" {
		t.Errorf("who asks for it again gets %s", topic)
	}
}
