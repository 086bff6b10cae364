package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// ended waits for the end of p's connection, which may be preceded by packets,
// and returns how long it took.
func ended(p *mqtttest.Peer, sentence string, last ...[]byte) time.Duration {
	start := time.Now()
	p.Patience = 24 * time.Hour
	p.Expect(sentence, last...)
	p.ExpectGone(sentence)
	return time.Since(start)
}

// goodbye is what a client of version v is told when the proxy ends its
// session: before 5.0 nothing.
func goodbye(v packets.Version, rc packets.ReasonCode) [][]byte {
	if v != packets.V5 {
		return nil
	}
	return [][]byte{mqtttest.Disconnect(v, rc)}
}

// TestPacketDeadline has a packet that never becomes whole. Its bytes do not
// move the deadline.
func TestPacketDeadline(t *testing.T) {
	tests := []struct {
		name  string
		size  int           // of the payload
		start int           // bytes that come at once
		every time.Duration // between those that follow
	}{
		{"nothing follows", 100, 8, time.Hour},
		{"the first byte only", 100, 1, time.Hour},
		{"a byte a second", 100, 8, time.Second},
		{"the payload of a streamed PUBLISH stops", 100_000, 50_000, time.Hour},
		{"the payload of a streamed PUBLISH drips", 100_000, 50_000, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, v packets.Version) {
				h := open(t)
				defer h.close()
				client, broker := h.session(v, mqtttest.KeepAlive(3600))
				packet := mqtttest.Publish(v, 0, 0, "data/a", string(long(tt.size)))
				time.Sleep(time.Minute)
				client.Send(packet[:tt.start])
				go func() {
					for i := tt.start; i < len(packet); i++ {
						time.Sleep(tt.every)
						if _, err := client.Conn.Write(packet[i : i+1]); err != nil {
							return
						}
					}
				}()
				took := ended(client, "The session ends.", goodbye(v, packets.ProtocolError)...)
				if took != packetTimeout {
					t.Errorf("ended after %v, want %v", took, packetTimeout)
				}
				client.Close()
				broker.Close()
				h.expectEnd("ended packet_timeout")
				time.Sleep(time.Hour) // for the writer
			})
		})
	}
}

// TestDrippedPackets: nothing of a packet that comes a byte a second reaches the broker.
func TestDrippedPackets(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		for _, packet := range [][]byte{
			mqtttest.Subscribe(v, 1, string(long(100))),
			mqtttest.Publish(v, 1, 7, "data/"+string(long(100)), "x"),
		} {
			h := open(t)
			client, broker := h.session(v, mqtttest.KeepAlive(3600))
			go func() {
				for i := range packet {
					if _, err := client.Conn.Write(packet[i : i+1]); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
			if took := ended(client, "The session ends.", goodbye(v, packets.ProtocolError)...); took != packetTimeout {
				t.Errorf("ended after %v, want %v", took, packetTimeout)
			}
			client.Close()
			broker.ExpectClose("Nothing of it arrives.")
			h.expectEnd("ended packet_timeout")
			h.close()
			time.Sleep(time.Hour) // for the writer
		}
	})
}

// TestPacketDeadlineOfBroker is the same for the other direction. The client
// is not blamed.
func TestPacketDeadlineOfBroker(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		broker.Send(mqtttest.Publish(v, 0, 0, "data/a", "1")[:5])
		if took := ended(client, "The session ends.", goodbye(v, packets.UnspecifiedError)...); took != packetTimeout {
			t.Errorf("ended after %v, want %v", took, packetTimeout)
		}
		h.expectEnd("ended packet_timeout")
	})
}

// TestPacketDeadlineStartsAnew sends packets that take most of their time
// each: what counts is the single packet.
func TestPacketDeadlineStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, broker := h.session(packets.V5)
		for range 10 {
			p := mqtttest.Publish(packets.V5, 0, 0, "data/a", "1")
			client.Send(p[:3])
			time.Sleep(packetTimeout - 2*time.Second)
			client.Send(p[3:])
			broker.Expect("A slow packet is a packet.", p)
		}
	})
}

// TestPacketDeadlineBehindStream: what follows a streamed PUBLISH has its own time.
func TestPacketDeadlineBehindStream(t *testing.T) {
	for _, topic := range []string{"data/a", "dropped/a"} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			defer h.close()
			client, broker := h.session(packets.V5)
			large := mqtttest.Publish(packets.V5, 0, 0, topic, strings.Repeat("x", 50<<10))
			small := mqtttest.Publish(packets.V5, 0, 0, "data/a", "1")
			client.Send(large[:30<<10])
			time.Sleep(packetTimeout - 2*time.Second)
			client.Send(large[30<<10:], small[:3])
			time.Sleep(packetTimeout - 2*time.Second)
			client.Send(small[3:])
			if topic == "data/a" {
				broker.Expect("The large one is whole.", large)
			}
			broker.Expect("So is the small one.", small)
		})
	}
}

// TestKeepAlive has a client that falls silent. The proxy leaves the broker a
// second to see it first, and may be a second late itself.
func TestKeepAlive(t *testing.T) {
	const keepAlive = 60
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v, mqtttest.KeepAlive(keepAlive))
		for range 20 { // as late as a client may be
			time.Sleep(keepAlive * 3 / 2 * time.Second)
			client.Send(mqtttest.Pingreq())
			broker.Expect("A client that is late, but in time, stays.", mqtttest.Pingreq())
		}
		// Packets that come close together share a deadline, which is late rather
		// than early for the last of them.
		client.Send(mqtttest.Pingreq())
		time.Sleep(900 * time.Millisecond)
		client.Send(mqtttest.Pingreq())
		took := ended(client, "Silence ends the session.", goodbye(v, packets.KeepAliveTimeout)...)
		if least := 91 * time.Second; took < least || took > least+time.Second {
			t.Errorf("ended after %v, want %v and up to a second more", took, least)
		}
		broker.Expect("The last packets arrived.", mqtttest.Pingreq(), mqtttest.Pingreq())
		broker.ExpectClose("The Will is due.")
		h.expectEnd("ended keep_alive_timeout")
	})
}

func TestNoKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, broker := h.session(packets.V311)
		client.Send(mqtttest.Pingreq()[:1])
		time.Sleep(time.Second)
		client.Send(mqtttest.Pingreq()[1:])
		broker.Expect("The packet goes on.", mqtttest.Pingreq())
		time.Sleep(24 * time.Hour)
		client.Send(mqtttest.Pingreq())
		broker.Expect("The deadline of a packet does not outlive it.", mqtttest.Pingreq())
	})
}

// TestServerKeepAlive takes the broker's word over the client's.
func TestServerKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		connack := mqtttest.Connack(packets.V5, packets.Success, mqtttest.Uint16(packets.ServerKeepAlive, 10))
		client, _ := h.sessionWith(h.dial(packets.V5), packets.V5, connack, mqtttest.KeepAlive(3600))
		took := ended(client, "Silence ends the session.", goodbye(packets.V5, packets.KeepAliveTimeout)...)
		if took < 15*time.Second || took > 18*time.Second {
			t.Errorf("ended after %v, want 1.5 times 10s and little more", took)
		}
	})
}

// TestReaderThatStopped has a side that reads nothing: the other feels it as
// back-pressure, and in the end the session is over.
func TestReaderThatStopped(t *testing.T) {
	tests := []struct {
		name  string
		up    bool // the client sends
		topic string
	}{
		{"the client", false, "command/a"},
		{"the broker", true, "data/a"},
		{"the client, its own refusals", true, "denied/a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, v packets.Version) {
				h := open(t)
				defer h.close()
				client, broker := h.session(v)
				sender := broker
				if tt.up {
					sender = client
				}
				start := time.Now()
				sent := flood(sender, mqtttest.Publish(v, 1, 7, tt.topic, "x"))
				if took := time.Since(start); took < packetTimeout*3/4 || took > packetTimeout+lingering {
					t.Errorf("ended after %v, want %v or up to a quarter less", took, packetTimeout)
				}
				if limit := 1 << 20; sent > limit { // pipes and buffers; refusals are smaller than what they refuse
					t.Errorf("the proxy took %d bytes for a peer that reads nothing, want at most %d", sent, limit)
				}
				client.Close()
				broker.Close()
				h.expectEnd("ended write_timeout")
			})
		})
	}
}

// flood sends b again and again until the connection ends. It returns how many
// bytes were taken until the sender felt that nobody reads.
func flood(p *mqtttest.Peer, b []byte) (sent int) {
	p.Conn.SetWriteDeadline(time.Now().Add(packetTimeout / 3))
	var err error
	for n := 0; err == nil; sent += n {
		n, err = p.Conn.Write(b)
	}
	p.Conn.SetWriteDeadline(time.Time{})
	for err = nil; err == nil; {
		_, err = p.Conn.Write(b)
	}
	return sent
}

// TestSlowReader has a broker that reads just fast enough. The wait is not the
// client's fault: neither its Keep Alive nor the time of its packet runs out.
func TestSlowReader(t *testing.T) {
	const v, pause = packets.V5, 20 * time.Second
	fill := more(v, "data/fill")[:5] // more than a pipe holds
	t.Run("silence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			defer h.close()
			client, broker := h.session(v, mqtttest.KeepAlive(5))
			for range 5 {
				client.Send(fill...)
				synctest.Wait() // now the proxy waits for the broker
				time.Sleep(4 * time.Second)
				client.Send(mqtttest.Pingreq())
				time.Sleep(pause - 4*time.Second)
				broker.Expect("The session lives.", append(fill, mqtttest.Pingreq())...)
			}
		})
	})
	for _, reader := range []struct {
		pause       time.Duration
		bytes, size int
	}{{pause, 32 << 10, 400_000}, {400 * time.Millisecond, 16 << 10, 2_000_000}} { // each takes longer than a packet may
		t.Run(fmt.Sprintf("streaming, %d bytes each %v", reader.bytes, reader.pause), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				defer h.close()
				client, broker := h.session(v)
				large := stream(v, "data/large", reader.size)
				go client.Conn.Write(large)
				broker.Conn.SetReadDeadline(time.Time{})
				got := make([]byte, len(large))
				for n := 0; n < len(large); {
					time.Sleep(reader.pause)
					k, err := io.ReadFull(broker.Conn, got[n:min(n+reader.bytes, len(large))])
					if n += k; err != nil {
						t.Fatalf("after %d bytes: %v", n, err)
					}
				}
				if !bytes.Equal(got, large) {
					t.Error("the PUBLISH is not what was sent")
				}
			})
		})
	}
}

// TestNoLimits runs without any: what is slow stays.
func TestNoLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(p *proxy.Policy) { p.Limits = proxy.Limits{} })
		defer h.close()
		client := h.dial(packets.V5)
		connect := mqtttest.Connect(packets.V5, "device")
		client.Send(connect[:3])
		time.Sleep(time.Hour)
		client.Send(connect[3:])
		broker := h.answer(packets.V5)
		broker.Expect("The CONNECT goes on.", connect)
		time.Sleep(time.Hour)
		broker.Send(mqtttest.Connack(packets.V5, packets.Success))
		client.Expect("The CONNACK comes back.", mqtttest.Connack(packets.V5, packets.Success))
		p := mqtttest.Publish(packets.V5, 0, 0, "data/a", "1")
		client.Send(p[:3])
		time.Sleep(time.Hour)
		client.Send(p[3:])
		broker.Expect("The packet goes on.", p)
	})
}
