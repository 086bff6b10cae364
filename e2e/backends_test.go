package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// quiet brokers write of connections alone, and give clients all that is theirs.
var quiet = []string{"max_inflight_messages 0", "log_type notice", "log_type information", "log_type error"}

// startBrokers starts brokers for one backend.
func startBrokers(t *testing.T, n int, more ...string) []*broker {
	t.Helper()
	var list []*broker
	for range n {
		list = append(list, startBroker(t, more...))
	}
	return list
}

// backendOf is a backend of servers, as YAML, with more keys behind a comma.
func backendOf(more string, addresses ...string) string {
	var servers []string
	for _, a := range addresses {
		servers = append(servers, fmt.Sprintf("{address: %q}", a))
	}
	return fmt.Sprintf("[{name: broker, servers: [%s]%s}]", strings.Join(servers, ", "), more)
}

func addresses(brokers []*broker) []string {
	var list []string
	for _, b := range brokers {
		list = append(list, b.address())
	}
	return list
}

// come opens a session of alice's.
func (p *proxy) come(t *testing.T, clientID string) *client5 {
	t.Helper()
	c := connection("alice")
	c.ClientID = clientID
	client, _ := p.connect5(t, c)
	return client
}

// echoes checks that the session of a client works.
func (c *client5) echoes(t *testing.T, topic string) {
	t.Helper()
	c.subscribe(t, 1, topic)
	if code := c.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload(topic))}); code != 0 {
		t.Errorf("%s: reason code 0x%02X", topic, code)
	}
	if got, body := c.next(t); got != topic || body != payload(topic) {
		t.Errorf("%s: got %s %s", topic, got, body)
	}
}

// awaitServer waits until a server is up (1) or not (0).
func (p *proxy) awaitServer(t *testing.T, server string, up float64) {
	t.Helper()
	p.awaitMetric(t, fmt.Sprintf("mqttward_backend_server_up{backend=%q,server=%q}", "broker", server), up)
}

// clientsOf returns the names of n clients whose sessions are at a broker, by their
// client identifiers. There are no sessions of theirs when it returns.
func (p *proxy) clientsOf(t *testing.T, b *broker, n int) []string {
	t.Helper()
	var ids []string
	for i := 0; len(ids) < n; i++ {
		if i > 20*n+100 {
			t.Fatalf("%d of %d clients are at %s", len(ids), i, b.address())
		}
		id := fmt.Sprintf("client-%d", i)
		c := p.come(t, id)
		c.echoes(t, "found/"+id) // by now the broker has written of it
		_ = c.Disconnect(&paho.Disconnect{})
		if b.sessions(id) > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// reload puts other settings in force.
func (p *proxy) reload(t *testing.T, s settings) {
	t.Helper()
	p.configure(t, s)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
}
