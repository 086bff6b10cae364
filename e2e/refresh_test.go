package e2e

import (
	"path/filepath"
	"testing"
	"time"

	pahopackets "github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/golang-jwt/jwt/v5"
)

const tokenSecret = "a secret of the tests, of more than 32 bytes"

// mint makes a token of alice that expires after d and allows what acl says.
func mint(t *testing.T, d time.Duration, acl map[string][]string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "alice", "aud": "mqtt", "exp": time.Now().Add(d).Unix(), "acl": acl,
	})
	text, err := token.SignedString([]byte(tokenSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const oauthMethod = "OAUTH2-JWT"

// startTokens starts a proxy that takes tokens in Authentication Data.
func startTokens(t *testing.T, b *broker) *proxy {
	t.Helper()
	dir := proxyFolder(t, settings{broker: b.address(), authn: recipe(t, "jwt-refresh")})
	write(t, filepath.Join(dir, "token.secret"), tokenSecret+"\n")
	return startProxyIn(t, dir)
}

// withData is a CONNECT with a token in its Authentication Data, and a Will.
func withData(id, token string) *paho.Connect {
	return &paho.Connect{
		ClientID: id, CleanStart: true, KeepAlive: 60,
		Properties:  &paho.ConnectProperties{AuthMethod: oauthMethod, AuthData: []byte(token)},
		WillMessage: &paho.WillMessage{Topic: "gone", Payload: []byte(payload(id))},
	}
}

// connectToken connects a client whose AuthHandler is never asked: a token is one
// step.
func (p *proxy) connectToken(t *testing.T, id, token string) *client5 {
	t.Helper()
	c := p.dial5With(t, &scramClient{method: oauthMethod})
	ack, err := c.Connect(waiting(t), withData(id, token))
	if err != nil {
		t.Fatalf("%s: %v %+v", id, err, ack)
	}
	return c
}

// renew shows a new token and returns the Reason Code of the answer, an AUTH or a
// DISCONNECT.
func (c *client5) renew(t *testing.T, token string) byte {
	t.Helper()
	r, err := c.Authenticate(waiting(t), &paho.Auth{
		ReasonCode: pahopackets.AuthReauthenticate,
		Properties: &paho.AuthProperties{AuthMethod: oauthMethod, AuthData: []byte(token)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.ReasonCode
}

// A client gets a new token while its session runs: it goes on beyond the end of the
// old one, with the rights of the new one. Who does not ends with the token, and the
// Will fires.
func TestTokenRefresh(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startTokens(t, b)
	monitor := b.monitor(t)
	wills := map[string][]string{"pub": {"gone", "a"}}
	soon := 6 * time.Second
	kept := p.connectToken(t, "kept", mint(t, soon, wills))
	left := p.connectToken(t, "left", mint(t, soon, wills))
	send := func(topic string) byte {
		return kept.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload(topic))})
	}
	if rc := send("b"); rc != 0x87 {
		t.Errorf("PUBACK 0x%02X to what the token does not allow", rc)
	}
	if rc := kept.renew(t, mint(t, time.Hour, map[string][]string{"pub": {"b"}, "sub": {"b"}})); rc != 0 {
		t.Fatalf("AUTH 0x%02X", rc)
	}
	if rc := send("b"); rc != 0 {
		t.Errorf("PUBACK 0x%02X to what the new token allows", rc)
	}
	if rc := send("a"); rc != 0x87 {
		t.Errorf("PUBACK 0x%02X to what only the old token allowed", rc)
	}
	kept.subscribe(t, 1, "b")
	if rc := send("b"); rc != 0 {
		t.Errorf("PUBACK 0x%02X", rc)
	}
	if topic, _ := kept.next(t); topic != "b" {
		t.Errorf("delivered %s", topic)
	}
	if d := receive(t, "DISCONNECT of who has not renewed", left.goodbye); d.ReasonCode != 0x87 {
		t.Errorf("DISCONNECT 0x%02X", d.ReasonCode)
	}
	monitor.await(t, payload("left"))
	p.awaitEvent(t, event{"msg": "session ended", "client_id": "left", "end": "identity_expired"})
	if rc := send("b"); rc != 0 {
		t.Errorf("PUBACK 0x%02X after the end of the first token", rc)
	}
	// A token that is over ends the session at once.
	if rc := kept.renew(t, mint(t, -time.Minute, wills)); rc != 0x87 {
		t.Errorf("DISCONNECT 0x%02X to an old token", rc)
	}
	p.awaitEvent(t, event{"msg": "session ended", "client_id": "kept", "end": "reauthentication_failed"})
}
