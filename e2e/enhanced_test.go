package e2e

import (
	"path/filepath"
	"sync"
	"testing"

	pahopackets "github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/xdg-go/scram"
)

// scramClient answers AUTH packets by SCRAM, for Paho.
type scramClient struct {
	method string
	client *scram.Client

	mu           sync.Mutex
	conversation *scram.ClientConversation
	steps        int // AUTH packets that the server has sent
}

var scramHashes = map[string]scram.HashGeneratorFcn{"SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-512": scram.SHA512}

func newSCRAMClient(t *testing.T, method, user, secret string) *scramClient {
	t.Helper()
	client, err := scramHashes[method].NewClient(user, secret, "")
	if err != nil {
		t.Fatal(err)
	}
	return &scramClient{method: method, client: client}
}

// first begins a conversation.
func (s *scramClient) first(t *testing.T) []byte {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conversation = s.client.NewConversation()
	message, err := s.conversation.Step("")
	if err != nil {
		t.Fatal(err)
	}
	return []byte(message)
}

// step answers the server; what the client does not believe it answers with
// nothing.
func (s *scramClient) step(data []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps++
	answer, err := s.conversation.Step(string(data))
	if err != nil {
		return []byte("x")
	}
	return []byte(answer)
}

// Authenticate is called for each AUTH with Continue authentication.
func (s *scramClient) Authenticate(a *paho.Auth) *paho.Auth {
	return &paho.Auth{
		ReasonCode: pahopackets.AuthContinueAuthentication,
		Properties: &paho.AuthProperties{AuthMethod: s.method, AuthData: s.step(a.Properties.AuthData)},
	}
}

// Authenticated is called at the end.
func (s *scramClient) Authenticated() {}

// connectSCRAM connects a client by SCRAM.
func (p *proxy) connectSCRAM(t *testing.T, id string, s *scramClient) (*client5, *paho.Connack, error) {
	t.Helper()
	c := p.dial5With(t, s)
	ack, err := c.Connect(waiting(t), &paho.Connect{
		ClientID: id, CleanStart: true, KeepAlive: 60,
		Properties: &paho.ConnectProperties{AuthMethod: s.method, AuthData: s.first(t)},
	})
	return c, ack, err
}

func (s *scramClient) again(t *testing.T) *paho.Auth {
	t.Helper()
	return &paho.Auth{
		ReasonCode: pahopackets.AuthReauthenticate,
		Properties: &paho.AuthProperties{AuthMethod: s.method, AuthData: s.first(t)},
	}
}

// startSCRAM starts a proxy whose users have keys for SCRAM.
func startSCRAM(t *testing.T, b *broker) *proxy {
	t.Helper()
	dir := proxyFolder(t, settings{
		broker: b.address(), authn: recipe(t, "scram"),
		rules: []string{`{allow: [publish, subscribe], topics: ["${username}/#"]}`},
	})
	write(t, filepath.Join(dir, "users.passwd"), scramFile(t))
	return startProxyIn(t, dir)
}

// SCRAM with Paho against a broker that knows nothing of it.
func TestSCRAM(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startSCRAM(t, b)
	for user, method := range map[string]string{"alice": "SCRAM-SHA-256", "bob": "SCRAM-SHA-512"} {
		s := newSCRAMClient(t, method, user, password(user))
		c, ack, err := p.connectSCRAM(t, user+"-1", s)
		if err != nil {
			t.Fatalf("%s: %v %+v", user, err, ack)
		}
		if s.steps != 1 || ack.Properties.AuthMethod != method {
			t.Errorf("%s: %d steps, CONNACK %+v", user, s.steps, ack.Properties)
		}
		s.step(ack.Properties.AuthData) // the server has proved that it knows the keys
		if !s.conversation.Valid() {
			t.Errorf("%s: the server has no proof", user)
		}
		for topic, want := range map[string]byte{user + "/x": 0, "other/x": 0x87} {
			if rc := c.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload("x"))}); rc != want && !(want == 0 && rc == 0x10) {
				t.Errorf("%s: reason code 0x%02X for %s", user, rc, topic)
			}
		}
		// Another proof of the same user goes on; a wrong one ends the session.
		if r, err := c.Authenticate(waiting(t), s.again(t)); err != nil || !r.Success {
			t.Fatalf("%s: re-authentication: %+v, %v", user, r, err)
		}
		p.awaitEvent(t, event{"msg": "re-authenticated", "username": user})
		s.client, err = scramHashes[method].NewClient(user, "wrong", "")
		if err != nil {
			t.Fatal(err)
		}
		if r, err := c.Authenticate(waiting(t), s.again(t)); err == nil && r.Success {
			t.Errorf("%s: re-authenticated with a wrong password", user)
		}
		p.awaitEvent(t, event{"msg": "session ended", "end": "reauthentication_failed", "username": user})
	}
	b.out.await(t, " as alice-1 (p5, c1, k60).", 1) // no user name, and nothing of AUTH
}

func TestSCRAMRefused(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startSCRAM(t, b)
	for _, test := range []struct{ method, user, secret string }{
		{"SCRAM-SHA-256", "alice", "wrong"},
		{"SCRAM-SHA-512", "alice", password("alice")}, // has no keys for it
		{"SCRAM-SHA-256", "mallory", password("alice")},
	} {
		s := newSCRAMClient(t, test.method, test.user, test.secret)
		_, ack, err := p.connectSCRAM(t, "refused-"+test.user, s)
		if err == nil || ack == nil || ack.ReasonCode != 0x86 || s.steps != 1 {
			t.Errorf("%+v: %v %+v after %d steps", test, err, ack, s.steps)
		}
		p.awaitEvent(t, event{"msg": "connection refused", "client_id": "refused-" + test.user, "end": "bad_credentials", "reason": "Bad User Name or Password"})
	}
	if b.connections() != 0 {
		t.Error("the broker was dialled")
	}
}

// A user who is gone from the file is disconnected by the reload.
func TestSCRAMRevoked(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startSCRAM(t, b)
	c, ack, err := p.connectSCRAM(t, "alice-1", newSCRAMClient(t, "SCRAM-SHA-256", "alice", password("alice")))
	if err != nil {
		t.Fatalf("%v %+v", err, ack)
	}
	write(t, p.file("users.passwd"), "")
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, "DISCONNECT", c.goodbye); d.ReasonCode != 0x87 {
		t.Errorf("DISCONNECT 0x%02X", d.ReasonCode)
	}
}
