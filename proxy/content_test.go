package proxy_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters/payload"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// inspected is a policy that wants JSON of up to 256 KiB below json/, and says
// with the next level what becomes of others.
func inspected(t testing.TB) func(*proxy.Policy) {
	t.Helper()
	const size = 256 << 10
	f, err := payload.New([]payload.Check{
		{Place: "refusing", Topics: []string{"json/refuse"}, Format: payload.JSON, MaxSize: size},
		{Place: "dropping", Topics: []string{"json/drop"}, Format: payload.JSON, MaxSize: size, Action: payload.Drop},
		{Place: "reporting", Topics: []string{"json/report"}, Format: payload.JSON, MaxSize: size, Action: payload.Report},
		{Place: "small", Topics: []string{"small/#"}, MaxSize: 10},
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(p *proxy.Policy) { p.Up = append(p.Up, f) }
}

// text is a JSON string of n bytes, and one that is none.
func text(n int) (sound, broken string) {
	sound = `"` + strings.Repeat("0123456789abcdef", n/16+1)[:n-2] + `"`
	return sound, sound[:n-1] + "\n"
}

// TestGathered judges payloads of all sizes by all of their bytes, however they
// come, and keeps the order of what is in front and behind.
func TestGathered(t *testing.T) {
	for _, size := range []int{100, 17_000, 100_000, 256 << 10} {
		for _, piece := range []int{0, 1 << 10, 16 << 10} {
			t.Run(fmt.Sprintf("%d bytes by %d", size, piece), func(t *testing.T) {
				each(t, func(t *testing.T, v packets.Version) {
					h := open(t, inspected(t))
					defer h.close()
					client, broker := h.session(v)
					before, behind := mqtttest.Publish(v, 0, 0, "data/before", "x"), mqtttest.Publish(v, 0, 0, "data/behind", "x")
					sound, broken := text(size)
					send := func(large []byte) {
						stream := concat(before, large, behind)
						if piece == 0 {
							go client.Send(stream)
							return
						}
						go client.Send(slices.Collect(slices.Chunk(stream, piece))...)
					}
					for _, topic := range []string{"json/refuse", "json/drop", "json/report"} {
						large := mqtttest.Publish(v, 1, 7, topic, sound)
						send(large)
						broker.Expect("JSON goes on as it came, in order.", before, large, behind)
					}
					send(mqtttest.Publish(v, 1, 8, "json/refuse", broken))
					broker.Expect("What is no JSON does not go on.", before, behind)
					client.Expect("It is refused.", mqtttest.Ack(v, packets.PUBACK, 8, packets.PayloadFormatInvalid))
					send(mqtttest.Publish(v, 1, 9, "json/drop", broken))
					broker.Expect("What is dropped does not go on.", before, behind)
					client.Expect("It is acknowledged with success.", mqtttest.Ack(v, packets.PUBACK, 9, packets.Success))
					reported := mqtttest.Publish(v, 1, 10, "json/report", broken)
					send(reported)
					broker.Expect("What is reported goes on.", before, reported, behind)
					synctest.Wait()
					for count, want := range map[string]int{
						"decided payload refused": 1, "decided payload dropped": 1, "decided payload reported": 1,
						"decided publish denied": 2, "decided publish allowed": 16, "packets up": 18,
					} {
						if got := h.seen.count(count); got != want {
							t.Errorf("%s: %d, want %d", count, got, want)
						}
					}
					lines := strings.Join(h.audit.all(), "\n")
					for _, want := range []string{"payload refused", "payload dropped", "payload reported", "topic=json/refuse", "rule=dropping: payload is not JSON"} {
						if !strings.Contains(lines, want) {
							t.Errorf("the audit log has no %q:\n%s", want, lines)
						}
					}
					if strings.Contains(lines, "publish denied") || strings.Contains(lines, "0123456789") {
						t.Errorf("the audit log tells it twice, or has a payload:\n%.2000s", lines)
					}
				})
			})
		}
	}
}

// TestGatheredWhole: nothing of a message goes on before all of it has come, and
// what is in front does.
func TestGatheredWhole(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, inspected(t))
		defer h.close()
		client, broker := h.session(v)
		sound, _ := text(50_000)
		before, large := mqtttest.Publish(v, 0, 0, "data/before", "x"), mqtttest.Publish(v, 2, 7, "json/refuse", sound)
		client.Send(concat(before, large[:20_000]))
		broker.Expect("What is in front does not wait.", before)
		client.Send(large[20_000 : len(large)-1])
		broker.ExpectSilence("A byte is missing.", time.Second)
		client.Send(large[len(large)-1:])
		broker.Expect("Now it is whole.", large)
	})
}

// TestGatheredQoS2 ends a flow of QoS 2 that the broker never sees.
func TestGatheredQoS2(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, inspected(t))
		defer h.close()
		client, broker := h.session(v)
		_, broken := text(50_000)
		client.Send(mqtttest.Publish(v, 2, 7, "json/drop", broken))
		client.Expect("It is taken.", mqtttest.Ack(v, packets.PUBREC, 7, packets.Success))
		client.Send(mqtttest.Ack(v, packets.PUBREL, 7, packets.Success))
		client.Expect("And released.", mqtttest.Ack(v, packets.PUBCOMP, 7, packets.Success))
		client.Send(mqtttest.Publish(v, 2, 8, "json/refuse", broken))
		client.Expect("It is refused.", mqtttest.Ack(v, packets.PUBREC, 8, packets.PayloadFormatInvalid))
		if v != packets.V5 {
			client.Send(mqtttest.Ack(v, packets.PUBREL, 8, packets.Success))
			client.Expect("The flow ends.", mqtttest.Ack(v, packets.PUBCOMP, 8, packets.Success))
		}
		broker.ExpectSilence("The broker has seen none of it.", time.Second)
	})
}

// TestGatheredAlias judges by the Topic Name that an alias stands for.
func TestGatheredAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V5
		h := open(t, inspected(t))
		defer h.close()
		client, broker := h.sessionWith(h.dial(v), v, mqtttest.Connack(v, packets.Success, mqtttest.Uint32(packets.MaximumPacketSize, 1<<20), mqtttest.Uint16(packets.TopicAliasMaximum, 5)))
		sound, broken := text(50_000)
		alias := mqtttest.Uint16(packets.TopicAlias, 3)
		client.Send(mqtttest.Publish(v, 1, 1, "json/refuse", broken, alias))
		client.Expect("It is refused.", mqtttest.Ack(v, packets.PUBACK, 1, packets.PayloadFormatInvalid))
		client.Send(mqtttest.Publish(v, 1, 2, "", broken, alias))
		client.Expect("By its alias alone it is, too.", mqtttest.Ack(v, packets.PUBACK, 2, packets.PayloadFormatInvalid))
		client.Send(mqtttest.Publish(v, 1, 3, "", sound, alias))
		broker.Expect("The broker is told the name that it has not seen.", mqtttest.Publish(v, 1, 3, "json/refuse", sound, alias))
	})
}

// TestGatheredDeadline: a message that is waited for has the time of one packet.
func TestGatheredDeadline(t *testing.T) {
	for _, every := range []time.Duration{time.Hour, time.Second} {
		each(t, func(t *testing.T, v packets.Version) {
			h := open(t, inspected(t))
			defer h.close()
			client, broker := h.session(v, mqtttest.KeepAlive(3600))
			sound, _ := text(100_000)
			packet := mqtttest.Publish(v, 0, 0, "json/refuse", sound)
			time.Sleep(time.Minute)
			client.Send(packet[:1])
			time.Sleep(packetTimeout / 2) // the packet has begun, before anybody knows what it is
			client.Send(packet[1:50_000])
			go func() {
				for i := 50_000; i < len(packet); i++ {
					time.Sleep(every)
					if _, err := client.Conn.Write(packet[i : i+1]); err != nil {
						return
					}
				}
			}()
			if took := ended(client, "The session ends.", goodbye(v, packets.ProtocolError)...); took != packetTimeout/2 {
				t.Errorf("ended after %v, want %v", took, packetTimeout/2)
			}
			client.Close()
			broker.ExpectGone("The broker gets nothing of it.")
			broker.Close()
			h.expectEnd("ended packet_timeout")
			time.Sleep(time.Hour) // for the writer
		})
	}
}

// TestGatheredReload: who waits for the rest of a message is judged by the rules
// of the time at which it is there.
func TestGatheredReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const v = packets.V5
		h := open(t, inspected(t))
		defer h.close()
		client, broker := h.session(v)
		_, broken := text(50_000)
		large := mqtttest.Publish(v, 1, 7, "json/refuse", broken)
		client.Send(large[:30_000])
		synctest.Wait()
		h.listener.SetPolicy(h.newPolicy())
		client.Send(large[30_000:])
		broker.Expect("Nothing is checked any more.", large)
		h.listener.SetPolicy(h.newPolicy(inspected(t)))
		client.Send(large)
		client.Expect("Now it is.", mqtttest.Ack(v, packets.PUBACK, 7, packets.PayloadFormatInvalid))
	})
}

// TestWillPayload refuses a Will with its CONNECT, before the broker is dialled.
func TestWillPayload(t *testing.T) {
	tests := []struct {
		topic, outcome, end string
		rc                  packets.ReasonCode
	}{
		{"json/refuse", "refused", "refused connect_denied", packets.PayloadFormatInvalid},
		{"json/drop", "refused", "refused connect_denied", packets.PayloadFormatInvalid},
		{"small/a", "refused", "refused connect_denied", packets.PacketTooLarge},
		{"json/report", "reported", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.topic, func(t *testing.T) {
			each(t, func(t *testing.T, v packets.Version) {
				h := open(t, inspected(t))
				defer h.close()
				will := mqtttest.Will(tt.topic, "this is no JSON")
				if tt.end == "" {
					h.session(v, will)
				} else {
					client := h.dial(v)
					client.Send(mqtttest.Connect(v, "device", will))
					client.Expect("The CONNECT is refused.", mqtttest.Connack(v, tt.rc))
					client.ExpectClose("And the connection ends.")
					client.Close()
					h.expectEnd(tt.end)
					if n := h.dials.Load(); n != 0 {
						t.Errorf("the broker was dialled %d times", n)
					}
				}
				if n := h.seen.count("decided payload " + tt.outcome); n != 1 {
					t.Errorf("counted %d times as %s", n, tt.outcome)
				}
			})
		})
	}
}

// TestLargeIsNotGathered: what its length or its topic decides is not held, and
// costs the memory of a chunk.
func TestLargeIsNotGathered(t *testing.T) {
	const v, size = packets.V5, 10_000_000
	tests := []struct {
		topic  string
		passes bool
	}{
		{"data/large", true},
		{"small/large", false},
		{"json/refuse", false},
		{"json/report", true},
	}
	for _, tt := range tests {
		t.Run(tt.topic, func(t *testing.T) {
			h := open(t, inspected(t))
			defer h.close()
			client, broker := h.session(v)
			spent := allocated(func() {
				head := packets.AppendPublish(nil, v, 2, []byte(tt.topic), 7, nil, nil, size)
				go func() {
					if _, err := client.Conn.Write(head); err != nil {
						return
					}
					chunk := make([]byte, 64<<10)
					for rest := size; rest > 0; {
						n, err := client.Conn.Write(chunk[:min(rest, len(chunk))])
						if rest -= n; err != nil {
							return
						}
					}
				}()
				if !tt.passes {
					client.Expect("It is refused when all of it has come.", mqtttest.Ack(v, packets.PUBACK, 7, packets.QuotaExceeded))
					return
				}
				into := make([]byte, 64<<10)
				for rest := size + len(head); rest > 0; {
					n, err := broker.Conn.Read(into)
					if err != nil {
						t.Fatal(err)
					}
					rest -= n
				}
			})
			if spent > size/2 {
				t.Errorf("%d bytes were allocated for a PUBLISH of %d, want less than half", spent, size)
			}
		})
	}
}

// TestSlowGathered: clients that announce much and send little hold little.
func TestSlowGathered(t *testing.T) {
	const clients, sent = 20, 20_000
	synctest.Test(t, func(t *testing.T) {
		h := open(t, inspected(t))
		defer h.close()
		var slow []*mqtttest.Peer
		for range clients {
			client, _ := h.session(packets.V311)
			slow = append(slow, client)
		}
		head := packets.AppendPublish(nil, packets.V311, 0, []byte("json/refuse"), 0, nil, bytes.Repeat([]byte(" "), sent), 256<<10-sent)
		spent := allocated(func() {
			for _, client := range slow {
				client.Send(head)
			}
			synctest.Wait()
		})
		if most := uint64(clients * 8 * sent); spent > most { // two buffers of 64 KiB, of which the race detector's pools forget some
			t.Errorf("%d clients that sent %d bytes each made us allocate %d bytes, want at most %d", clients, sent, spent, most)
		}
	})
}

// allocated returns how many bytes are allocated while f runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
