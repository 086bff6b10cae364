package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"strconv"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// Every version and every QoS, through the proxy in both directions, to and
// from the broker's own clients.
func TestPublish(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	for _, version := range []string{"31", "311", "5"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			through := subscribe(t, p.as("alice"), "-V", version, "-q", "2", "-t", version+"/#")
			around := subscribe(t, b.direct(), "-V", version, "-q", "2", "-t", version+"/#")
			for qos := range 3 {
				args := []string{"-V", version, "-q", strconv.Itoa(qos)}
				up, down := version+"/up/"+strconv.Itoa(qos), version+"/down/"+strconv.Itoa(qos)
				publish(t, p.as("bob"), append(args, "-t", up, "-m", payload("up"))...)
				publish(t, b.direct(), append(args, "-t", down, "-m", payload("down"))...)
				for _, s := range []*process{through, around} {
					s.await(t, line(up, qos, false, payload("up")))
					s.await(t, line(down, qos, false, payload("down")))
				}
			}
		})
	}
	t.Run("paho", func(t *testing.T) {
		t.Parallel()
		five, _ := p.connect5(t, connection("carol"))
		equal(t, "reason codes", five.subscribe(t, 2, "paho/#"), []byte{2})
		three, _ := p.connect3(t, v311, "alice")
		for qos := range byte(3) {
			topic := "paho/" + strconv.Itoa(int(qos))
			check := func(want string) {
				if got, body := five.next(t); got != topic || body != want {
					t.Errorf("%s %q, want %s %q", got, body, topic, want)
				}
			}
			three.publish(t, topic, qos, payload("three"))
			check(payload("three"))
			if code := five.publish(t, &paho.Publish{Topic: topic, QoS: qos, Payload: []byte(payload("five"))}); code != 0 {
				t.Errorf("QoS %d: reason code 0x%02X", qos, code)
			}
			check(payload("five"))
		}
	})
	seen := p.metrics(t)
	if seen[`mqttward_decisions_total{action="publish",outcome="denied"}`] != 0 {
		t.Error("publishes were denied")
	}
}

func TestRetained(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), rules: []string{
		`{users: [alice], allow: [publish], topics: ["#"], retain: false}`,
		`{users: [bob], allow: [publish, subscribe], topics: ["#"]}`,
	}})
	publish(t, p.as("alice"), "-V", "5", "-q", "1", "-r", "-t", "no", "-m", payload("no")) // refused
	publish(t, p.as("bob"), "-V", "5", "-q", "1", "-r", "-t", "yes", "-m", payload("yes"))
	for _, version := range []string{"31", "311", "5"} {
		s := subscribe(t, p.as("bob"), "-V", version, "-q", "1", "-t", "yes", "-t", "no")
		text := s.await(t, line("yes", 1, true, payload("yes")))
		equal(t, "messages", messages(text), []string{"yes"})
	}
}

// 2 MiB go through at once, both ways, and come out as they were.
func TestLargePayload(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), limits: "{max_packet_size: 4MiB, publish_bytes: {rate: 0}}"})
	body := make([]byte, 2<<20)
	if _, err := rand.Read(body); err != nil {
		t.Fatal(err)
	}
	copy(body, payloadMark)
	sum := sha256.Sum256(body)

	five, _ := p.connect5(t, connection("alice"))
	five.subscribe(t, 2, "large")
	three, _ := p.connect3(t, v311, "bob")
	three.subscribe(t, "large")
	for qos := range byte(3) {
		if code := five.publish(t, &paho.Publish{Topic: "large", QoS: qos, Payload: body}); code != 0 {
			t.Fatalf("QoS %d: reason code 0x%02X", qos, code)
		}
		five.publish(t, &paho.Publish{Topic: "large", QoS: qos, Payload: []byte(payload("small"))})
		if _, got := five.next(t); sha256.Sum256([]byte(got)) != sum {
			t.Errorf("QoS %d: the payload has changed on its way to the MQTT 5.0 client", qos)
		}
		if m := receive(t, "message", three.inbox); sha256.Sum256(m.Payload()) != sum {
			t.Errorf("QoS %d: the payload has changed on its way to the MQTT 3.1.1 client", qos)
		}
		if _, got := five.next(t); got != payload("small") {
			t.Errorf("QoS %d: what came behind has changed", qos)
		}
		receive(t, "message", three.inbox)
	}
}

// A payload above max_packet_size ends the session with its reason code.
func TestTooLargePayload(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), limits: "{max_packet_size: 1KiB}"})
	c, _ := p.connect5(t, connection("alice"))
	body := bytes.Repeat([]byte(payloadMark), 1<<10)
	_, _ = c.PublishWithOptions(waiting(t), &paho.Publish{Topic: "a", QoS: 1, Payload: body}, paho.PublishOptions{Method: paho.PublishMethod_AsyncSend})
	if d := receive(t, "DISCONNECT", c.goodbye); d.ReasonCode != 0x95 {
		t.Errorf("DISCONNECT with 0x%02X, want 0x95", d.ReasonCode)
	}
	p.awaitMetric(t, `mqttward_sessions_ended_total{reason="protocol_error"}`, 1)
}

// A topic alias is judged by the name that it stands for, also if the PUBLISH
// that set it was refused.
func TestTopicAlias(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), rules: []string{
		`{allow: [publish], topics: ["ok/#"], qos: [0, 1]}`,
		`{allow: [publish], topics: ["any/qos"]}`, // or the CONNACK would have a Maximum QoS
	}})
	monitor := b.monitor(t)
	c, ack := p.connect5(t, connection("alice"))
	if ack.Properties.TopicAliasMaximum == nil || *ack.Properties.TopicAliasMaximum == 0 {
		t.Fatalf("the broker takes no aliases: %+v", ack.Properties)
	}
	const one, two = 1, 2
	for _, step := range []struct {
		topic string
		alias uint16
		qos   byte
		code  byte
	}{
		{"ok/1", one, 1, 0},
		{"", one, 1, 0},
		{"secret", two, 1, 0x87},
		{"", two, 1, 0x87},
		{"ok/2", two, 2, 0x87},
		{"", two, 1, 0}, // of which the broker has not been told
		{"", two, 1, 0},
		{"", one, 1, 0},
		{"secret", one, 1, 0x87},
		{"", one, 1, 0x87},
		{"", two, 1, 0},
	} {
		alias := step.alias
		publication := &paho.Publish{
			Topic: step.topic, QoS: step.qos, Payload: []byte(payload("x")),
			Properties: &paho.PublishProperties{TopicAlias: &alias},
		}
		if code := c.publish(t, publication); code != step.code {
			t.Errorf("topic %q, alias %d: reason code 0x%02X, want 0x%02X", step.topic, step.alias, code, step.code)
		}
	}
	publish(t, b.direct(), "-q", "2", "-t", "end", "-m", payload("end"))
	equal(t, "messages", messages(monitor.await(t, payload("end"))),
		[]string{"ok/1", "ok/1", "ok/2", "ok/2", "ok/1", "ok/2", "end"})
}
