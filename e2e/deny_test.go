package e2e

import (
	"strconv"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

var sensorRules = []string{
	`{name: nobody reboots, deny: [publish, subscribe], topics: ["system/#"]}`,
	`{users: [alice], allow: [publish, subscribe], topics: ["data/#", "system/state"]}`,
}

// A publish that is denied never reaches the broker, is acknowledged as its
// version provides, and leaves the session as it was.
func TestDeniedPublish(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), rules: sensorRules})
	monitor := b.monitor(t)
	topics := []string{"system/reboot", "system/state", "other", "$SYS/broker/uptime", "$CONTROL/dynamic-security/v1"}

	t.Run("5", func(t *testing.T) {
		c, _ := p.connect5(t, connection("alice"))
		for qos := range byte(3) {
			for _, topic := range topics {
				want := byte(0x87)
				if qos == 0 {
					want = 0 // nobody tells
				}
				if code := c.publish(t, &paho.Publish{Topic: topic, QoS: qos, Payload: []byte(payload("denied"))}); code != want {
					t.Errorf("%s at QoS %d: reason code 0x%02X, want 0x%02X", topic, qos, code, want)
				}
			}
			if code := c.publish(t, &paho.Publish{Topic: "data/5", QoS: qos, Payload: []byte(payload("allowed"))}); code != 0 {
				t.Errorf("allowed at QoS %d: reason code 0x%02X", qos, code)
			}
		}
	})
	for name, version := range map[string]uint{"3.1": v31, "3.1.1": v311} {
		t.Run(name, func(t *testing.T) {
			c, _ := p.connect3(t, version, "alice")
			for qos := range byte(3) {
				for _, topic := range topics {
					c.publish(t, topic, qos, payload("denied")) // its flow completes
				}
				c.publish(t, "data/"+name, qos, payload("allowed"))
			}
			if !c.IsConnectionOpen() {
				t.Error("the connection is closed")
			}
		})
	}
	publish(t, b.direct(), "-q", "2", "-t", "end", "-m", payload("end"))
	got := map[string]int{}
	for _, topic := range messages(monitor.await(t, payload("end"))) {
		got[topic]++
	}
	for topic, n := range map[string]int{"data/5": 3, "data/3.1": 3, "data/3.1.1": 3, "end": 1} {
		if got[topic] != n {
			t.Errorf("%s has arrived %d times, want %d", topic, got[topic], n)
		}
		delete(got, topic)
	}
	if len(got) > 0 {
		t.Errorf("the broker has seen %v", got)
	}
	if n := strings.Count(b.out.String(), "Received PUBREL from alice"); n != 3 {
		t.Errorf("the broker has seen %d PUBRELs, want those of the three allowed publishes", n)
	}
	p.awaitEvent(t, event{
		"msg": "publish denied", "username": "alice", "topic": "system/state", "qos": 2, "version": "5.0",
		"rule": "nobody reboots, authz.rules[0] (line 10)",
	})
	p.awaitEvent(t, event{"msg": "publish denied", "topic": "other", "rule": "no rule matches", "version": "3.1.1"})
	if n, want := p.metrics(t)[`mqttward_decisions_total{action="publish",outcome="denied"}`], float64(3*3*len(topics)); n != want {
		t.Errorf("%v publishes denied, want %v", n, want)
	}
}

// What Mosquitto's own client makes of a refusal.
func TestDeniedPublishOfMosquitto(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), rules: sensorRules})
	for qos, said := range map[int]string{1: "received PUBACK (Mid: 1, RC:135)", 2: "received PUBREC (Mid: 1)"} {
		r := tryPublish(t, p.as("alice"), "-d", "-V", "5", "-q", strconv.Itoa(qos), "-t", "system/reboot", "-m", payload("x"))
		if want := "Warning: Publish 1 failed: Not authorized."; !strings.Contains(r.stdout, said) || !strings.Contains(r.stderr, want) {
			t.Errorf("QoS %d: want %q and %q:\n%s%s", qos, said, want, r.stdout, r.stderr)
		}
	}
	for _, version := range []string{"31", "311"} {
		r := tryPublish(t, p.as("alice"), "-d", "-V", version, "-q", "2", "-t", "system/reboot", "-m", payload("x"))
		if want := "received PUBCOMP (Mid: 1, RC:0)"; r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("%s: exit %d, want %q:\n%s%s", version, r.code, want, r.stdout, r.stderr)
		}
	}
}
