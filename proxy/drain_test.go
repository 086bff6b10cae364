package proxy_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// crowd is clients of which it is seen when their connections end, and how.
type crowd struct {
	clients []*mqtttest.Peer
	start   time.Time
	after   []time.Duration // from start; -1: not yet
	said    [][]byte        // the last words
}

// gather opens n sessions, the first one first.
func (h *house) gather(n int, v packets.Version, edit ...func(*packets.Connect)) *crowd {
	h.t.Helper()
	all := &crowd{after: slices.Repeat([]time.Duration{-1}, n), said: make([][]byte, n)}
	for range n {
		client, broker := h.login(v, "bob", edit...)
		go closeAfter(broker)
		all.clients = append(all.clients, client)
	}
	return all
}

// watch begins to watch.
func (all *crowd) watch() {
	all.start = time.Now()
	for i, c := range all.clients {
		go func() {
			c.Conn.SetReadDeadline(time.Time{})
			all.said[i], _ = io.ReadAll(c.Conn)
			all.after[i] = time.Since(all.start)
			c.Close()
		}()
	}
}

// TestDrainRate: the sessions end one after the other, those that began first, and
// no faster than they may.
func TestDrainRate(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	for name, tt := range map[string]struct {
		perSecond float64
		want      []time.Duration
	}{
		"slow":        {0.5, []time.Duration{0, 2 * s, 4 * s, 6 * s}},
		"a few":       {2, []time.Duration{0, 500 * ms, s, 1500 * ms, 2 * s, 2500 * ms}},
		"many":        {50, []time.Duration{0, 0, 0, 0, 0, 20 * ms, 40 * ms, 60 * ms}},
		"all at once": {0, []time.Duration{0, 0, 0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				all := h.gather(len(tt.want), packets.V5)
				all.watch()
				h.server.Drain(t.Context(), proxy.Drain{PerSecond: tt.perSecond})
				if took, want := time.Since(all.start), tt.want[len(tt.want)-1]; took != want {
					t.Errorf("Drain took %v, want %v", took, want)
				}
				synctest.Wait()
				if !slices.Equal(all.after, tt.want) {
					t.Errorf("sessions end after %v, want %v", all.after, tt.want)
				}
				for i, said := range all.said {
					if want := mqtttest.Disconnect(packets.V5, packets.ServerShuttingDown); !slices.Equal(said, want) {
						t.Errorf("client %d is told % x, want % x", i, said, want)
					}
				}
				if n := h.seen.sum("ended drained"); n != len(tt.want) {
					t.Errorf("%d counted as drained, want %d", n, len(tt.want))
				}
			})
		})
	}
}

// TestDrainGivesUp when its context ends, not sooner, and who is left goes on.
func TestDrainGivesUp(t *testing.T) {
	for name, tt := range map[string]struct {
		perSecond float64
		ended     int
	}{"some": {1, 4}, "a turn that comes too late": {0.01, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				all := h.gather(6, packets.V311)
				all.watch()
				ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
				defer cancel()
				h.server.Drain(ctx, proxy.Drain{PerSecond: tt.perSecond})
				if took := time.Since(all.start); took != 3500*time.Millisecond {
					t.Errorf("Drain took %v", took)
				}
				time.Sleep(time.Hour)
				if left := len(h.server.Clients()); left != 6-tt.ended {
					t.Errorf("%d are left: %v", left, all.after)
				}
			})
		})
	}
}

// TestDrainOfSome leaves the others alone.
func TestDrainOfSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		stays, staysBroker := h.login(packets.V5, "alice")
		all := h.gather(3, packets.V5)
		all.watch()
		h.server.Drain(t.Context(), proxy.Drain{Match: named("bob"), PerSecond: 1, Reference: "other.example"})
		if took := time.Since(all.start); took != 2*time.Second {
			t.Errorf("Drain took %v", took)
		}
		stays.Send(mqtttest.Pingreq())
		staysBroker.Expect("The other goes on.", mqtttest.Pingreq())
		go closeAfter(staysBroker)
		go h.server.Shutdown(t.Context())
		stays.Expect("What those of a server were told is not for all.", mqtttest.Disconnect(packets.V5, packets.ServerShuttingDown))
		stays.Close()
	})
}

// TestDrainIsTakenBack in the middle: who waits for its turn stays.
func TestDrainIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		all := h.gather(5, packets.V5)
		all.watch()
		until := all.start.Add(1500 * time.Millisecond)
		h.server.Drain(t.Context(), proxy.Drain{PerSecond: 1, Match: func(proxy.ClientInfo) bool { return time.Now().Before(until) }})
		if took := time.Since(all.start); took != 2*time.Second {
			t.Errorf("Drain took %v", took)
		}
		if left := len(h.server.Clients()); left != 3 {
			t.Errorf("%d are left, want 3: %v", left, all.after)
		}
	})
}

// TestDrainSkips who leaves by itself: nobody has to wait for its turn.
func TestDrainSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		all := h.gather(5, packets.V5)
		all.watch()
		go func() {
			time.Sleep(500 * time.Millisecond)
			for _, c := range all.clients[1:4] {
				c.Close()
			}
		}()
		h.server.Drain(t.Context(), proxy.Drain{PerSecond: 0.5})
		if took := time.Since(all.start); took != 2*time.Second {
			t.Errorf("Drain took %v", took)
		}
	})
}

// TestDrainWords: what clients are told of the other server, if they can be.
func TestDrainWords(t *testing.T) {
	const reference = "other.example:8883"
	full := packets.AppendDisconnectWith(nil, packets.UseAnotherServer, mqtttest.Text(packets.ServerReference, reference))
	largest := func(n int) func(*packets.Connect) {
		return mqtttest.Props(mqtttest.Uint32(packets.MaximumPacketSize, uint32(n)))
	}
	for name, tt := range map[string]struct {
		version packets.Version
		edit    []func(*packets.Connect)
		drain   proxy.Drain
		want    []byte
	}{
		"another server": {packets.V5, nil, proxy.Drain{Reference: reference}, full},
		"moved": {
			packets.V5, nil,
			proxy.Drain{Reference: reference, Moved: true},
			packets.AppendDisconnectWith(nil, packets.ServerMoved, mqtttest.Text(packets.ServerReference, reference)),
		},
		"it fits":        {packets.V5, []func(*packets.Connect){largest(len(full))}, proxy.Drain{Reference: reference}, full},
		"it does not":    {packets.V5, []func(*packets.Connect){largest(len(full) - 1)}, proxy.Drain{Reference: reference}, mqtttest.Disconnect(packets.V5, packets.UseAnotherServer)},
		"moved nowhere":  {packets.V5, nil, proxy.Drain{Moved: true}, mqtttest.Disconnect(packets.V5, packets.ServerShuttingDown)},
		"MQTT 3.1.1":     {packets.V311, nil, proxy.Drain{Reference: reference}, nil},
		"MQTT 3.1":       {packets.V31, nil, proxy.Drain{Reference: reference}, nil},
		"with a Will":    {packets.V5, []func(*packets.Connect){mqtttest.Will("data/a", "x")}, proxy.Drain{Reference: reference}, full},
		"3.1.1 and Will": {packets.V311, []func(*packets.Connect){mqtttest.Will("data/a", "x")}, proxy.Drain{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				client, broker := h.sessionWith(h.dial(tt.version), tt.version, mqtttest.Connack(tt.version, packets.Success), tt.edit...)
				synctest.Wait()
				go h.server.Drain(t.Context(), tt.drain)
				if tt.want != nil {
					client.Expect("It is told.", tt.want)
				}
				client.ExpectClose("The end.")
				broker.ExpectClose("No DISCONNECT before it: a Will is due [MQTT-3.1.2-8].")
				client.Close()
				h.expectEnd("ended drained")
			})
		})
	}
}
