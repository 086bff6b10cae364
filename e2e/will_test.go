package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// A client that vanishes leaves its Will, one that says goodbye does not.
func TestWill(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	monitor := b.monitor(t)
	for _, version := range []string{"31", "311", "5"} {
		t.Run(version, func(t *testing.T) {
			client := func(name string, qos int) *process {
				return subscribe(t, p.as("alice"), "-V", version, "-i", name+version, "-t", "nothing",
					"--will-topic", "will/"+name+version, "--will-payload", payload(name), "--will-qos", strconv.Itoa(qos))
			}
			// mosquitto_sub sends DISCONNECT, in MQTT 5.0 with reason code 0x04: with
			// Will Message.
			ended := client("ended", 1)
			ended.signal(t, syscall.SIGTERM)
			ended.exit(t)
			b.out.await(t, "Client ended"+version+" disconnected.", 1)
			for qos := range 3 {
				name := "killed" + strconv.Itoa(qos)
				client(name, qos).signal(t, syscall.SIGKILL)
				monitor.await(t, line("will/"+name+version, qos, false, payload(name)))
			}
			if left := strings.Contains(monitor.out.String(), "will/ended"+version); left != (version == "5") {
				t.Errorf("the client that sent DISCONNECT left its Will: %v", left)
			}
		})
	}
	t.Run("normal disconnection", func(t *testing.T) {
		c := connection("bob")
		c.WillMessage = &paho.WillMessage{Topic: "will/bob", QoS: 1, Payload: []byte(payload("will"))}
		client, _ := p.connect5(t, c)
		_ = client.Disconnect(&paho.Disconnect{})
		b.out.await(t, "Client bob disconnected.", 1)
		publish(t, b.direct(), "-q", "2", "-t", "end", "-m", payload("end"))
		if text := monitor.await(t, payload("end")); strings.Contains(text, "will/bob") {
			t.Error("the client left its Will")
		}
	})
	p.awaitMetric(t, `mqttward_sessions_ended_total{reason="client_disconnect"}`, 4)
	p.awaitMetric(t, `mqttward_sessions_ended_total{reason="client_closed"}`, 9)
}

// A Will is a publish, so it needs the right to it; without, the CONNECT is
// refused and the broker never sees it.
func TestUnauthorisedWill(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), rules: []string{
		`{users: [alice], allow: [publish], topics: ["will/alice"], qos: [0, 1], retain: false}`,
		`{users: [alice], allow: [subscribe], topics: ["answers/alice"]}`,
	}})
	for _, test := range []struct {
		name string
		will paho.WillMessage
		ok   bool
	}{
		{"allowed", paho.WillMessage{Topic: "will/alice", QoS: 1}, true},
		{"topic", paho.WillMessage{Topic: "will/bob"}, false},
		{"QoS", paho.WillMessage{Topic: "will/alice", QoS: 2}, false},
		{"retain", paho.WillMessage{Topic: "will/alice", Retain: true}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := b.connections()
			test.will.Payload = []byte(payload("will"))
			c := connection("alice")
			c.WillMessage = &test.will
			if test.ok {
				client, _ := p.connect5(t, c)
				_ = client.Disconnect(&paho.Disconnect{})
				return
			}
			p.refused5(t, c, 0x87)
			for _, version := range []uint{v31, v311} {
				_, _, code := p.dial3(t, version, "alice", func(o *mqtt.ClientOptions) {
					o.SetWill(test.will.Topic, payload("will"), test.will.QoS, test.will.Retain)
				})
				if code != 5 {
					t.Errorf("MQTT level %d: return code %d, want 5", version, code)
				}
			}
			if b.connections() != before {
				t.Error("the broker was dialled")
			}
		})
	}
	// Paho does not send the Response Topic of a Will.
	for topic, ok := range map[string]bool{"answers/alice": true, "answers/bob": false} {
		r := execute(t, "", "mosquitto_sub", append(p.as("alice"), "-d", "-V", "5", "-E", "-t", "answers/alice",
			"--will-topic", "will/alice", "--will-payload", payload("will"), "-D", "will", "response-topic", topic)...)
		if (r.code == 0) != ok || strings.Contains(r.stdout, "CONNACK (135)") == ok {
			t.Errorf("response topic %s: exit %d:\n%s%s", topic, r.code, r.stdout, r.stderr)
		}
	}
	p.awaitEvent(t, event{"msg": "connection refused", "end": "connect_denied", "username": "alice", "version": "5.0", "rule": "no rule matches"})
	p.awaitEvent(t, event{"msg": "connection refused", "end": "connect_denied", "version": "3.1"})
	if denied := p.metrics(t)[`mqttward_decisions_total{action="will",outcome="denied"}`]; denied != 10 {
		t.Errorf("%v Wills denied, want 10", denied)
	}
}
