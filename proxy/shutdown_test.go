package proxy_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/ratelimit"
)

// TestShutdown ends connections in every phase of their lives, at once and
// with the last word that the phase has.
func TestShutdown(t *testing.T) {
	unavailable := func(v packets.Version) [][]byte {
		return [][]byte{mqtttest.Connack(v, packets.ServerUnavailable)}
	}
	nothing := func(packets.Version) [][]byte { return nil }
	phases := []struct {
		name  string
		reach func(h *house, v packets.Version) *mqtttest.Peer // the client
		last  func(packets.Version) [][]byte
		end   string
	}{
		{"before the CONNECT", func(h *house, v packets.Version) *mqtttest.Peer {
			return h.dial(v)
		}, nothing, "refused shutdown"},
		{"in the CONNECT", func(h *house, v packets.Version) *mqtttest.Peer {
			c := h.dial(v)
			c.Send(mqtttest.Connect(v, "device")[:9])
			return c
		}, nothing, "refused shutdown"},
		{"in the authentication", func(h *house, v packets.Version) *mqtttest.Peer {
			h.policy.Authn = authenticate(func(ctx context.Context, _ filters.Credentials) (filters.Identity, error) {
				<-ctx.Done()
				return filters.Identity{}, ctx.Err()
			})
			c := h.dial(v)
			c.Send(mqtttest.Connect(v, "device"))
			return c
		}, unavailable, "refused shutdown"},
		{"in the dial", func(h *house, v packets.Version) *mqtttest.Peer {
			h.policy.Route = at(func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			c := h.dial(v)
			c.Send(mqtttest.Connect(v, "device"))
			return c
		}, unavailable, "refused shutdown"},
		{"before the CONNACK", func(h *house, v packets.Version) *mqtttest.Peer {
			c := h.dial(v)
			c.Send(mqtttest.Connect(v, "device"))
			go io.Copy(io.Discard, h.answer(v).Conn)
			return c
		}, unavailable, "refused shutdown"},
		{"in a silent session", func(h *house, v packets.Version) *mqtttest.Peer {
			c, b := h.session(v)
			go closeAfter(b)
			return c
		}, func(v packets.Version) [][]byte { return goodbye(v, packets.ServerShuttingDown) }, "ended shutdown"},
		{"in a packet", func(h *house, v packets.Version) *mqtttest.Peer {
			c, b := h.session(v)
			go closeAfter(b)
			c.Send([]byte{0x30, 10, 0})
			return c
		}, func(v packets.Version) [][]byte { return goodbye(v, packets.ServerShuttingDown) }, "ended shutdown"},
	}
	for _, tt := range phases {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, v packets.Version) {
				h := open(t)
				defer h.close()
				client := tt.reach(h, v)
				synctest.Wait()
				start, done := time.Now(), make(chan error)
				go func() { done <- h.server.Shutdown(t.Context()) }()
				client.Expect("The client is told, if it can be.", tt.last(v)...)
				client.ExpectClose("The connection ends.")
				client.Close()
				if err := <-done; err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("Shutdown took %v with peers that close at once", took)
				}
				if n := h.slots.Load(); n != 0 {
					t.Errorf("%d admissions were not released when Shutdown returned", n)
				}
				h.expectEnd(tt.end)
			})
		})
	}
}

// closeAfter closes a peer when its connection ends.
func closeAfter(p *mqtttest.Peer) {
	p.Conn.SetReadDeadline(time.Time{})
	io.Copy(io.Discard, p.Conn)
	p.Close()
}

// TestShutdownBeforeHandshake ends the wait for a slot that another listener
// holds.
func TestShutdownBeforeHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := ratelimit.NewTurns(1)
		slots.Try(ratelimit.Stranger)
		h := open(t, withTLS(newIdentity(t, "broker.example")), func(p *proxy.Policy) { p.Handshakes = slots })
		defer h.close()
		client := h.dial(packets.V5)
		client.Send(clientHello(t))
		synctest.Wait()
		start := time.Now()
		if err := h.server.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(start); took >= handshakeTimeout {
			t.Errorf("Shutdown took %v", took)
		}
		expectEnd(t, client, "The wait ends.")
	})
}

// TestShutdownInHandshake ends TLS handshakes, and those that wait for a slot.
func TestShutdownInHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, withTLS(newIdentity(t, "broker.example")), func(p *proxy.Policy) { p.Handshakes = ratelimit.NewTurns(1) })
		defer h.close()
		one, other := h.dial(packets.V5), h.dial(packets.V5)
		one.Send(clientHello(t))
		other.Send(clientHello(t))
		synctest.Wait()
		start := time.Now()
		if err := h.server.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Shutdown took %v", took)
		}
		expectEnd(t, one, "The handshake ends.")
		expectEnd(t, other, "So does the wait for a slot.")
		if got, want := h.seen.ends(), []string{"refused shutdown", "refused shutdown"}; !slices.Equal(got, want) {
			t.Errorf("ends %q, want %q", got, want)
		}
	})
}

// TestShutdownOverTLS says goodbye below TLS too.
func TestShutdownOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := newIdentity(t, "broker.example")
		h := open(t, withTLS(id))
		defer h.close()
		client := h.dial(packets.V5)
		client.Conn = tls.Client(client.Conn, id.client())
		_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
		go closeAfter(broker)
		go h.server.Shutdown(t.Context())
		client.Expect("The client is told why.", mqtttest.Disconnect(packets.V5, packets.ServerShuttingDown))
		client.ExpectClose("TLS ends with its own goodbye.")
		client.Close()
		h.expectEnd("ended shutdown")
	})
}

// TestShutdownWithoutLimits ends what would wait for ever.
func TestShutdownWithoutLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(p *proxy.Policy) {
			p.Limits = proxy.Limits{}
			p.Route = at(func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
		})
		defer h.close()
		client := h.dial(packets.V5)
		client.Send(mqtttest.Connect(packets.V5, "device"))
		synctest.Wait()
		go h.server.Shutdown(t.Context())
		client.Expect("The wait for the broker ends.", mqtttest.Connack(packets.V5, packets.ServerUnavailable))
	})
}

func (holds) Filter(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
	if string(p.Topic) == "held" {
		time.Sleep(time.Second)
	}
	return filters.Pass()
}

// TestAfterShutdown has a connection that was accepted too late.
func TestAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		if err := h.server.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		late := h.dial(packets.V5)
		late.ExpectGone("Nobody is let in any more.")
		if n := h.slots.Load(); n != 0 {
			t.Errorf("%d admissions were not released", n)
		}
		h.seen.add(1, "ended", "never began") // for the balance
	})
}
