package e2e

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttward/mqttward/internal/pki"
)

// Rules, limits and certificates are replaced again and again under traffic. No
// message is lost, none comes twice, and nobody is disconnected.
func TestReloadUnderTraffic(t *testing.T) {
	t.Parallel()
	const reloads, between = 20, 10
	b := startBroker(t)
	s := settings{broker: b.address(), limits: "{publish_rate: {rate: 0}}"}
	p := startProxy(t, s)
	subscriber, _ := p.connect3(t, v311, "bob")
	subscriber.subscribe(t, "traffic/+")
	publisher, _ := p.connect5(t, connection("alice"))

	stop, published := make(chan struct{}), make(chan int, 1)
	go func() { published <- publisher.stream(t.Context(), stop) }()
	got := 0
	take := func() {
		t.Helper()
		if m := receive(t, "message", subscriber.inbox); m.Topic() != "traffic/"+strconv.Itoa(got) || m.Duplicate() {
			t.Fatalf("message %d is %s", got, m.Topic())
		}
		got++
	}
	for i := range reloads {
		for range between {
			take()
		}
		s.rules = []string{
			fmt.Sprintf(`{name: rule of reload %d, deny: [publish], topics: ["%d"]}`, i, i),
			`{allow: [publish, subscribe], topics: ["#"]}`,
		}
		s.limits = fmt.Sprintf("{publish_rate: {rate: %d, burst: 1000}, max_packet_size: %dKiB}", i%2*100_000, 256+i)
		p.configure(t, s)
		issue(t, authority(), p.dir, "server", pki.Options{CN: "reload " + strconv.Itoa(i), IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
		if cn := p.certificate(t); cn != "reload "+strconv.Itoa(i) {
			t.Fatalf("reload %d: the certificate served is of %s", i, cn)
		}
	}
	close(stop)
	for total := receive(t, "end of the publisher", published); got < total; {
		take()
	}
	if got < reloads*between {
		t.Errorf("the publisher has ended after %d messages", got)
	}
	m := p.metrics(t)
	if ended := m.since(nil, "mqttward_sessions_ended_total"); len(ended) > 0 || !subscriber.IsConnectionOpen() {
		t.Errorf("sessions ended: %v", ended)
	}
	if n := m[`mqttward_reloads_total{outcome="success"}`]; n != reloads {
		t.Errorf("%v reloads, want %d", n, reloads)
	}
}

// stream publishes to traffic/0, traffic/1 and so on until stop, or until one
// is not acknowledged. It returns how many were.
func (c *client5) stream(ctx context.Context, stop <-chan struct{}) int {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return n
		default:
		}
		number := strconv.Itoa(n)
		ack, err := c.Publish(ctx, &paho.Publish{Topic: "traffic/" + number, QoS: 1, Payload: []byte(payload(number))})
		if err != nil || ack.ReasonCode != 0 {
			return n
		}
	}
}

// Rules withdrawn and given back hold for the session that runs.
func TestReloadedRules(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	allowed := settings{broker: b.address()}
	p := startProxy(t, allowed)
	c, _ := p.connect5(t, connection("alice"))
	denied := allowed
	denied.rules = []string{`{name: withdrawn, deny: [publish, subscribe], topics: ["a/#"]}`, `{allow: [publish, subscribe], topics: ["#"]}`}
	for _, step := range []struct {
		settings           settings
		publish, subscribe byte
	}{
		{allowed, 0, 1}, {denied, 0x87, 0x87}, {allowed, 0, 1}, {denied, 0x87, 0x87},
	} {
		p.configure(t, step.settings)
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
		if code := c.publish(t, &paho.Publish{Topic: "a/b", QoS: 1, Payload: []byte(payload("x"))}); code != step.publish {
			t.Errorf("publish: reason code 0x%02X, want 0x%02X", code, step.publish)
		}
		equal(t, "reason codes", c.subscribe(t, 1, "a/+"), []byte{step.subscribe})
	}
}

// What cannot be loaded changes nothing, and is seen in the metrics and the
// log.
func TestBrokenReload(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	good := settings{broker: b.address(), rules: []string{`{allow: [publish], topics: ["ok"]}`}}
	p := startProxy(t, good)
	key := p.read(t, "server.key")
	c, _ := p.connect5(t, connection("alice"))
	for i, test := range []struct {
		name, file, text, want string
	}{
		{"not YAML", "mqttward.yaml", "listeners: [\n", "is not YAML"},
		{"unknown key", "mqttward.yaml", strings.Replace(good.yaml(), "limits:", "limit:", 1), "did you mean"},
		{"bad rule", "mqttward.yaml", strings.Replace(good.yaml(), `"ok"`, `"a/#/b"`, 1), "authz.rules[0]"},
		{"half a certificate", "server.crt", "-----BEGIN CERTIFICATE-----\n", "listeners[0].tls.certificates[0]"},
		{"another key", "server.key", anotherKey(t), "listeners[0].tls.certificates[0]"},
		{"broken password file", "users.passwd", "alice:$6$nothing\n", "authn[0].file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			whole := p.read(t, test.file)
			write(t, p.file(test.file), test.text)
			err := p.Reload()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Reload: %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), strings.Split(key, "\n")[1]) {
				t.Error("the error has the key in it")
			}
			for topic, code := range map[string]byte{"ok": 0, "other": 0x87} {
				if got := c.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload("x"))}); got != code {
					t.Errorf("%s: reason code 0x%02X, want 0x%02X", topic, got, code)
				}
			}
			publish(t, p.as("bob"), "-t", "ok", "-q", "1", "-m", payload("x")) // new clients too
			m := p.metrics(t)
			if m[`mqttward_reloads_total{outcome="failure"}`] != float64(i+1) || m["mqttward_last_reload_success"] != 0 {
				t.Errorf("failures %v, success %v", m[`mqttward_reloads_total{outcome="failure"}`], m["mqttward_last_reload_success"])
			}
			write(t, p.file(test.file), whole)
		})
	}
	said := `"level":"ERROR","msg":"reload failed: the configuration stays as it was","error":"` + p.file("mqttward.yaml") + ":"
	if n := strings.Count(logged(t), said); n != 6 {
		t.Errorf("the log has %d errors, want 6", n)
	}
	if err := p.Reload(); err != nil {
		t.Error(err)
	}
	if m := p.metrics(t); m["mqttward_last_reload_success"] != 1 {
		t.Error("the last reload has succeeded, and the metric says no")
	}
}

func anotherKey(t *testing.T) string {
	t.Helper()
	_, key, err := authority().Issue(pki.Options{CN: "another"})
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

// A listener that is new opens, one that is gone closes, and the sessions of
// both go on.
func TestReloadedListeners(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := settings{broker: b.address()}
	p := startProxy(t, s)
	old := p.address()
	c, _ := p.connect5(t, connection("alice"))
	s.listeners = `[{name: plain, address: "127.0.0.1:` + freePort(t) + `"}]`
	p.configure(t, s)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	// A program that another test starts may inherit the socket for a moment.
	eventually(t, "the old listener is closed", func() bool {
		conn, err := net.Dial("tcp", old)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	host, port, _ := net.SplitHostPort(p.address())
	publish(t, []string{"-h", host, "-p", port, "-u", "bob", "-P", password("bob")}, "-q", "1", "-t", "a", "-m", payload("new"))
	if code := c.publish(t, &paho.Publish{Topic: "a", QoS: 1, Payload: []byte(payload("old"))}); code != 0 {
		t.Errorf("the old session: reason code 0x%02X", code)
	}
	// The session goes on, and under the rules of each reload.
	for i, rule := range []string{`{deny: [publish], topics: ["a"]}`, `{allow: [publish], topics: ["a"]}`, `{deny: [publish], topics: ["a"]}`} {
		s.rules = []string{rule}
		p.configure(t, s)
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
		want := byte(i+1) % 2 * 0x87
		if code := c.publish(t, &paho.Publish{Topic: "a", QoS: 1, Payload: []byte(payload("old"))}); code != want {
			t.Errorf("rule %s: the old session gets 0x%02X, want 0x%02X", rule, code, want)
		}
	}
}
