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
// then must be "yes". A name "x until 1h" expires so long from now,
// one "x of y" is of the tenant y.
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
	case text == "mistaken":
		return nil, nil, &packets.Error{Code: packets.BadUserNameOrPassword, Msg: "no such code for DISCONNECT"}
	}
	return nil, proved(text), nil
}

func proved(text string) *filters.Identity {
	name, lifetime, temporary := strings.Cut(text, " until ")
	name, tenant, _ := strings.Cut(name, " of ")
	id := &filters.Identity{Username: name, Tenant: tenant, Method: "users"}
	if d, err := time.ParseDuration(lifetime); temporary && err == nil {
		id.Expires = time.Now().Add(d)
	}
	return id
}

// method names the Authentication Method of a CONNECT, with data.
func method(name, data string) func(*packets.Connect) {
	return mqtttest.Props(mqtttest.Text(packets.AuthenticationMethod, name), mqtttest.Text(packets.AuthenticationData, data))
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
		h := open(t)
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
				h := open(t)
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
		h := open(t)
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
		h := open(t)
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
		{"source down", auth(packets.ReAuthenticate, "down"), packets.ServerBusy, "authn_unavailable"},
		{"wrong password", auth(packets.ReAuthenticate, "mistaken"), packets.NotAuthorized, "reauthentication_failed"},
		{"another tenant", auth(packets.ReAuthenticate, "bob of other"), packets.NotAuthorized, "reauthentication_failed"},
		{"nothing to continue", auth(packets.ContinueAuthentication, "bob"), packets.ProtocolError, "protocol_error"},
		{"another method", mqtttest.Auth(packets.ReAuthenticate, "other", "bob"), packets.ProtocolError, "protocol_error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
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
		h := open(t)
		defer h.close()
		client, broker := h.enhanced("bob")
		synctest.Wait() // until both directions run
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

// ids are templates of client identifiers.
func ids(patterns ...string) func(*proxy.Policy) {
	return func(p *proxy.Policy) {
		var err error
		if p.ClientIDs, err = filters.ParseClientIDs(patterns); err != nil {
			panic(err)
		}
	}
}

// TestAssignedIdentifier: a client without an identifier gets one that rules can go
// by, and is told in MQTT 5.0.
func TestAssignedIdentifier(t *testing.T) {
	for _, v := range []packets.Version{packets.V311, v5} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, ids("for-${username}"))
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

// TestIdentifierRefused: one that is not the user's, and none that could be.
func TestIdentifierRefused(t *testing.T) {
	for _, id := range []string{"for-eve", ""} {
		each(t, func(t *testing.T, v packets.Version) {
			if v == packets.V31 && id == "" {
				return // not a CONNECT
			}
			pattern := "for-${username}"
			if id == "" {
				pattern = "${claims.none}"
			}
			h := open(t, ids(pattern))
			defer h.close()
			client := h.dial(v)
			client.Send(mqtttest.Connect(v, id, mqtttest.Login("bob", "x")))
			client.Expect("It is refused.", mqtttest.Connack(v, packets.ClientIdentifierNotValid))
			h.expectEnd("refused connect_denied")
		})
	}
}

// TestRefusedClaim: who is refused keeps the owner of an identifier out for no
// moment, however long the connection takes to end.
func TestRefusedClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := filters.NewStore(10)
		h := open(t, func(p *proxy.Policy) { p.Sessions = store })
		defer h.close()
		eve := h.dial(v5)
		eve.Send(mqtttest.Connect(v5, "device", mqtttest.Login("eve", "x"), mqtttest.Will("denied/a", "x")))
		eve.Expect("She is refused for her Will.", mqtttest.Connack(v5, packets.NotAuthorized))
		bob := h.dial(v5)
		bob.Send(mqtttest.Connect(v5, "device", mqtttest.Login("bob", "x")))
		broker := h.answer(v5)
		broker.Expect("While she stays, he comes.", mqtttest.Connect(v5, "device", mqtttest.Login("bob", "x")))
		s := &filters.Session{ClientID: "device", Identity: filters.Identity{Username: "bob"}}
		if store.Claim(time.Now(), s); s.Owner != "bob" {
			t.Errorf("the identifier belongs to %q", s.Owner)
		}
		store.End(time.Now(), s, 0)
	})
}

// TestSmallClient: what the client must know does not fit in what it takes.
func TestSmallClient(t *testing.T) {
	small := mqtttest.Uint32(packets.MaximumPacketSize, 20)
	t.Run("identifier", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, ids(strings.Repeat("x", 50)))
			defer h.close()
			client := h.dial(v5)
			client.Send(mqtttest.Connect(v5, "", mqtttest.Props(small), mqtttest.Will("data/gone", "x")))
			broker := h.answer(v5)
			broker.Expect("The broker is asked.", mqtttest.Connect(v5, strings.Repeat("x", 50), mqtttest.Props(small), mqtttest.Will("data/gone", "x")))
			broker.Send(mqtttest.Connack(v5, packets.Success))
			client.Expect("It is refused.", mqtttest.Connack(v5, packets.PacketTooLarge))
			broker.Expect("No Will is due: there was no session.", mqtttest.Disconnect(v5, packets.Success))
			h.expectEnd("refused connect_denied")
		})
	})
	t.Run("challenge", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			defer h.close()
			client := h.dial(v5)
			tiny := mqtttest.Uint32(packets.MaximumPacketSize, 10)
			client.Send(mqtttest.Connect(v5, "device", mqtttest.Props(tiny, mqtttest.Text(packets.AuthenticationMethod, "test"), mqtttest.Text(packets.AuthenticationData, "ask bob"))))
			client.Expect("It is refused.", mqtttest.Connack(v5, packets.PacketTooLarge))
			h.expectEnd("refused bad_credentials")
		})
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

// TestManyAuths: a client that proves itself again and again is read more slowly.
func TestManyAuths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, _ := h.enhanced("bob")
		start := time.Now()
		for range 20 {
			client.Send(mqtttest.Auth(packets.ReAuthenticate, "test", "bob"))
			client.Expect("It succeeds.", packets.AppendAuth(nil, packets.Success, mqtttest.Text(packets.AuthenticationMethod, "test")))
		}
		if took := time.Since(start); took != 12*time.Second {
			t.Errorf("20 took %v, want 12 s after the first 8", took)
		}
	})
}

// TestSecretNames: a name that may be a token is not logged before it is somebody's.
func TestSecretNames(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, func(p *proxy.Policy) { p.SecretNames = true })
		defer h.close()
		client := h.dial(v)
		client.Send(mqtttest.Connect(v, "device", mqtttest.Login("opaque-token", "wrong")))
		client.Expect("It is refused.", mqtttest.Connack(v, packets.BadUserNameOrPassword))
		h.expectEnd("refused bad_credentials")
		h.session(v, mqtttest.Login("bob", "x"))
		for i, line := range h.audit.all() {
			if want := []string{"username=[token]", "username=bob"}[min(i, 1)]; !strings.Contains(line, want) {
				t.Errorf("line %d: %s, want %s", i, line, want)
			}
		}
	})
}
