package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// each runs f in a bubble of its own for every version of MQTT.
func each(t *testing.T, f func(t *testing.T, v packets.Version)) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, v) })
		})
	}
}

// authenticate makes a function an Authenticator.
type authenticate func(context.Context, filters.Credentials) (filters.Identity, error)

func (f authenticate) Begin(filters.Credentials) (filters.Dialogue, error) {
	return nil, errors.New("no enhanced authentication")
}

func (f authenticate) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	return f(ctx, c)
}

// dialer makes a function a Dialer.
func TestLife(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v, mqtttest.Login("alice", "secret"))

		up := mqtttest.Publish(v, 1, 7, "data/a", "21.5")
		client.Send(mqtttest.Subscribe(v, 6, "command/#"), up, mqtttest.Pingreq())
		broker.Expect("What the client sends arrives in order.", mqtttest.Subscribe(v, 6, "command/#"), up, mqtttest.Pingreq())

		down := mqtttest.Publish(v, 2, 9, "command/a", "on")
		broker.Send(mqtttest.Suback(v, 6, packets.GrantedQoS1), mqtttest.Ack(v, packets.PUBACK, 7, packets.Success), down, mqtttest.Pingresp())
		client.Expect("What the broker sends arrives in order.",
			mqtttest.Suback(v, 6, packets.GrantedQoS1), mqtttest.Ack(v, packets.PUBACK, 7, packets.Success), down, mqtttest.Pingresp())

		client.Send(mqtttest.Disconnect(v, packets.Success))
		broker.Expect("The DISCONNECT goes on, so that no Will is due.", mqtttest.Disconnect(v, packets.Success))
		broker.ExpectClose("The proxy closes the broker's side.")
		broker.Close()
		client.ExpectClose("Then it closes the client's.")
		client.Close()
		h.expectEnd("ended client_disconnect")
		for name, want := range map[string]int{
			"opened test": 1, "authenticated users accepted": 1, "packets up": 4, "packets down": 4, "decided publish allowed": 1, "decided subscribe allowed": 1,
		} {
			if got := h.seen.count(name); got != want {
				t.Errorf("%s: %d, want %d", name, got, want)
			}
		}
	})
}

// TestDialComesLast shows that a broker sees nothing of a client that has not
// proved who it is, and nothing before.
func TestDialComesLast(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		asked := make(chan filters.Credentials)
		answer := make(chan filters.Identity)
		h.policy.Authn = authenticate(func(_ context.Context, c filters.Credentials) (filters.Identity, error) {
			asked <- c
			return <-answer, nil
		})
		connect := mqtttest.Connect(v, "device", mqtttest.Login("alice", "secret"))
		client := h.dial(v)
		client.Send(connect[:9])
		synctest.Wait()
		client.Send(connect[9:], mqtttest.Pingreq())
		c := <-asked
		if c.ClientID != "device" || c.Username != "alice" || string(c.Password) != "secret" || !c.HasPassword || c.Listener != "test" || c.RemoteAddr.String() != "198.51.100.1" {
			t.Errorf("credentials %+v", c)
		}
		synctest.Wait()
		if n := h.dials.Load(); n != 0 {
			t.Errorf("%d dials before the client was known", n)
		}
		answer <- filters.Identity{Username: "alice", Method: "users"}
		broker := h.answer(v)
		broker.Expect("The CONNECT comes first, and what followed it waits.", connect)
		broker.ExpectSilence("Nothing goes on before the CONNACK.", time.Second)
		broker.Send(mqtttest.Connack(v, packets.Success))
		broker.Expect("What the client sent too early comes after it.", mqtttest.Pingreq())
	})
}

func TestRefusedCredentials(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client := h.dial(v)
		client.Send(mqtttest.Connect(v, "device", mqtttest.Login("alice", "wrong")), mqtttest.Pingreq())
		client.Expect("The refusal says why.", mqtttest.Connack(v, packets.BadUserNameOrPassword))
		client.ExpectClose("Then the connection ends, in order though a packet was not read.")
		client.Close()
		h.expectEnd("refused bad_credentials")
		if n := h.dials.Load(); n != 0 {
			t.Errorf("%d dials for a refused client", n)
		}
		if n := h.seen.count("authenticated users refused"); n != 1 {
			t.Errorf("%d refusals counted", n)
		}
	})
}

func TestAuthenticationDown(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, func(p *proxy.Policy) {
			p.Authn = authenticate(func(context.Context, filters.Credentials) (filters.Identity, error) {
				return filters.Identity{Username: "root"}, errors.New("the directory does not answer")
			})
		})
		defer h.close()
		client := h.dial(v)
		client.Send(mqtttest.Connect(v, "device"))
		client.Expect("Who cannot be known is not let in.", mqtttest.Connack(v, packets.ServerUnavailable))
		client.ExpectClose("The connection ends.")
		h.expectEnd("refused authn_unavailable")
	})
}

func TestBrokerRefuses(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		connack := []byte{0x20, 2, 0, 5}
		if v == packets.V5 {
			connack = mqtttest.Connack(v, packets.NotAuthorized, mqtttest.Text(packets.ReasonString, "not today"))
		}
		client := h.dial(v)
		client.Send(mqtttest.Connect(v, "device"), bytes.Repeat(mqtttest.Pingreq(), 10_000))
		broker := h.answer(v)
		broker.Expect("The CONNECT arrives.", mqtttest.Connect(v, "device"))
		broker.Send(connack)
		client.Expect("The broker's refusal is passed on as it is.", connack)
		client.ExpectClose("Nothing is added to it.")
		broker.ExpectClose("What the client sent behind its CONNECT is discarded.")
		h.expectEnd("refused refused_by_broker")
	})
}

func TestBrokerOutOfReach(t *testing.T) {
	tests := []struct {
		name   string
		broker func(h *house, v packets.Version)
		after  time.Duration // until the refusal
	}{
		{"nobody listens", func(h *house, _ packets.Version) { h.broker.Close() }, 0},
		{"the dial takes too long", func(h *house, _ packets.Version) {
			h.policy.Route = at(func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
		}, connectTimeout},
		{"it closes", func(h *house, v packets.Version) { go func() { h.answer(v).Close() }() }, 0},
		{"it says nothing", func(*house, packets.Version) {}, connectTimeout},
		{"it begins with another packet", func(h *house, v packets.Version) { go func() { h.answer(v).Send(mqtttest.Pingresp()) }() }, 0},
		{"it speaks HTTP", func(h *house, v packets.Version) {
			go func() { h.answer(v).Send([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }()
		}, 0},
		{"its CONNACK never ends", func(h *house, v packets.Version) {
			go func() {
				b := h.answer(v)
				b.Send([]byte{0x20})
				for range 3 {
					time.Sleep(connectTimeout / 2)
					b.Conn.Write([]byte{2})
				}
			}()
		}, connectTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, v packets.Version) {
				h := open(t)
				defer h.close()
				tt.broker(h, v)
				client := h.dial(v)
				client.Send(mqtttest.Connect(v, "device"))
				start := time.Now()
				client.Expect("The client is told that the server is unavailable.", mqtttest.Connack(v, packets.ServerUnavailable))
				if waited := time.Since(start); waited != tt.after {
					t.Errorf("refused after %v, want %v", waited, tt.after)
				}
				client.ExpectClose("The connection ends.")
				h.expectEnd("refused backend_unavailable")
				h.wait()
				if h.unserved.Load() != 1 {
					t.Error("nobody was told that the visit had no broker")
				}
			})
		})
	}
}

// TestManyClients runs sessions side by side, with their own brokers' legs.
func TestManyClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		const n = 50
		var clients, brokers [n]*mqtttest.Peer
		for i := range n {
			clients[i], brokers[i] = h.session(versions[i%len(versions)])
		}
		for i := range n {
			v := versions[i%len(versions)]
			p := mqtttest.Publish(v, 0, 0, "data/a", string(rune('A'+i)))
			clients[i].Send(p)
			brokers[i].Expect("Each client has its own way.", p)
		}
		for i := range n {
			clients[i].Send(mqtttest.Disconnect(versions[i%len(versions)], packets.Success))
		}
		synctest.Wait()
		time.Sleep(lingering)
		synctest.Wait()
		if got, want := h.seen.ends(), slices.Repeat([]string{"ended client_disconnect"}, n); !slices.Equal(got, want) {
			t.Errorf("ends %q", got)
		}
	})
}
