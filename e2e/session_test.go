package e2e

import (
	"strconv"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// lasting is a CONNECT whose session outlives its connection.
func lasting(user string) *paho.Connect {
	c := connection(user)
	c.CleanStart = false
	expiry := uint32(3600)
	c.Properties = &paho.ConnectProperties{SessionExpiryInterval: &expiry}
	return c
}

// The broker's sessions are the clients' sessions: subscriptions and messages
// wait for who comes back.
func TestSessionResume(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	const messages = 5
	queue := func(t *testing.T) {
		for i := range messages {
			publish(t, b.direct(), "-V", "5", "-q", strconv.Itoa(1+i%2), "-t", "queue", "-m", payload(strconv.Itoa(i)))
		}
	}
	t.Run("5", func(t *testing.T) {
		c, ack := p.connect5(t, lasting("alice"))
		if ack.SessionPresent {
			t.Fatal("a session before the first")
		}
		c.subscribe(t, 2, "queue")
		_ = c.Disconnect(&paho.Disconnect{})
		b.out.await(t, "Client alice disconnected.", 1)
		queue(t)
		c, ack = p.connect5(t, lasting("alice"))
		if !ack.SessionPresent {
			t.Error("Session Present is 0")
		}
		for i := range messages {
			if _, body := c.next(t); body != payload(strconv.Itoa(i)) {
				t.Errorf("message %d is %q", i, body)
			}
		}
		_ = c.Disconnect(&paho.Disconnect{})
		if _, ack := p.connect5(t, connection("alice")); ack.SessionPresent {
			t.Error("Clean Start has kept the session")
		}
	})
	t.Run("3.1.1", func(t *testing.T) {
		keep := func(o *mqtt.ClientOptions) { o.SetCleanSession(false) }
		c, present := p.connect3(t, v311, "bob", keep)
		if present {
			t.Fatal("a session before the first")
		}
		c.subscribe(t, "queue")
		c.Disconnect(1000) // ms at most, for the DISCONNECT
		b.out.await(t, "Client bob disconnected.", 1)
		queue(t)
		c, present = p.connect3(t, v311, "bob", keep)
		if !present {
			t.Error("Session Present is 0")
		}
		for i := range messages {
			if m := receive(t, "message", c.inbox); string(m.Payload()) != payload(strconv.Itoa(i)) {
				t.Errorf("message %d is %q", i, m.Payload())
			}
		}
	})
	for _, version := range []string{"31", "311"} {
		t.Run("mosquitto_sub "+version, func(t *testing.T) {
			args := []string{"-c", "-V", version, "-i", "sub" + version, "-q", "1", "-t", "queue"}
			s := subscribe(t, p.as("carol"), args...)
			s.signal(t, syscall.SIGKILL)
			s.exit(t)
			b.out.await(t, "Client sub"+version+" closed its connection.", 1)
			queue(t)
			s = subscribe(t, p.as("carol"), args...)
			for i := range messages {
				s.await(t, line("queue", 1, false, payload(strconv.Itoa(i))))
			}
		})
	}
}

// Who comes a second time takes the place of the first.
func TestTakeover(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	first, _ := p.connect5(t, connection("alice"))
	second, _ := p.connect5(t, connection("alice"))
	receive(t, "end of the first", first.Done()) // Mosquitto 2.0.11 sends no DISCONNECT here
	equal(t, "reason codes", second.subscribe(t, 1, "a"), []byte{1})
}

// Who has no client identifier is given one, and judged by it.
func TestAssignedClientID(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), rules: []string{
		`{client_ids: ["auto-*"], allow: [publish], topics: ["${clientid}/#"]}`,
	}})
	nameless := connection("alice")
	nameless.ClientID = ""
	c, ack := p.connect5(t, nameless)
	id := ack.Properties.AssignedClientID
	if id == "" {
		t.Fatal("no Assigned Client Identifier")
	}
	for topic, want := range map[string]byte{id + "/a": 0, "auto-other/a": 0x87} {
		if code := c.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload("x"))}); code != want {
			t.Errorf("%s: reason code 0x%02X, want 0x%02X", topic, code, want)
		}
	}
	p.awaitEvent(t, event{"msg": "publish denied", "client_id": id, "topic": "auto-other/a"})
}
