package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// TestShutdownOfStuckPeers waits for peers that read nothing and close nothing,
// but not long.
func TestShutdownOfStuckPeers(t *testing.T) {
	for _, secure := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			id := newIdentity(t, "broker.example")
			h := open(t)
			defer h.close()
			if secure {
				withTLS(id)(h.policy)
			}
			client := h.dial(packets.V5)
			if secure {
				client.Conn = tls.Client(client.Conn, id.client())
			}
			_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
			for _, flood := range []struct {
				p     *mqtttest.Peer
				topic string
			}{{client, "data/a"}, {broker, "command/a"}} {
				go func() {
					for {
						if _, err := flood.p.Conn.Write(mqtttest.Publish(packets.V5, 0, 0, flood.topic, string(long(10_000)))); err != nil {
							return
						}
					}
				}()
			}
			synctest.Wait()
			start := time.Now()
			if err := h.server.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			if took := time.Since(start); took > lingering {
				t.Errorf("TLS %v: Shutdown took %v", secure, took)
			}
			broker.Close()
			client.Close()
			h.expectEnd("ended shutdown")
		})
	}
}

// TestShutdownWaits for what is freed last.
func TestShutdownWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		admit := h.policy.Admit
		h.policy.Admit = func(now time.Time, addr netip.Addr) (proxy.Visit, string) {
			v, refusal := admit(now, addr)
			return dawdling{v}, refusal
		}
		h.dial(packets.V5)
		synctest.Wait()
		if err := h.server.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if n := h.slots.Load(); n != 0 {
			t.Errorf("%d admissions were not released when Shutdown returned", n)
		}
	})
}

// dawdling takes its time to leave.
type dawdling struct{ proxy.Visit }

func (l dawdling) Leave(now time.Time, f proxy.Fault) {
	time.Sleep(time.Minute)
	l.Visit.Leave(now, f)
}

// TestShutdownBeforeWrite stops a session just before it writes to a client
// that does not read: that write has no more time than one in progress.
func TestShutdownBeforeWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(p *proxy.Policy) {
			p.Down = filters.Chain{opens(func(*filters.Session) {}), holds{}}
		})
		defer h.close()
		_, broker := h.session(packets.V5)
		full := mqtttest.Publish(packets.V5, 0, 0, "data/a", string(long(64<<10-12)))
		broker.Send(full[:64<<10]) // what fits; a byte is missing
		synctest.Wait()
		time.Sleep(packetTimeout / 2) // so that the next write needs a deadline of its own
		broker.Send(full[64<<10:], mqtttest.Publish(packets.V5, 0, 0, "held", "x"))
		synctest.Wait()
		start := time.Now()
		if err := h.server.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(start); took > 2*lingering {
			t.Errorf("Shutdown took %v", took)
		}
	})
}

// holds is a filter that takes its time, which none may.
type holds struct{}

// TestShutdownGivesUp when its context ends.
func TestShutdownGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		h.policy.Authn = authenticate(func(context.Context, filters.Credentials) (filters.Identity, error) {
			time.Sleep(time.Minute) // without an eye on the context
			return filters.Identity{}, errors.New("too late")
		})
		client := h.dial(packets.V5)
		client.Send(mqtttest.Connect(packets.V5, "device"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v, want the context's error", err)
		}
	})
}
