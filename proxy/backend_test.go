package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/memnet"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/proxy/backend"
)

// brokers are two servers of one backend that the test plays.
type brokers struct {
	pool *backend.Pool
	at   map[string]*memnet.Listener
}

// withBrokers gives the house a backend of the servers a and b, the first of which
// fail sessions twice in a row is left out.
func withBrokers(h *house) *brokers {
	b := &brokers{at: map[string]*memnet.Listener{"a:1": memnet.Listen(), "b:1": memnet.Listen()}}
	b.pool = backend.New(backend.Options{
		Name: "plant", Servers: []backend.Spec{{Address: "a:1"}, {Address: "b:1"}}, Balance: backend.RoundRobin,
		Outlier: backend.Outlier{Failures: 1, Time: time.Minute, MaxEjected: 50},
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			h.dials.Add(1)
			return b.at[address].Dial(ctx)
		},
	}, nil)
	h.policy.Route = func(*filters.Session) *backend.Pool { return b.pool }
	return b
}

// answer takes the connection that is opened to a server.
func (b *brokers) answer(h *house, server string, v packets.Version) *mqtttest.Peer {
	conn, err := b.at[server].Accept()
	if err != nil {
		h.t.Fatal(err)
	}
	h.peers = append(h.peers, conn)
	return mqtttest.Broker(h.t, conn, v)
}

// enter brings a client as far as a session at a server.
func (b *brokers) enter(h *house, server string, v packets.Version, id string) (client, broker *mqtttest.Peer) {
	h.t.Helper()
	connect, connack := mqtttest.Connect(v, id), mqtttest.Connack(v, packets.Success)
	if v == packets.V5 {
		connack = mqtttest.Connack(v, packets.Success, mqtttest.Uint32(packets.MaximumPacketSize, 100))
	}
	client = h.dial(v)
	client.Send(connect)
	broker = b.answer(h, server, v)
	broker.Expect("The CONNECT goes on as it came.", connect)
	broker.Send(connack)
	client.Expect("The broker's CONNACK comes back.", connack)
	return client, broker
}

// TestTakeoverOfServers: a client that comes back and gets another server has no session at the
// first one any more, as if there were one broker [MQTT-3.1.4-3].
func TestTakeoverOfServers(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		b := withBrokers(h)
		old, at := b.enter(h, "a:1", v, "device")
		_, next := b.enter(h, "b:1", v, "device")
		if v == packets.V5 {
			old.Expect("It is told why.", mqtttest.Disconnect(v, packets.SessionTakenOver))
		}
		old.ExpectClose("The session at the first server ends,")
		at.ExpectClose("and the server sees that.")
		old.Close()
		at.Close()
		h.wait()
		other, otherAt := b.enter(h, "a:1", v, "other")
		other.Send(mqtttest.Pingreq())
		otherAt.Expect("Another client is nobody's business.", mqtttest.Pingreq())
		b.enter(h, "b:1", v, "a third")
		b.enter(h, "a:1", v, "device")
		next.ExpectClose("The end of the session before has not hidden the one after.")
		h.wait()
		if got := h.seen.ends(); !slices.Equal(got, []string{"ended taken_over", "ended taken_over"}) {
			t.Errorf("ends: %v", got)
		}
	})
}

// TestNoTakeoverAtOneServer: the broker that has both sees to it itself.
func TestNoTakeoverAtOneServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		first, at := h.session(packets.V5)
		h.session(packets.V5)
		first.Send(mqtttest.Pingreq())
		at.Expect("The first session goes on.", mqtttest.Pingreq())
	})
}

// TestConnackTellsThePool: a server that does not serve is left out, and one that
// refuses a client, or closes, is not: that may be the client's fault.
func TestConnackTellsThePool(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    packets.Version
		act  func(h *house, broker, client *mqtttest.Peer)
		want string
	}{
		{"unavailable", packets.V5, turnedAway(packets.V5, packets.ServerUnavailable), "ejected"},
		{"busy", packets.V5, turnedAway(packets.V5, packets.ServerBusy), "ejected"},
		{"elsewhere", packets.V5, turnedAway(packets.V5, packets.UseAnotherServer), "ejected"},
		{"unavailable, 3.1.1", packets.V311, turnedAway(packets.V311, packets.ServerUnavailable), "ejected"},
		{"refuses the client", packets.V5, turnedAway(packets.V5, packets.NotAuthorized), "up"},
		{"refuses the client, 3.1.1", packets.V311, turnedAway(packets.V311, 5), "up"},
		{"closes", packets.V5, func(_ *house, broker, _ *mqtttest.Peer) { broker.Close() }, "up"},
		{"the client leaves", packets.V5, func(_ *house, _, client *mqtttest.Peer) { client.Close() }, "up"},
		{"the end of the proxy", packets.V5, func(h *house, _, _ *mqtttest.Peer) { h.server.Shutdown(h.t.Context()) }, "up"},
		{"silence", packets.V5, func(*house, *mqtttest.Peer, *mqtttest.Peer) { time.Sleep(connectTimeout) }, "ejected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				b := withBrokers(h)
				client := h.dial(tt.v)
				client.Send(mqtttest.Connect(tt.v, "device"))
				broker := b.answer(h, "a:1", tt.v)
				broker.Expect("The CONNECT comes.", mqtttest.Connect(tt.v, "device"))
				tt.act(h, broker, client)
				h.wait()
				if got, _ := b.pool.Servers()[0].State(); got != tt.want {
					t.Errorf("the server is %s, want %s", got, tt.want)
				}
				if n := h.dials.Load(); n != 1 {
					t.Errorf("%d dials: a CONNECT that was sent is sent again", n)
				}
			})
		})
	}
}

// turnedAway has the broker refuse with a code.
func turnedAway(v packets.Version, code packets.ReasonCode) func(*house, *mqtttest.Peer, *mqtttest.Peer) {
	return func(_ *house, broker, _ *mqtttest.Peer) { broker.Send(mqtttest.Connack(v, code)) }
}

// TestNoRoute: who has no backend is told so, and nobody is dialled.
func TestNoRoute(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, func(p *proxy.Policy) { p.Route = func(*filters.Session) *backend.Pool { return nil } })
		defer h.close()
		client := h.dial(v)
		client.Send(mqtttest.Connect(v, "device"))
		client.Expect("There is nobody for it.", mqtttest.Connack(v, packets.ServerUnavailable))
		client.ExpectClose("It ends.")
		h.expectEnd("refused no_backend")
		if n := h.unserved.Load(); n != 1 {
			t.Errorf("%d visits had no broker, want 1", n)
		}
	})
}

// TestChainsOfBackend: a session is judged by the filters of its backend, after a
// reload too, and by the others where a backend has none.
func TestChainsOfBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		apart := proxy.Chains{Up: filters.Chain{&opener{h: h, filter: deaf}}, Down: h.policy.Down}
		h.policy.At = map[string]proxy.Chains{"broker": apart}
		client, broker := h.session(packets.V311)
		client.Send(mqtttest.Publish(packets.V311, 0, 0, "data/a", "lost"))
		client.Send(mqtttest.Pingreq())
		broker.Expect("Its backend takes no messages.", mqtttest.Pingreq())
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.At = map[string]proxy.Chains{"other": apart} }))
		message := mqtttest.Publish(packets.V311, 0, 0, "data/a", "21.5")
		client.Send(message)
		broker.Expect("It has no filters of its own any more.", message)
	})
}

// deaf lets no message pass.
func deaf(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type == packets.PUBLISH {
		return filters.Deny(s, p, packets.NotAuthorized, "deaf")
	}
	return filters.Pass()
}

// TestUpstreamTLS: the broker is verified, by its own name or the configured one, and
// gets our certificate; who is somebody else gets no CONNECT, and the next server is
// tried.
func TestUpstreamTLS(t *testing.T) {
	for _, tt := range []struct {
		name     string
		verified string // the name in the configuration
		other    bool   // somebody else has a certificate of the same name
		want     bool
	}{
		{"its own name", "", false, true},
		{"the configured name", "a", false, true},
		{"another name", "b", false, false},
		{"another authority", "", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, id := newCA(t, "authority of gateways"), newIdentity(t, "a")
				config := &tls.Config{RootCAs: pool(id.ca), ServerName: tt.verified, Certificates: []tls.Certificate{issue(t, ours, pki.Options{CN: "gateway", Client: true})}}
				if tt.other {
					id = newIdentity(t, "a")
				}
				h := open(t)
				defer h.close()
				h.policy.Route = at(h.reach, func(o *backend.Options) { o.Servers[0].Address, o.TLS = "a:8883", config })
				client := h.dial(packets.V311)
				client.Send(mqtttest.Connect(packets.V311, "device"))
				socket, err := h.broker.Accept()
				if err != nil {
					t.Fatal(err)
				}
				h.peers = append(h.peers, socket)
				secured := tls.Server(socket, &tls.Config{Certificates: []tls.Certificate{id.pair}, ClientCAs: pool(ours), ClientAuth: tls.RequireAndVerifyClientCert})
				if !tt.want {
					if secured.Handshake() == nil {
						t.Error("an impostor is believed")
					}
					client.Expect("There is no broker.", mqtttest.Connack(packets.V311, packets.ServerUnavailable))
					return
				}
				peer := mqtttest.Broker(t, secured, packets.V311)
				peer.Expect("The CONNECT comes.", mqtttest.Connect(packets.V311, "device"))
				peer.Send(mqtttest.Connack(packets.V311, packets.Success))
				client.Expect("It is accepted.", mqtttest.Connack(packets.V311, packets.Success))
				exchange(t, client, peer)
			})
		})
	}
}

// exchange sends packets of many sizes both ways at once.
func exchange(t *testing.T, client, broker *mqtttest.Peer) {
	t.Helper()
	var all [][]byte
	for size := 1; size <= 1<<16; size *= 4 {
		all = append(all, mqtttest.Publish(packets.V311, 0, 0, "data/a", string(make([]byte, size))))
	}
	var sending sync.WaitGroup
	sending.Go(func() { client.Send(bytes.Join(all, nil)) })
	sending.Go(func() { broker.Send(bytes.Join(all, nil)) })
	broker.Expect("All of the client's comes.", all...)
	client.Expect("And all of the broker's.", all...)
	sending.Wait()
	client.Send(mqtttest.Disconnect(packets.V311, packets.Success))
	broker.Expect("It says goodbye.", mqtttest.Disconnect(packets.V311, packets.Success))
	broker.ExpectClose("And the connection ends.")
}
