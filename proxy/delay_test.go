package proxy_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// TestDelay holds a packet: meanwhile nothing behind it is read, what was in
// front of it goes on, and the time is not the client's.
func TestDelay(t *testing.T) {
	for _, size := range []int{100, 140_000} { // whole, and streamed
		each(t, func(t *testing.T, v packets.Version) {
			h := open(t)
			defer h.close()
			client, broker := h.session(v, mqtttest.KeepAlive(10))
			first, slow := mqtttest.Publish(v, 0, 0, "data/a", "1"), mqtttest.Publish(v, 0, 0, "slow/a", string(long(size)))
			denied, refusal := mqtttest.Publish(v, 1, 7, "denied", "1"), mqtttest.Ack(v, packets.PUBACK, 7, packets.NotAuthorized)
			go client.Conn.Write(concat(first, denied, slow, first))
			start := time.Now()
			broker.Patience, client.Patience = time.Hour, time.Hour
			broker.Expect("What was in front goes on.", first)
			client.Expect("Refusals too.", refusal)
			if waited := time.Since(start); waited != 0 {
				t.Errorf("the packet in front was held for %v", waited)
			}
			broker.Expect("The packet goes on later, and what follows it then.", slow, first)
			if waited := time.Since(start); waited != time.Minute {
				t.Errorf("the packet was held for %v, want 1m", waited)
			}
			if n := h.seen.count("decided publish delayed"); n != 1 {
				t.Errorf("%d delays counted, want 1", n)
			}
		})
	}
}

// TestDelayOfSlowStream holds a large PUBLISH, whose first bytes came before,
// for longer than a packet may take.
func TestDelayOfSlowStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, broker := h.session(packets.V5)
		large := stream(packets.V5, "slow/large", 50_000)
		client.Send(large[:5])
		synctest.Wait()
		client.Send(large[5:])
		broker.Patience = time.Hour
		broker.Expect("The time in which it was held is not the client's.", large)
	})
}

// TestDelayIsBackPressure holds packets of a client that sends a lot.
func TestDelayIsBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, _ := h.session(packets.V5)
		p := mqtttest.Publish(packets.V5, 0, 0, "slow/a", string(long(1000)))
		client.Conn.SetWriteDeadline(time.Now().Add(30 * time.Second))
		sent := 0
		for {
			n, err := client.Conn.Write(p)
			if sent += n; err != nil {
				break
			}
		}
		if limit := 140_000; sent > limit { // a pipe and a buffer
			t.Errorf("%d bytes were taken while a packet was held, want at most %d", sent, limit)
		}
	})
}

// TestDelayEnds shows that nobody waits for a held packet when the session
// ends, and that a packet whose verdict was not carried out stays here: it is
// not for the broker as it came.
func TestDelayEnds(t *testing.T) {
	tests := []struct {
		name string
		end  func(h *house, client, broker *mqtttest.Peer)
		want string
	}{
		{"shutdown", func(h *house, _, _ *mqtttest.Peer) { go h.server.Shutdown(h.t.Context()) }, "ended shutdown"},
		{"the broker closes", func(_ *house, _, broker *mqtttest.Peer) { broker.Conn.(interface{ CloseWrite() error }).CloseWrite() }, "ended broker_closed"},
	}
	for _, tt := range tests {
		for _, topic := range []string{"slow/a", "renamedslow/a"} {
			t.Run(tt.name+" "+topic, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := open(t)
					defer h.close()
					client, broker := h.session(packets.V311)
					client.Send(mqtttest.Publish(packets.V311, 0, 0, topic, "1"))
					synctest.Wait()
					start := time.Now()
					tt.end(h, client, broker)
					broker.ExpectClose("The session ends without the packet.")
					if took := time.Since(start); took != 0 {
						t.Errorf("it took %v", took)
					}
					h.expectEnd(tt.want)
				})
			})
		}
	}
}
