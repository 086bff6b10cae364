package e2e

import (
	"strconv"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// A client over its rate is read more slowly. It loses nothing, and others are
// not held back with it.
func TestPublishRate(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]string{
		"messages": "{publish_rate: {rate: 100, burst: 20}}",
		"bytes":    "{publish_rate: {rate: 0}, publish_bytes: {rate: 100KiB, burst: 20KiB}}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			p := startProxy(t, settings{broker: b.address(), limits: limits})
			const burst = 60
			subscriber, _ := p.connect5(t, connection("bob"))
			subscriber.subscribe(t, 0, name+"/#")
			publisher, _ := p.connect5(t, connection("alice"))
			body := make([]byte, 1000)
			copy(body, payloadMark)
			for i := range burst {
				publisher.publish(t, &paho.Publish{Topic: name + "/" + strconv.Itoa(i), Payload: body})
			}
			for i := range burst {
				if topic, _ := subscriber.next(t); topic != name+"/"+strconv.Itoa(i) {
					t.Fatalf("message %d is %s", i, topic)
				}
			}
			m := p.metrics(t)
			allowed := m[`mqttward_decisions_total{action="publish",outcome="allowed"}`]
			delayed := m[`mqttward_decisions_total{action="publish",outcome="delayed"}`]
			if allowed+delayed != burst || delayed == 0 {
				t.Errorf("%v allowed and %v delayed of %d", allowed, delayed, burst)
			}
		})
	}
}

// What is refused costs quota like what is allowed, or a flood of it would not
// be held back.
func TestPublishRateOfRefused(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{
		broker: b.address(),
		rules:  []string{`{allow: [publish], topics: ["allowed"]}`},
		limits: "{publish_rate: {rate: 0.001, burst: 1, action: drop}}",
	})
	for _, first := range []struct {
		user, topic string
		want        byte
	}{{"alice", "other", 0x87}, {"bob", "allowed", 0}} {
		c, _ := p.connect5(t, connection(first.user))
		for i, want := range []byte{first.want, 0x97} {
			if code := c.publish(t, &paho.Publish{Topic: first.topic, QoS: 1, Payload: []byte(payload("x"))}); code != want {
				t.Errorf("%s, message %d: reason code 0x%02X, want 0x%02X", first.topic, i, code, want)
			}
		}
	}
}
