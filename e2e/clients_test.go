package e2e

import (
	"context"
	"crypto/tls"
	"slices"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// client5 is a client of MQTT 5.0.
type client5 struct {
	*paho.Client
	conn    *tls.Conn
	inbox   chan *paho.Publish
	goodbye chan *paho.Disconnect // from the other side
	lost    chan error
}

// inboxSize is more than what any test sends to one client.
const inboxSize = 10_000

// dial5 opens a connection for a client of MQTT 5.0.
func (p *proxy) dial5(t *testing.T) *client5 {
	t.Helper()
	return p.dial5With(t, nil)
}

// dial5With is dial5 for a client that answers AUTH packets.
func (p *proxy) dial5With(t *testing.T, auth paho.Auther) *client5 {
	t.Helper()
	return dialed5(t, p.address(), p.tlsConfig(), auth)
}

// dialed5 is dial5 at an address.
func dialed5(t *testing.T, address string, config *tls.Config, auth paho.Auther) *client5 {
	t.Helper()
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	c := &client5{conn: conn, inbox: make(chan *paho.Publish, inboxSize), goodbye: make(chan *paho.Disconnect, 1), lost: make(chan error, 10)}
	c.Client = paho.NewClient(paho.ClientConfig{
		Conn:          packets.NewThreadSafeConn(conn),
		AuthHandler:   auth,
		PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			c.inbox <- r.Packet
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) { c.goodbye <- d },
		OnClientError:      func(err error) { c.lost <- err },
	})
	t.Cleanup(func() { _ = conn.Close() })
	return c
}

// connection is the CONNECT of a user, whose client id is its name.
func connection(user string) *paho.Connect {
	return &paho.Connect{
		ClientID: user, CleanStart: true, KeepAlive: 60,
		UsernameFlag: true, Username: user, PasswordFlag: true, Password: []byte(password(user)),
	}
}

// connect5 connects a client of MQTT 5.0, which must succeed.
func (p *proxy) connect5(t *testing.T, c *paho.Connect) (*client5, *paho.Connack) {
	t.Helper()
	client := p.dial5(t)
	ack, err := client.Connect(waiting(t), c)
	if err != nil {
		t.Fatalf("CONNECT of %s: %v %+v", c.Username, err, ack)
	}
	return client, ack
}

// refused5 connects a client of MQTT 5.0, which must be refused with a code.
func (p *proxy) refused5(t *testing.T, c *paho.Connect, code byte) {
	t.Helper()
	switch ack, err := p.dial5(t).Connect(waiting(t), c); {
	case err == nil:
		t.Errorf("CONNECT of %s accepted", c.ClientID)
	case ack == nil:
		t.Errorf("CONNECT of %s: %v, want a CONNACK with 0x%02X", c.ClientID, err, code)
	case ack.ReasonCode != code:
		t.Errorf("CONNECT of %s: reason code 0x%02X, want 0x%02X", c.ClientID, ack.ReasonCode, code)
	}
}

// waiting is a context for one step of a test.
func waiting(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// subscribe subscribes to filters at one QoS and returns the reason codes.
func (c *client5) subscribe(t *testing.T, qos byte, filters ...string) []byte {
	t.Helper()
	s := &paho.Subscribe{}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: qos})
	}
	ack, err := c.Subscribe(waiting(t), s)
	if ack == nil {
		t.Fatal(err) // a refusal is an error too, with a SUBACK
	}
	return ack.Reasons
}

// publish publishes and returns the reason code, zero for each that is a
// success: whether somebody subscribes is not the matter here.
func (c *client5) publish(t *testing.T, p *paho.Publish) byte {
	t.Helper()
	ack, err := c.Publish(waiting(t), p)
	switch {
	case ack == nil:
		t.Fatal(err)
	case ack.ReasonCode < 0x80:
		return 0
	}
	return ack.ReasonCode
}

// next returns topic and payload of the next message.
func (c *client5) next(t *testing.T) (topic, body string) {
	t.Helper()
	m := receive(t, "message", c.inbox)
	return m.Topic, string(m.Payload)
}

// client3 is a client of MQTT 3.1 or 3.1.1.
type client3 struct {
	mqtt.Client
	inbox chan mqtt.Message
	lost  chan error
}

// The versions of client3, as CONNECT has them.
const (
	v31  = 3
	v311 = 4
)

// dial3 connects a client, whose id is the user's name. The code is that of
// the CONNACK, or above 5.
func (p *proxy) dial3(t *testing.T, version uint, user string, change ...func(*mqtt.ClientOptions)) (c *client3, sessionPresent bool, code byte) {
	t.Helper()
	c = &client3{inbox: make(chan mqtt.Message, inboxSize), lost: make(chan error, 1)}
	o := mqtt.NewClientOptions().
		AddBroker("ssl://" + p.address()).SetTLSConfig(p.tlsConfig()).
		SetProtocolVersion(version).SetClientID(user).SetUsername(user).SetPassword(password(user)).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(patience).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.inbox <- m }).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.lost <- err })
	for _, f := range change {
		f(o)
	}
	c.Client = mqtt.NewClient(o)
	token := c.Connect()
	if !token.WaitTimeout(patience) {
		t.Fatal("no CONNACK")
	}
	connect, ok := token.(*mqtt.ConnectToken)
	if !ok {
		t.Fatalf("a %T", token)
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c, connect.SessionPresent(), connect.ReturnCode()
}

// connect3 is dial3 that must succeed.
func (p *proxy) connect3(t *testing.T, version uint, user string, change ...func(*mqtt.ClientOptions)) (c *client3, sessionPresent bool) {
	t.Helper()
	c, sessionPresent, code := p.dial3(t, version, user, change...)
	if code != 0 || !c.IsConnectionOpen() {
		t.Fatalf("CONNECT of %s: return code %d", user, code)
	}
	return c, sessionPresent
}

// subscribe subscribes to filters at QoS 1 and returns the return codes.
func (c *client3) subscribe(t *testing.T, filters ...string) []byte {
	t.Helper()
	wanted := map[string]byte{}
	for _, f := range filters {
		wanted[f] = 1
	}
	token := c.SubscribeMultiple(wanted, nil)
	if !token.WaitTimeout(patience) {
		t.Fatal("no SUBACK")
	}
	subscribed, ok := token.(*mqtt.SubscribeToken)
	if !ok {
		t.Fatalf("a %T", token)
	}
	got := subscribed.Result()
	codes := make([]byte, 0, len(filters))
	for _, f := range filters {
		codes = append(codes, got[f])
	}
	return codes
}

// publish publishes and waits for the last acknowledgement.
func (c *client3) publish(t *testing.T, topic string, qos byte, body string) {
	t.Helper()
	token := c.Publish(topic, qos, false, body)
	if !token.WaitTimeout(patience) {
		t.Fatalf("no acknowledgement of %s at QoS %d", topic, qos)
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}

// equal compares two lists.
func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
