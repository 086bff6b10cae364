package e2e

import (
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

var dashboardRules = []string{
	`{name: no secrets, deny: [subscribe], topics: ["data/+/secret"]}`,
	`{users: [alice], allow: [subscribe], topics: ["data/#"]}`,
	`{users: [bob], allow: [subscribe], topics: ["data/+/temp", "=news/+"]}`,
}

// Of the filters of one SUBSCRIBE each has its own answer, in order, and only
// those that are granted bring messages.
func TestHalfGrantedSubscription(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), rules: dashboardRules})
	filters := []string{"#", "data/1/temp", "$SYS/#", "data/+/secret", "news/+", "news/sport", "dat/#", "$share/g/data/3/temp", "$share/g/other"}
	granted := []bool{false, true, false, false, true, false, false, true, false}
	topics := []string{"data/1/temp", "data/1/secret", "data/2/temp", "other", "news/sport", "end"}
	delivered := []string{"data/1/temp", "news/sport"}
	codes := func(refused byte) []byte {
		want := make([]byte, len(filters))
		for i := range filters {
			want[i] = refused
			if granted[i] {
				want[i] = 1
			}
		}
		return want
	}
	// A message to every topic, and one that tells that there are no more.
	story := func(t *testing.T) {
		for _, topic := range topics {
			publish(t, b.direct(), "-V", "5", "-q", "1", "-t", topic, "-m", payload("x"))
		}
		publish(t, b.direct(), "-V", "5", "-q", "1", "-t", "data/1/temp", "-m", payload("end"))
	}

	t.Run("5", func(t *testing.T) {
		c, _ := p.connect5(t, connection("bob"))
		equal(t, "reason codes", c.subscribe(t, 1, filters...), codes(0x87))
		story(t)
		var got []string
		for topic, body := c.next(t); body != payload("end"); topic, body = c.next(t) {
			got = append(got, topic)
		}
		equal(t, "messages", got, delivered)
	})
	t.Run("3.1.1", func(t *testing.T) {
		c, _ := p.connect3(t, v311, "bob")
		equal(t, "return codes", c.subscribe(t, filters...), codes(0x80))
		story(t)
		var got []string
		for m := receive(t, "message", c.inbox); string(m.Payload()) != payload("end"); m = receive(t, "message", c.inbox) {
			got = append(got, m.Topic())
		}
		equal(t, "messages", got, delivered)
	})
	for version, answer := range map[string]string{
		"31":  "Subscribed (mid: 1): 1, 1, 1, 1, 1, 1, 1, 1, 1\n", // it has no word for no
		"311": "Subscribed (mid: 1): 128, 1, 128, 128, 1, 128, 128, 1, 128\n",
		"5":   "Subscribed (mid: 1): 135, 1, 135, 135, 1, 135, 135, 1, 135\n",
	} {
		t.Run("mosquitto_sub "+version, func(t *testing.T) {
			args := []string{"-V", version, "-q", "1"}
			for _, f := range filters {
				args = append(args, "-t", f)
			}
			s := subscribe(t, p.as("bob"), args...)
			s.await(t, answer)
			story(t)
			text := s.await(t, payload("end"))
			equal(t, "messages", messages(text), append(delivered, "data/1/temp"))
		})
	}
	p.awaitEvent(t, event{"msg": "subscribe denied", "username": "bob", "version": "5.0", "rule": "no secrets, authz.rules[0] (line 10)"})
	if n := p.metrics(t)[`mqttward_decisions_total{action="subscribe",outcome="denied"}`]; n != 5*6 {
		t.Errorf("%v filters denied, want %d", n, 5*6)
	}
}

// A SUBSCRIBE of which nothing is granted is answered by the proxy; the
// session goes on.
func TestRefusedSubscription(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), rules: dashboardRules})
	for _, filter := range []string{"#", "$SYS/#", "$SYS/broker/version", "+/+/temp", "data/1/secret", "data/+/secret"} {
		five, _ := p.connect5(t, connection("alice"))
		equal(t, filter, five.subscribe(t, 1, filter), []byte{0x87})
		equal(t, "later", five.subscribe(t, 1, "data/+/temp"), []byte{1})
		_ = five.Disconnect(&paho.Disconnect{})
		three, _ := p.connect3(t, v311, "alice")
		equal(t, filter, three.subscribe(t, filter), []byte{0x80})
		equal(t, "later", three.subscribe(t, "data/+/temp"), []byte{1})
		three.Disconnect(0)
	}
	if strings.Contains(b.out.String(), "\t$SYS/") || strings.Contains(b.out.String(), "\t#") {
		t.Error("the broker has seen a refused filter")
	}
	r := launchSub(t, p.as("alice"), "-d", "-V", "5", "-t", "#")
	r.await(t, "All subscription requests were denied.")
}
