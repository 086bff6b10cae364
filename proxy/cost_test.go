package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// TestGoroutines counts those of running sessions.
func TestGoroutines(t *testing.T) {
	h := open(t)
	defer h.close()
	const n = 20
	for range n {
		client, broker := h.session(packets.V5)
		client.Send(mqtttest.Pingreq())
		broker.Expect("The way up is open.", mqtttest.Pingreq())
		broker.Send(mqtttest.Pingresp())
		client.Expect("The way down is open.", mqtttest.Pingresp())
	}
	stacks := make([]byte, 8<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	got := 0
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "proxy.(*conn).") {
			got++
		}
	}
	if got != 2*n {
		t.Errorf("%d sessions have %d goroutines, want 2 each", n, got)
	}
}

// TestNoAllocations passes PUBLISHes in both directions: nothing is allocated
// for a packet that goes on as it came. With TLS, crypto/tls allocates one
// small value for each read.
func TestNoAllocations(t *testing.T) {
	h := open(t, func(p *proxy.Policy) {
		p.Up, p.Down = filters.Chain{opens(func(*filters.Session) {})}, filters.Chain{opens(func(*filters.Session) {})}
	})
	defer h.close()
	client, broker := h.session(packets.V5, mqtttest.KeepAlive(60))
	p := mqtttest.Publish(packets.V5, 1, 7, "data/sensor/temperature", "21.5", mqtttest.Text(packets.ContentType, "text/plain"))
	buf := make([]byte, len(p))
	pass := func(from, to io.ReadWriter) {
		if _, err := from.Write(p); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, buf); err != nil {
			t.Fatal(err)
		}
	}
	h.seen.off.Store(true) // it would count its own
	defer h.seen.off.Store(false)
	allocs := testing.AllocsPerRun(2000, func() {
		pass(client.Conn, broker.Conn)
		pass(broker.Conn, client.Conn)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per PUBLISH in each direction, want none", allocs)
	}
}

// counted is a socket that counts writes.
type counted struct {
	net.Conn
	writes *atomic.Int32
}

func (c counted) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// corked collects what is written until pull, as a network does with what a
// client sends in many small pieces.
type corked struct {
	net.Conn
	cork bool
	held []byte
}

func (c *corked) Write(b []byte) (int, error) {
	if !c.cork {
		return c.Conn.Write(b)
	}
	c.held = append(c.held, b...)
	return len(b), nil
}

func (c *corked) pull() {
	c.cork = false
	c.Conn.Write(c.held)
}

// TestOneWritePerBurst sends a burst of packets, with TLS each in a record of
// its own: they go on together.
func TestOneWritePerBurst(t *testing.T) {
	tests := []struct {
		name   string
		secure bool
	}{{"plaintext", false}, {"TLS", true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				id := newIdentity(t, "broker.example")
				h := open(t)
				defer h.close()
				if tt.secure {
					withTLS(id)(h.policy)
				}
				var writes atomic.Int32
				h.policy.Route = at(func(ctx context.Context) (net.Conn, error) {
					c, err := h.broker.Dial(ctx)
					return counted{c, &writes}, err
				})
				client := h.dial(packets.V5)
				network := &corked{Conn: client.Conn}
				client.Conn = network
				if tt.secure {
					client.Conn = tls.Client(network, id.client())
				}
				_, broker := h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success))
				p := mqtttest.Publish(packets.V5, 0, 0, "data/a", "21.5")
				writes.Store(0)
				network.cork = true
				const n = 60
				for range n {
					client.Send(p)
				}
				network.pull()
				for range n {
					broker.Expect("All arrive.", p)
				}
				if got := writes.Load(); got != 1 {
					t.Errorf("%d packets went on in %d writes, want 1", n, got)
				}
			})
		})
	}
}

// TestOneWriteOfRefusals has the broker send a burst that the client does not get:
// it is acknowledged together.
func TestOneWriteOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		var writes atomic.Int32
		h.policy.Route = at(func(ctx context.Context) (net.Conn, error) {
			c, err := h.broker.Dial(ctx)
			return counted{c, &writes}, err
		})
		_, broker := h.session(packets.V5)
		writes.Store(0)
		var burst, acks []byte
		for id := range uint16(60) {
			burst = append(burst, mqtttest.Publish(packets.V5, 1, id+1, "dropped/a", "21.5")...)
			acks = append(acks, mqtttest.Ack(packets.V5, packets.PUBACK, id+1, packets.Success)...)
		}
		broker.Send(burst)
		got := make([]byte, len(acks))
		if _, err := io.ReadFull(broker.Conn, got); err != nil || !bytes.Equal(got, acks) {
			t.Errorf("% x, %v, want % x", got, err, acks)
		}
		if got := writes.Load(); got != 1 {
			t.Errorf("60 packets were acknowledged in %d writes, want 1", got)
		}
	})
}
