package e2e

import (
	"testing"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// alice and bob are Edge Nodes of group G1, carol is their Host Application.
func sparkplugSettings(broker string) settings {
	return settings{broker: broker, rules: []string{
		`{name: edge nodes, users: [alice, bob], role: sparkplug_edge, with: {group: G1, edge: "${username}", host: scada}}`,
		`{name: scada, users: [carol], role: sparkplug_host, with: {host: scada}}`,
	}}
}

// withWill is the CONNECT of a user with a Will.
func withWill(user, topic string, qos byte, retain bool) *paho.Connect {
	c := connection(user)
	c.WillMessage = &paho.WillMessage{Topic: topic, QoS: qos, Retain: retain, Payload: []byte(payload("death of " + user))}
	return c
}

// quickly publishes with QoS 0, which nobody answers.
func (c *client5) quickly(t *testing.T, topic string) {
	t.Helper()
	if _, err := c.Publish(waiting(t), &paho.Publish{Topic: topic, Payload: []byte(payload(topic))}); err != nil {
		t.Fatal(err)
	}
}

// receives takes messages and wants them to be on these topics, in order.
func (c *client5) receives(t *testing.T, topics ...string) {
	t.Helper()
	for _, want := range topics {
		if got, _ := c.next(t); got != want {
			t.Errorf("received %s, want %s", got, want)
		}
	}
}

func TestSparkplug(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, sparkplugSettings(b.address()))
	state := "spBv1.0/STATE/scada"
	host, _ := p.connect5(t, withWill("carol", state, 1, true))
	equal(t, "subscriptions of the host", host.subscribe(t, 1, "spBv1.0/#"), []byte{1})
	if code := host.publish(t, &paho.Publish{Topic: state, QoS: 1, Retain: true, Payload: []byte("online")}); code != 0 {
		t.Fatalf("STATE: %#x", code)
	}
	host.receives(t, state)

	edge, _ := p.connect5(t, withWill("alice", "spBv1.0/G1/NDEATH/alice", 1, false))
	other, _ := p.connect5(t, withWill("bob", "spBv1.0/G1/NDEATH/bob", 1, false))
	equal(t, "subscriptions of the edge node", edge.subscribe(t, 1, "spBv1.0/G1/NCMD/alice/#", "spBv1.0/G1/DCMD/alice/#", state,
		"spBv1.0/G1/NCMD/bob", "spBv1.0/#"), []byte{1, 1, 1, notAuthorized, notAuthorized})
	edge.receives(t, state)
	equal(t, "subscriptions of the other", other.subscribe(t, 1, "spBv1.0/G1/NCMD/bob"), []byte{1})

	for _, topic := range []string{"spBv1.0/G1/NBIRTH/bob", "spBv1.0/G1/NCMD/bob", "spBv1.0/G1/NBIRTH/alice/D1", "spBv1.0/G1/DDATA/alice", "spBv1.0/G1/NBIRTH/alice"} {
		if code := edge.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("x")}); code != notAuthorized {
			t.Errorf("%s with QoS 1: %#x", topic, code)
		}
		if topic != "spBv1.0/G1/NBIRTH/alice" {
			edge.quickly(t, topic) // dropped
		}
	}
	edge.quickly(t, "spBv1.0/G1/NBIRTH/alice")
	edge.quickly(t, "spBv1.0/G1/DBIRTH/alice/D1")
	host.receives(t, "spBv1.0/G1/NBIRTH/alice", "spBv1.0/G1/DBIRTH/alice/D1")

	host.quickly(t, "spBv1.0/G1/NBIRTH/alice") // dropped
	for _, command := range []string{"spBv1.0/G1/NCMD/alice", "spBv1.0/G1/DCMD/alice/D1", "spBv1.0/G1/NCMD/bob"} {
		host.quickly(t, command)
		host.receives(t, command)
	}
	edge.receives(t, "spBv1.0/G1/NCMD/alice", "spBv1.0/G1/DCMD/alice/D1")
	other.receives(t, "spBv1.0/G1/NCMD/bob")

	_ = edge.conn.NetConn().Close() // it vanishes
	host.receives(t, "spBv1.0/G1/NDEATH/alice")
}

// Who has another Will than the role demands, or none, never gets to the broker.
func TestSparkplugWills(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, sparkplugSettings(b.address()))
	for _, c := range []*paho.Connect{
		connection("alice"),
		withWill("alice", "spBv1.0/G1/NDEATH/bob", 1, false),
		withWill("alice", "spBv1.0/G2/NDEATH/alice", 1, false),
		withWill("alice", "spBv1.0/G1/NDEATH/alice", 0, false),
		withWill("alice", "spBv1.0/G1/NDEATH/alice", 1, true),
		withWill("alice", "spBv1.0/G1/NBIRTH/alice", 0, false),
		withWill("alice", "spBv1.0/STATE/scada", 1, true),
		connection("carol"),
		withWill("carol", "spBv1.0/STATE/scada", 1, false),
		withWill("carol", "spBv1.0/G1/NDEATH/alice", 1, false),
	} {
		p.refused5(t, c, notAuthorized)
	}
	for _, version := range []uint{v31, v311} {
		if _, _, code := p.dial3(t, version, "alice"); code != 5 {
			t.Errorf("without a Will in version %d: return code %d", version, code)
		}
		if _, _, code := p.dial3(t, version, "alice", func(o *mqtt.ClientOptions) { o.SetWill("spBv1.0/G1/NDEATH/bob", "x", 1, false) }); code != 5 {
			t.Errorf("with another Will in version %d: return code %d", version, code)
		}
	}
	if n := b.connections(); n != 0 {
		t.Errorf("the broker has seen %d connections", n)
	}
	for _, version := range []uint{v31, v311} {
		p.connect3(t, version, "alice", func(o *mqtt.ClientOptions) { o.SetWill("spBv1.0/G1/NDEATH/alice", "x", 1, false) })
	}
}
