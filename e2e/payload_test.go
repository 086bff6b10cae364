package e2e

import (
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const temperature = `{"type": "object", "properties": {"temp": {"type": "number", "maximum": 150}, "note": {"type": "string"}}, "required": ["temp"]}`

// startChecked starts a proxy with checks of payloads.
func startChecked(t *testing.T, b *broker) *proxy {
	t.Helper()
	dir := proxyFolder(t, settings{broker: b.address(), limits: "{connect_timeout: 60s, max_packet_size: 4MiB, publish_bytes: {rate: 0}}", more: `
broker_profile: legacy
payload:
  - {topics: ["data/+/temp"], schema: temp.schema.json, max_size: 300KiB}
  - {topics: ["text/#"], format: declared}
  - {topics: ["small/#"], max_size: 10, action: drop}
  - {topics: ["seen/#"], format: json, action: report}
`})
	write(t, dir+"/temp.schema.json", temperature)
	return startProxyIn(t, dir)
}

// tryMessage runs mosquitto_pub with a message that may be too large for an
// argument.
func tryMessage(t *testing.T, p *proxy, message string, args ...string) result {
	t.Helper()
	return execute(t, message, "mosquitto_pub", append(append(args, "-s"), p.as("alice")...)...)
}

// Mosquitto's own clients are told by the Reason Code of their version, and what
// fails a check never arrives.
func TestPayload(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startChecked(t, b)
	monitor := b.monitor(t)
	large := `{"temp": 1, "note": "` + strings.Repeat("payload ", 30_000) + `"}` // in many TLS records
	for _, tt := range []struct {
		version, message string
		args             []string // beside -q 1
		told             string   // what mosquitto_pub says
	}{
		{"5", `{"temp": 151}`, []string{"-t", "data/1/temp"}, "Payload format invalid"},
		{"5", "hot", []string{"-t", "data/1/temp"}, "Payload format invalid"},
		{"5", large[1:], []string{"-t", "data/1/temp"}, "Payload format invalid"},
		{"5", large + strings.Repeat(" ", 100<<10), []string{"-t", "data/1/temp"}, "Quota exceeded"},
		{"5", "t\xe4g", []string{"-t", "text/a", "-D", "publish", "payload-format-indicator", "1"}, "Payload format invalid"},
		{"5", "larger than small", []string{"-t", "small/a"}, ""},
		{"5", "larger than small", []string{"-t", "small/a", "-q", "2"}, ""},
		{"311", "hot", []string{"-t", "data/1/temp"}, ""},
		{"311", "hot", []string{"-t", "data/1/temp", "-q", "2"}, ""},
		{"31", large[1:], []string{"-t", "data/1/temp", "-q", "2"}, ""},
	} {
		r := tryMessage(t, p, tt.message, append([]string{"-V", tt.version, "-q", "1"}, tt.args...)...)
		if told := r.stdout + r.stderr; r.code != 0 || tt.told == "" && told != "" || !strings.Contains(told, tt.told) {
			t.Errorf("%s %q %.50q: exit %d, %q; want %q", tt.version, tt.args, tt.message, r.code, told, tt.told)
		}
	}
	for _, version := range []string{"31", "311", "5"} {
		as := append([]string{"-V", version}, p.as("alice")...)
		if r := tryMessage(t, p, large, "-V", version, "-q", "2", "-t", "data/1/temp"); r.code != 0 {
			t.Errorf("exit %d: %s", r.code, r.stderr)
		}
		publish(t, as, "-q", "1", "-t", "text/a", "-m", "t\xe4g")
		publish(t, as, "-q", "0", "-t", "small/a", "-m", "small")
		publish(t, as, "-q", "1", "-t", "seen/a", "-m", "no JSON")
		publish(t, as, "-q", "2", "-t", "end/"+version, "-m", payload("end"))
		monitor.await(t, "message end/"+version)
	}
	want := strings.Fields(strings.Repeat("data/1/temp text/a small/a seen/a end ", 3))
	got := messages(monitor.out.String())
	for i, topic := range got {
		if strings.HasPrefix(topic, "end/") {
			got[i] = "end"
		}
	}
	equal(t, "messages", got, want)
	p.awaitEvent(t, event{"msg": "payload refused", "version": "3.1", "topic": "data/1/temp", "reason": "Payload format invalid"})
	p.awaitEvent(t, event{"msg": "payload dropped", "topic": "small/a"})
	p.awaitEvent(t, event{"msg": "payload reported", "topic": "seen/a"})
	seen := p.metrics(t)
	for outcome, n := range map[string]float64{"refused": 8, "dropped": 2, "reported": 3} {
		if got := seen[`mqttward_decisions_total{action="payload",outcome="`+outcome+`"}`]; got != n {
			t.Errorf("%v payloads %s, want %v", got, outcome, n)
		}
	}
	if strings.Contains(p.read(t, "audit.log"), "hot") {
		t.Error("a payload is in the audit log")
	}
}

// A Will is checked with the CONNECT that brings it.
func TestWillPayload(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startChecked(t, b)
	before := b.connections()
	c := connection("alice")
	c.WillMessage = &paho.WillMessage{Topic: "data/1/temp", QoS: 1, Payload: []byte(`{"temp": "hot"}`)}
	p.refused5(t, c, 0x99)
	for _, version := range []uint{v31, v311} {
		_, _, code := p.dial3(t, version, "alice", func(o *mqtt.ClientOptions) { o.SetWill("data/1/temp", "hot", 1, false) })
		if code != 5 {
			t.Errorf("MQTT level %d: return code %d, want 5", version, code)
		}
	}
	if b.connections() != before {
		t.Error("the broker was dialled")
	}
	c = connection("alice")
	c.WillMessage = &paho.WillMessage{Topic: "data/1/temp", QoS: 1, Payload: []byte(`{"temp": 21}`)}
	client, _ := p.connect5(t, c)
	_ = client.Disconnect(&paho.Disconnect{})
}

// A schema that changes is in force for sessions that run.
func TestSchemaReload(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startChecked(t, b)
	watch(t, p)
	client, _ := p.connect5(t, connection("alice"))
	hot := func() byte {
		return client.publish(t, &paho.Publish{Topic: "data/1/temp", QoS: 1, Payload: []byte(`{"temp": 151}`)})
	}
	if code := hot(); code != 0x99 {
		t.Errorf("reason code 0x%02X, want 0x99", code)
	}
	write(t, p.file("temp.schema.json"), strings.Replace(temperature, "150", "200", 1))
	eventually(t, "the new schema", func() bool { return hot() != 0x99 })
}
