package proxy_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

func TestClientVanishes(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		last := mqtttest.Publish(v, 0, 0, "data/a", "last")
		client.Send(last)
		client.Close()
		broker.Expect("What it sent before is not lost.", last)
		broker.ExpectClose("The broker's side is closed without DISCONNECT, so that the Will is due.")
		broker.Close()
		h.expectEnd("ended client_closed")
	})
}

func TestBrokerCloses(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		last := mqtttest.Publish(v, 0, 0, "command/a", "last")
		broker.Send(last)
		broker.Close()
		client.Expect("What the broker sent before is not lost.", last)
		client.ExpectClose("Then the client's side ends.")
		client.Close()
		h.expectEnd("ended broker_closed")
	})
}

// more is more than fits into the buffers between two ends.
func more(v packets.Version, topic string) (burst [][]byte) {
	for range 6 {
		burst = append(burst, mqtttest.Publish(v, 0, 0, topic, strings.Repeat("x", 15_000)))
	}
	return burst
}

// TestBrokerSaysWhy has a broker that ends the session of a client which is
// slow to read and keeps sending: the reason has to arrive although writing to
// the broker fails first.
func TestBrokerSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, broker := h.session(packets.V5)
		burst, bye := more(packets.V5, "command/a"), mqtttest.Disconnect(packets.V5, packets.SessionTakenOver)
		broker.Send(burst...)
		broker.Send(bye)
		broker.Close()
		client.Send(mqtttest.Publish(packets.V5, 0, 0, "data/a", "1"))
		synctest.Wait()
		client.Expect("What the broker sent is not lost.", burst...)
		client.Expect("Its reason is passed on.", bye)
		client.ExpectClose("Nothing is added to it.")
		client.Close()
		h.expectEnd("ended broker_closed")
	})
}

// TestGoodbyeOfBusyClient has a client that disconnects and closes while the
// broker is slow to read and keeps sending: the DISCONNECT must not be lost,
// or the client's Will would be sent.
func TestGoodbyeOfBusyClient(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		burst := more(v, "data/a")
		client.Send(burst...)
		client.Send(mqtttest.Disconnect(v, packets.Success))
		client.Close()
		broker.Send(mqtttest.Publish(v, 0, 0, "command/a", "on"))
		synctest.Wait()
		broker.Expect("What the client sent is not lost.", burst...)
		broker.Expect("The goodbye goes on.", mqtttest.Disconnect(v, packets.Success))
		broker.ExpectGone("The session ends.")
		h.expectEnd("ended client_disconnect")
	})
}

// TestGoodbyeOfDeafClient has a client that disconnects without having read
// what the broker has sent: the broker's side still ends in order.
func TestGoodbyeOfDeafClient(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		go func() {
			for _, p := range slices.Concat(more(v, "command/a"), more(v, "command/b")) {
				broker.Conn.Write(p)
			}
		}()
		synctest.Wait()
		client.Send(mqtttest.Publish(v, 0, 0, "data/a", "last"), mqtttest.Disconnect(v, packets.Success))
		time.Sleep(lingering)
		broker.Expect("The goodbye arrives.", mqtttest.Publish(v, 0, 0, "data/a", "last"), mqtttest.Disconnect(v, packets.Success))
		broker.ExpectClose("The end is orderly.")
		h.expectEnd("ended client_disconnect")
	})
}

// TestPromptBroker has a broker that closes before the proxy's write of the
// DISCONNECT returns: the reason is what the client did, all the same.
func TestPromptBroker(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		var broker *mqtttest.Peer
		h.policy.Route = at(func(ctx context.Context) (net.Conn, error) {
			c, err := h.broker.Dial(ctx)
			return afterWrite{c, func(b []byte) {
				if packets.Type(b[0]>>4) == packets.DISCONNECT {
					broker.Conn.(interface{ CloseWrite() error }).CloseWrite()
					time.Sleep(time.Second)
				}
			}}, err
		})
		client, b := h.session(v)
		broker = b
		client.Send(mqtttest.Disconnect(v, packets.Success))
		broker.Expect("The goodbye arrives.", mqtttest.Disconnect(v, packets.Success))
		h.expectEnd("ended client_disconnect")
	})
}

// afterWrite is a socket that does something before Write returns.
type afterWrite struct {
	net.Conn
	do func(b []byte)
}

func (c afterWrite) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.do(b)
	return n, err
}
