package proxy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// dialogue is enhanced authentication with the method "test". The data "name"
// proves name in one step; "ask name" asks for more, and the rest of what is sent
// then must be "yes". A name "x until 1h" expires so long from now.
type dialogue struct{ asked string }

func (d *dialogue) Next(_ context.Context, data filters.Secret) ([]byte, *filters.Identity, error) {
	text := string(data)
	switch name, ask := strings.CutPrefix(text, "ask "); {
	case d.asked != "" && text == "yes":
		return []byte("welcome"), proved(d.asked), nil
	case d.asked != "" && text == "again":
		return []byte("really?"), nil, nil
	case d.asked != "":
		return nil, nil, &packets.Error{Code: packets.NotAuthorized, Msg: "wrong answer"}
	case ask:
		d.asked = name
		return []byte("sure?"), nil, nil
	case text == "down":
		return nil, nil, errors.New("no answer")
	case text == "":
		return nil, nil, &packets.Error{Code: packets.NotAuthorized, Msg: "no data"}
	}
	return nil, proved(text), nil
}

func proved(text string) *filters.Identity {
	name, lifetime, temporary := strings.Cut(text, " until ")
	id := &filters.Identity{Username: name, Method: "users"}
	if d, err := time.ParseDuration(lifetime); temporary && err == nil {
		id.Expires = time.Now().Add(d)
	}
	return id
}

// method names the Authentication Method of a CONNECT, with data.
func method(name, data string) func(*packets.Connect) {
	return mqtttest.Props(mqtttest.Text(packets.AuthenticationMethod, name), mqtttest.Text(packets.AuthenticationData, data))
}

// stripper takes out what stays at the proxy, as filters/rewrite does.
func stripper(p *proxy.Policy) {
	p.Up = append(filters.Chain{strip{}}, p.Up...)
}

type strip struct{}

func (strip) Filter(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type != packets.CONNECT {
		return filters.Pass()
	}
	c, err := p.Connect()
	if err != nil {
		return filters.Verdict{}
	}
	c.Props = c.Props.Without(packets.AuthenticationMethod, packets.AuthenticationData)
	c.ClientID = []byte(s.ClientID)
	return filters.Verdict{Action: filters.Rewrite, Packet: packets.AppendConnect(nil, p.Version, &c)}
}

const v5 = packets.V5

// enhanced brings a client through enhanced authentication with method "test" and
// data that prove a name at once.
func (h *house) enhanced(data string) (client, broker *mqtttest.Peer) {
	h.t.Helper()
	client = h.dial(v5)
	client.Send(mqtttest.Connect(v5, "device", method("test", data)))
	broker = h.answer(v5)
	broker.Expect("The broker hears nothing of it.", mqtttest.Connect(v5, "device"))
	broker.Send(mqtttest.Connack(v5, packets.Success))
	client.Expect("The CONNACK names the method.", connackWithMethod(""))
	return client, broker
}

func connackWithMethod(data string) []byte {
	ps := []packets.Properties{mqtttest.Text(packets.AuthenticationMethod, "test")}
	if data != "" {
		ps = append(ps, mqtttest.Text(packets.AuthenticationData, data))
	}
	return mqtttest.Connack(v5, packets.Success, ps...)
}

func TestEnhancedAuthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, stripper)
		defer h.close()
		client := h.dial(v5)
		client.Send(mqtttest.Connect(v5, "device", method("test", "ask bob")))
		client.Expect("The first challenge.", mqtttest.Auth(packets.ContinueAuthentication, "test", "sure?"))
		client.Send(mqtttest.Auth(packets.ContinueAuthentication, "test", "again"))
		client.Expect("The second.", mqtttest.Auth(packets.ContinueAuthentication, "test", "really?"))
		if n := h.dials.Load(); n != 0 {
			t.Errorf("%d dials before the client is known", n)
		}
		client.Send(mqtttest.Auth(packets.ContinueAuthentication, "test", "yes"))
		broker := h.answer(v5)
		broker.Expect("The broker hears nothing of it.", mqtttest.Connect(v5, "device"))
		broker.Send(mqtttest.Connack(v5, packets.Success))
		client.Expect("The last data come with the CONNACK.", connackWithMethod("welcome"))
		client.Send(mqtttest.Publish(v5, 0, 0, "data/x", "1"))
		broker.Expect("The session runs.", mqtttest.Publish(v5, 0, 0, "data/x", "1"))
		if lines := h.audit.all(); len(lines) == 0 || !strings.Contains(lines[0], "bob") {
			t.Errorf("audit: %v", lines)
		}
	})
}

func TestEnhancedAuthenticationRefused(t *testing.T) {
	ask := mqtttest.Connect(v5, "device", method("test", "ask bob"))
	next := func(data string) []byte { return mqtttest.Auth(packets.ContinueAuthentication, "test", data) }
	var endless [][]byte
	for range 8 {
		endless = append(endless, next("again"))
	}
	tests := []struct {
		name    string
		connect []byte
		then    [][]byte
		code    packets.ReasonCode
		end     string
	}{
		{"unknown method", mqtttest.Connect(v5, "device", method("other", "bob")), nil, packets.BadAuthenticationMethod, "bad_credentials"},
		{"no data", mqtttest.Connect(v5, "device", mqtttest.Props(mqtttest.Text(packets.AuthenticationMethod, "test"))), nil, packets.NotAuthorized, "bad_credentials"},
		{"source down", mqtttest.Connect(v5, "device", method("test", "down")), nil, packets.ServerUnavailable, "authn_unavailable"},
		{"wrong answer", ask, [][]byte{next("no")}, packets.NotAuthorized, "bad_credentials"},
		{"another method in AUTH", ask, [][]byte{mqtttest.Auth(packets.ContinueAuthentication, "other", "yes")}, packets.ProtocolError, "malformed_connect"},
		{"re-authentication too early", ask, [][]byte{mqtttest.Auth(packets.ReAuthenticate, "test", "yes")}, packets.ProtocolError, "malformed_connect"},
		{"another packet", ask, [][]byte{mqtttest.Publish(v5, 0, 0, "data/x", "1")}, packets.ProtocolError, "malformed_connect"},
		{"no end", ask, endless, packets.NotAuthorized, "bad_credentials"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, stripper)
				defer h.close()
				client := h.dial(v5)
				client.Send(tt.connect)
				for i, b := range tt.then {
					question := "sure?"
					if i > 0 {
						question = "really?"
					}
					client.Expect("A challenge.", next(question))
					client.Send(b)
				}
				client.Expect("The refusal says why.", mqtttest.Connack(v5, tt.code))
				client.ExpectClose("The connection ends.")
				h.expectEnd("refused " + tt.end)
				if n := h.dials.Load(); n != 0 {
					t.Errorf("%d dials", n)
				}
			})
		})
	}
}

// TestEnhancedAuthenticationStalls: a client that leaves a challenge open has the
// time of a CONNECT.
func TestEnhancedAuthenticationStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, stripper)
		defer h.close()
		client := h.dial(v5)
		client.Send(mqtttest.Connect(v5, "device", method("test", "ask bob")))
		client.Expect("A challenge.", mqtttest.Auth(packets.ContinueAuthentication, "test", "sure?"))
		time.Sleep(connectTimeout + time.Second)
		h.expectEnd("refused connect_timeout")
	})
}

func TestReauthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, stripper)
		defer h.close()
		client, broker := h.enhanced("bob until 1h")
		time.Sleep(50 * time.Minute)
		client.Send(mqtttest.Auth(packets.ReAuthenticate, "test", "ask bob until 1h"))
		client.Expect("A challenge.", mqtttest.Auth(packets.ContinueAuthentication, "test", "sure?"))
		client.Send(mqtttest.Publish(v5, 0, 0, "data/x", "1"))
		broker.Expect("The session goes on meanwhile.", mqtttest.Publish(v5, 0, 0, "data/x", "1"))
		client.Send(mqtttest.Auth(packets.ContinueAuthentication, "test", "yes"))
		client.Expect("It has succeeded.", mqtttest.Auth(packets.Success, "test", "welcome"))
		time.Sleep(50 * time.Minute) // beyond the first hour
		client.Send(mqtttest.Publish(v5, 0, 0, "data/x", "2"))
		broker.Expect("The session goes on.", mqtttest.Publish(v5, 0, 0, "data/x", "2"))
		time.Sleep(11 * time.Minute)
		client.Expect("The new identity has expired too.", mqtttest.Disconnect(v5, packets.NotAuthorized))
		broker.ExpectClose("Without DISCONNECT, so that the Will fires.")
		h.expectEnd("ended identity_expired")
	})
}

func TestReauthenticationRefused(t *testing.T) {
	auth := func(rc packets.ReasonCode, data string) []byte { return mqtttest.Auth(rc, "test", data) }
	tests := []struct {
		name string
		send []byte
		code packets.ReasonCode
		end  string
	}{
		{"failed", auth(packets.ReAuthenticate, ""), packets.NotAuthorized, "reauthentication_failed"},
		{"another user", auth(packets.ReAuthenticate, "eve"), packets.NotAuthorized, "reauthentication_failed"},
		{"source down", auth(packets.ReAuthenticate, "down"), packets.ServerUnavailable, "authn_unavailable"},
		{"nothing to continue", auth(packets.ContinueAuthentication, "bob"), packets.ProtocolError, "protocol_error"},
		{"another method", mqtttest.Auth(packets.ReAuthenticate, "other", "bob"), packets.ProtocolError, "protocol_error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, stripper)
				defer h.close()
				client, broker := h.enhanced("bob")
				client.Send(tt.send)
				client.Expect("The session ends.", mqtttest.Disconnect(v5, tt.code))
				client.ExpectClose("For good.")
				broker.ExpectClose("Without DISCONNECT, so that the Will fires.")
				h.expectEnd("ended " + tt.end)
			})
		})
	}
}

// TestRenewedRules: both directions are judged by the new identity.
func TestRenewedRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, stripper)
		defer h.close()
		client, broker := h.enhanced("bob")
		before := h.filters.Load()
		client.Send(mqtttest.Auth(packets.ReAuthenticate, "test", "bob until 1h"))
		client.Expect("It has succeeded.", packets.AppendAuth(nil, packets.Success, mqtttest.Text(packets.AuthenticationMethod, "test")))
		opened := h.opened.Load()
		client.Send(mqtttest.Publish(v5, 0, 0, "data/x", "1"))
		broker.Expect("Up.", mqtttest.Publish(v5, 0, 0, "data/x", "1"))
		broker.Send(mqtttest.Publish(v5, 0, 0, "data/y", "1"))
		client.Expect("Down.", mqtttest.Publish(v5, 0, 0, "data/y", "1"))
		if n := h.opened.Load() - opened; n != 2 || h.filters.Load() != before {
			t.Errorf("%d filters opened anew, %d before, %d now", n, before, h.filters.Load())
		}
	})
}

// TestAssignedIdentifier: a client without an identifier gets one that rules can go
// by, and is told in MQTT 5.0.
func TestAssignedIdentifier(t *testing.T) {
	for _, v := range []packets.Version{packets.V311, v5} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, stripper, func(p *proxy.Policy) {
					p.AssignID = func(s *filters.Session) (string, bool) { return "for-" + s.Identity.Username, true }
				})
				defer h.close()
				client := h.dial(v)
				client.Send(mqtttest.Connect(v, "", mqtttest.Login("bob", "x")))
				broker := h.answer(v)
				broker.Expect("The broker gets it.", mqtttest.Connect(v, "for-bob", mqtttest.Login("bob", "x")))
				broker.Send(mqtttest.Connack(v, packets.Success))
				var told []packets.Properties
				if v == v5 {
					told = append(told, mqtttest.Text(packets.AssignedClientIdentifier, "for-bob"))
				}
				client.Expect("The client is told.", mqtttest.Connack(v, packets.Success, told...))
			})
		})
	}
}

func TestNoIdentifierToAssign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(p *proxy.Policy) {
			p.AssignID = func(*filters.Session) (string, bool) { return "", false }
		})
		defer h.close()
		client := h.dial(v5)
		client.Send(mqtttest.Connect(v5, ""))
		client.Expect("It is refused.", mqtttest.Connack(v5, packets.ClientIdentifierNotValid))
		h.expectEnd("refused connect_denied")
	})
}

// TestSmallClient: what the client must know does not fit in what it takes.
func TestSmallClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, stripper, func(p *proxy.Policy) {
			p.AssignID = func(*filters.Session) (string, bool) { return strings.Repeat("x", 50), true }
		})
		defer h.close()
		client := h.dial(v5)
		client.Send(mqtttest.Connect(v5, "", mqtttest.Props(mqtttest.Uint32(packets.MaximumPacketSize, 20))))
		broker := h.answer(v5)
		broker.Send(mqtttest.Connack(v5, packets.Success))
		client.Expect("It is refused.", mqtttest.Connack(v5, packets.PacketTooLarge))
		h.expectEnd("refused connect_denied")
	})
}

// TestSilence: who is refused is told nothing.
func TestSilence(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, func(p *proxy.Policy) { p.Silent = true })
		defer h.close()
		client := h.dial(v)
		client.Send(mqtttest.Connect(v, "device", mqtttest.Login("bob", "wrong")))
		client.ExpectClose("Without a CONNACK.")
		h.expectEnd("refused bad_credentials")
	})
}
