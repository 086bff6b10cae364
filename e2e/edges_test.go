package e2e

import (
	"testing"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// The cases at the edges of what may be done, in which brokers differ or have been
// wrong, with a broker that would allow all of it.
func TestEdges(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), rules: []string{
		`{deny: [publish, subscribe], topics: ["a/secret/#"]}`,
		`{users: [alice, bob], allow: [publish, subscribe], topics: ["a/#", "exact/x"]}`,
		`{users: [alice, bob], allow: [subscribe], topics: ["=#", "+/x", "replies/${clientid}/#", "$share/team/jobs/#"], qos: [0]}`,
		`{users: [bob], deny: [will], topics: ["will/#"]}`,
		`{users: [alice, bob], allow: [publish], topics: ["will/${username}"]}`,
	}})
	alice, _ := p.connect5(t, connection("alice"))
	const denied = 0x87
	publish := func(c *client5, topic string, props ...*paho.PublishProperties) byte {
		m := &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("x")}
		if len(props) > 0 {
			m.Properties = props[0]
		}
		return c.publish(t, m)
	}
	alias := func(n uint16) *paho.PublishProperties { return &paho.PublishProperties{TopicAlias: &n} }

	t.Run("one filter of several", func(t *testing.T) {
		equal(t, "MQTT 5.0", alice.subscribe(t, 1, "a/1", "b", "a/2", "a/secret/x"), []byte{1, denied, 1, denied})
		old, _ := p.connect3(t, v311, "bob")
		equal(t, "MQTT 3.1.1", old.subscribe(t, "a/1", "b", "a/2"), []byte{1, 0x80, 1})
		older, _ := p.connect3(t, v31, "bob")
		equal(t, "MQTT 3.1", older.subscribe(t, "b"), []byte{1}) // which has no failure code
		if publish(alice, "b") != denied || publish(alice, "a/1") != 0 {
			t.Error("alice publishes otherwise than she may")
		}
	})
	t.Run("shared subscriptions", func(t *testing.T) {
		equal(t, "reason codes", alice.subscribe(t, 1, "$share/g/a/x", "$share/g/exact/x", "$share/g/b", "$share/g/a/#"), []byte{1, 1, denied, denied})
		equal(t, "of a group that a rule names", alice.subscribe(t, 0, "$share/team/jobs/#", "$share/other/jobs/#"), []byte{0, denied})
	})
	t.Run("the broker's topics", func(t *testing.T) {
		equal(t, "reason codes", alice.subscribe(t, 0, "#", "$SYS/#", "$CONTROL/#", "+/x"), []byte{0, denied, denied, 0})
		if publish(alice, "$SYS/x") != denied || publish(alice, "$CONTROL/dynamic-security/v1") != denied {
			t.Error("what begins with $ is published")
		}
	})
	t.Run("levels", func(t *testing.T) {
		for topic, want := range map[string]byte{"exact/x": 0, "exact/x/": denied, "exact//x": denied, "/exact/x": denied, "Exact/x": denied, "a": 0, "a/": 0} {
			if got := publish(alice, topic); got != want {
				t.Errorf("%s: 0x%02X", topic, got)
			}
		}
	})
	t.Run("topic aliases", func(t *testing.T) {
		if publish(alice, "a/alias", alias(1)) != 0 || publish(alice, "", alias(1)) != 0 {
			t.Error("an alias of an allowed topic is refused")
		}
		if publish(alice, "a/secret/x", alias(2)) != denied || publish(alice, "", alias(2)) != denied {
			t.Error("an alias of a denied topic is let through")
		}
		if publish(alice, "a/secret/x", alias(1)) != denied || publish(alice, "", alias(1)) != denied {
			t.Error("an alias keeps the right of what it meant before")
		}
	})
	t.Run("response topic", func(t *testing.T) {
		for topic, want := range map[string]byte{"replies/alice/1": 0, "a/secret/x": denied, "$SYS/x": denied} {
			if got := publish(alice, "a/request", &paho.PublishProperties{ResponseTopic: topic}); got != want {
				t.Errorf("%s: 0x%02X", topic, got)
			}
		}
	})
	t.Run("Will", func(t *testing.T) {
		will := func(user, topic string) *paho.Connect {
			c := connection(user)
			c.WillMessage = &paho.WillMessage{Topic: topic, Payload: []byte("gone")}
			return c
		}
		p.refused5(t, will("carol", "a/x"), denied)
		p.refused5(t, will("bob", "a/secret/x"), denied)
		p.refused5(t, will("bob", "will/bob"), denied)
		bob, _ := p.connect5(t, will("bob", "a/will"))
		if publish(bob, "will/bob") != 0 {
			t.Error("what may be no Will may not be published either")
		}
	})
	t.Run("an identifier of ours", func(t *testing.T) {
		c := connection("bob")
		c.ClientID = ""
		bob, ack := p.connect5(t, c)
		id := ack.Properties.AssignedClientID
		equal(t, "reason codes", bob.subscribe(t, 0, "replies/"+id+"/#", "a/+"), []byte{0, 0})
	})
	t.Run("refused in MQTT 3", func(t *testing.T) {
		for _, version := range []uint{v31, v311} {
			bob, _ := p.connect3(t, version, "bob", func(o *mqtt.ClientOptions) { o.SetClientID("three") })
			bob.subscribe(t, "a/#")
			bob.publish(t, "a/secret/x", 1, "x")
			bob.publish(t, "a/secret/x", 2, "x")
			bob.publish(t, "a/last", 1, "x")
			if m := receive(t, "message", bob.inbox); m.Topic() != "a/last" {
				t.Errorf("%d: gets %s", version, m.Topic())
			}
		}
	})
}
