package e2e

import (
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// The codes of a refused client identifier in MQTT 5.0 and before.
const (
	notValid5 = 0x85
	notValid3 = 2
)

func withID(id string) func(*mqtt.ClientOptions) {
	return func(o *mqtt.ClientOptions) { o.SetClientID(id) }
}

// Client identifiers are bound to users by templates.
func TestClientIDTemplates(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), more: `client_id: {match: ["${username}", "${username}-*"]}`})
	for id, allowed := range map[string]bool{
		"alice": true, "alice-7": true, "alice-": true,
		"bob": false, "bob-7": false, "alice7": false, "x-alice-7": false,
	} {
		c := connection("alice")
		c.ClientID = id
		if allowed {
			client, _ := p.connect5(t, c)
			_ = client.Disconnect(&paho.Disconnect{})
			old, _ := p.connect3(t, v311, "alice", withID(id))
			old.Disconnect(0)
			continue
		}
		p.refused5(t, c, notValid5)
		if _, _, code := p.dial3(t, v311, "alice", withID(id)); code != notValid3 {
			t.Errorf("%s: return code %d", id, code)
		}
		p.awaitEvent(t, event{"msg": "connection refused", "client_id": id, "username": "alice", "end": "connect_denied"})
	}
	if strings.Contains(b.out.String(), "bob") {
		t.Error("the broker has heard of a foreign identifier")
	}
}

// An identifier belongs to the user who came first, for as long as the session
// lives.
func TestClientIDOwner(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	first, _ := p.connect5(t, lasting("alice"))
	stolen := connection("bob")
	stolen.ClientID = "alice"
	p.refused5(t, stolen, notValid5)
	if _, _, code := p.dial3(t, v311, "bob", withID("alice")); code != notValid3 {
		t.Errorf("return code %d", code)
	}
	p.awaitEvent(t, event{"msg": "connection refused", "client_id": "alice", "username": "bob", "end": "connect_denied"})
	_ = first.Disconnect(&paho.Disconnect{})
	b.out.await(t, "Client alice disconnected.", 1)
	p.refused5(t, stolen, notValid5) // the session lives on
	gone := connection("alice")
	last, _ := p.connect5(t, gone) // Clean Start, and no session after it
	_ = last.Disconnect(&paho.Disconnect{})
	b.out.await(t, "Client alice disconnected.", 2)
	eventually(t, "the identifier is free", func() bool {
		ack, err := p.dial5(t).Connect(waiting(t), stolen)
		return err == nil && ack.ReasonCode == 0
	})
}

// A client without an identifier gets one that rules can go by; the broker knows
// it by that.
func TestOwnClientID(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{
		broker: b.address(),
		rules:  []string{`{allow: [publish, subscribe], topics: ["of/${clientid}/#"]}`},
		more:   `client_id: {match: ["${username}-*"]}`,
	})
	c := connection("alice")
	c.ClientID = ""
	client, ack := p.connect5(t, c)
	id := ack.Properties.AssignedClientID
	if !strings.HasPrefix(id, "alice-") || len(id) < len("alice-")+20 {
		t.Fatalf("assigned %q", id)
	}
	b.out.await(t, "as "+id+" ", 1)
	if rc := client.publish(t, &paho.Publish{Topic: "of/" + id + "/x", QoS: 1, Payload: []byte(payload("own"))}); rc > 0x10 {
		t.Errorf("PUBACK 0x%02X to the topic of the identifier", rc)
	}
	if rc := client.publish(t, &paho.Publish{Topic: "of/alice-/x", QoS: 1, Payload: []byte(payload("other"))}); rc != 0x87 {
		t.Errorf("PUBACK 0x%02X to another's topic", rc)
	}
	publish(t, p.as("bob"), "-V", "311", "-q", "1", "-t", "of/x", "-m", payload("without an identifier"))
	b.out.await(t, "as bob-", 1)
}
