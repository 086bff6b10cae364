package proxy_test

import (
	"bytes"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// TestBurst judges packets that come in one write: what goes on goes on in its
// order, and each refusal is answered in its order.
func TestBurst(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		data := func(id uint16) []byte { return mqtttest.Publish(v, 1, id, "data/a", "payload") }
		client.Send(
			mqtttest.Publish(v, 0, 0, "dropped/first", "x"),
			data(1),
			mqtttest.Publish(v, 0, 0, "denied/a", "x"),
			mqtttest.Publish(v, 1, 2, "denied/a", "x"),
			data(3),
			data(4),
			mqtttest.Publish(v, 0, 0, "renamed/a", "x"),
			mqtttest.Pingreq(),
			mqtttest.Publish(v, 2, 5, "denied/a", "x"),
			mqtttest.Publish(v, 1, 6, "dropped/a", "x"),
			data(7),
			mqtttest.Publish(v, 0, 0, "dropped/last", "x"),
		)
		broker.Expect("What is allowed goes on, as it came or rewritten, in order.",
			data(1), data(3), data(4), mqtttest.Publish(v, 0, 0, "new/renamed/a", "x"), mqtttest.Pingreq(), data(7))
		client.Expect("Refusals are answered in order; QoS 0 and dropped packets are not.",
			mqtttest.Ack(v, packets.PUBACK, 2, packets.NotAuthorized), mqtttest.Ack(v, packets.PUBREC, 5, packets.NotAuthorized))

		client.Send(mqtttest.Ack(v, packets.PUBREL, 5, packets.Success), data(8))
		if v == packets.V5 {
			broker.Expect("The refusal has ended the flow; a PUBREL is none of ours.", mqtttest.Ack(v, packets.PUBREL, 5, packets.Success), data(8))
		} else {
			client.Expect("The refused flow is finished here.", mqtttest.Ack(v, packets.PUBCOMP, 5, packets.Success))
			broker.Expect("The broker hears nothing of it.", data(8))
		}
		if n := h.seen.count("decided publish denied"); n != 6 {
			t.Errorf("%d publishes denied, want 6 with those that were dropped", n)
		}
	})
}

// TestBurstCutAnywhere sends a burst in two writes, cut at every place.
func TestBurstCutAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		const v = packets.V5
		client, broker := h.session(v)
		allowed := mqtttest.Publish(v, 1, 1, "data/a", "payload")
		burst := concat(allowed, mqtttest.Publish(v, 1, 2, "denied/a", "x"), mqtttest.Publish(v, 0, 0, "renamed/a", "x"), allowed)
		for cut := 1; cut < len(burst); cut++ {
			client.Send(burst[:cut])
			synctest.Wait()
			client.Send(burst[cut:])
			broker.Expect("What is allowed goes on.", allowed, mqtttest.Publish(v, 0, 0, "new/renamed/a", "x"), allowed)
			client.Expect("What is refused is answered.", mqtttest.Ack(v, packets.PUBACK, 2, packets.NotAuthorized))
		}
		if n, want := h.seen.count("bytes up"), len(burst)*(len(burst)-1); n != want {
			t.Errorf("%d bytes counted, want %d", n, want)
		}
	})
}

// TestDeliveryIsJudged drops and rewrites on the way to the client.
func TestDeliveryIsJudged(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		a, b := mqtttest.Publish(v, 0, 0, "data/a", "1"), mqtttest.Publish(v, 1, 2, "data/b", "2")
		broker.Send(a, mqtttest.Publish(v, 0, 0, "dropped/a", "x"), mqtttest.Publish(v, 1, 9, "denied/a", "x"), mqtttest.Publish(v, 0, 0, "renamed/a", "x"), b)
		client.Expect("What is allowed arrives in order.", a, mqtttest.Publish(v, 0, 0, "new/renamed/a", "x"), b)
		broker.Expect("The flow of what is not is finished.", mqtttest.Ack(v, packets.PUBACK, 9, packets.NotAuthorized))
	})
}

// TestKick ends a session by verdict: what came before goes on, what comes
// behind does not.
func TestKick(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		before := mqtttest.Publish(v, 0, 0, "data/a", "1")
		client.Send(before, mqtttest.Publish(v, 1, 2, "denied/a", "x"), mqtttest.Publish(v, 0, 0, "kicked/a", "x"), before, long(60_000))
		broker.Expect("What came before the verdict goes on.", before)
		broker.ExpectClose("Then the broker's side ends without DISCONNECT.")
		client.Expect("Earlier refusals are answered.", mqtttest.Ack(v, packets.PUBACK, 2, packets.NotAuthorized))
		client.Expect("MQTT 5.0 clients are told why.", goodbye(v, packets.AdministrativeAction)...)
		client.ExpectClose("The end is orderly, though not all was read.")
		client.Close()
		broker.Close()
		h.expectEnd("ended policy")
	})
}

// stream is a PUBLISH that fits no buffer.
func stream(v packets.Version, topic string, size int) []byte {
	payload := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	return mqtttest.Publish(v, 1, 77, topic, string(payload))
}

// TestStream passes, drops and rewrites a PUBLISH of 1 MiB, with packets before
// and behind it. However large it is, little of it is in memory.
func TestStream(t *testing.T) {
	const size = 1 << 20
	tests := []struct {
		topic, arrives string // the second empty: it does not
		answer         bool
	}{
		{"data/large", "data/large", false},
		{"renamed/large", "new/renamed/large", false},
		{"dropped/large", "", false},
		{"denied/large", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.topic, func(t *testing.T) {
			each(t, func(t *testing.T, v packets.Version) {
				h := open(t)
				defer h.close()
				client, broker := h.session(v)
				before, behind := mqtttest.Publish(v, 0, 0, "data/before", "x"), mqtttest.Publish(v, 0, 0, "data/behind", "x")
				large := stream(v, tt.topic, size)
				go client.Send(before, large, behind)
				broker.Expect("What was in front comes first.", before)
				if tt.arrives != "" {
					broker.Expect("The large PUBLISH goes on.", stream(v, tt.arrives, size))
				}
				broker.Expect("What was behind comes last.", behind)
				if tt.answer {
					client.Expect("A refusal is answered.", mqtttest.Ack(v, packets.PUBACK, 77, packets.NotAuthorized))
				}
				if n := h.seen.count("packets up"); n != 3 {
					t.Errorf("%d packets counted, want 3", n)
				}
			})
		})
	}
}

// TestRefusalWaitsForTheWhole answers a refused PUBLISH when all of it has
// come, as any receiver does.
func TestRefusalWaitsForTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, _ := h.session(packets.V5)
		large := stream(packets.V5, "denied/large", 60_000)
		client.Send(large[:len(large)-1])
		client.ExpectSilence("A byte is missing.", time.Second)
		client.Send(large[len(large)-1:])
		client.Expect("Now it is here.", mqtttest.Ack(packets.V5, packets.PUBACK, 77, packets.NotAuthorized))
	})
}

// TestStreamInMemory measures what a large PUBLISH costs. Under the race detector,
// pools forget some of what they are given.
func TestStreamInMemory(t *testing.T) {
	h := open(t)
	defer h.close()
	client, broker := h.session(packets.V5)
	const size = 8<<20 - 100
	chunk := make([]byte, 64<<10)
	sent := make(chan struct{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	head := packets.AppendPublish(nil, packets.V5, 0, []byte("data/large"), 0, nil, nil, size)
	go func() {
		defer close(sent)
		client.Conn.Write(head)
		for rest := size; rest > 0; {
			n, err := client.Conn.Write(chunk[:min(rest, len(chunk))])
			if rest -= n; err != nil {
				return
			}
		}
	}()
	into := make([]byte, 64<<10)
	for rest := size + len(head); rest > 0; {
		n, err := broker.Conn.Read(into)
		if err != nil {
			t.Fatal(err)
		}
		rest -= n
	}
	<-sent
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > size/2 {
		t.Errorf("%d bytes were allocated for a PUBLISH of %d, want less than half", spent, size)
	}
}

// TestStreamsBothWays streams in both directions at once, with refusals on the
// way: nothing gets into the middle of a packet, and nobody waits for ever.
func TestStreamsBothWays(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t)
		defer h.close()
		client, broker := h.session(v)
		large, denied := stream(v, "data/large", 200_000), mqtttest.Publish(v, 1, 9, "denied/a", "x")
		refusal := mqtttest.Ack(v, packets.PUBACK, 9, packets.NotAuthorized)
		const rounds = 20
		go func() {
			for range rounds {
				client.Send(large, denied)
			}
		}()
		go func() {
			for range rounds {
				broker.Send(large, denied)
			}
		}()
		var both sync.WaitGroup
		for _, p := range []*mqtttest.Peer{client, broker} {
			both.Go(func() { expectMix(t, p, large, refusal, rounds) })
		}
		both.Wait()
	})
}

// expectMix expects rounds of both packets, mixed in any way.
func expectMix(t *testing.T, p *mqtttest.Peer, a, b []byte, rounds int) {
	got := make([]byte, rounds*(len(a)+len(b)))
	if n, err := io.ReadFull(p.Conn, got); err != nil {
		t.Errorf("%d bytes came and %v, want %d", n, err, len(got))
		return
	}
	for as, bs := 0, 0; as < rounds || bs < rounds; {
		switch {
		case as < rounds && bytes.HasPrefix(got, a):
			as, got = as+1, got[len(a):]
		case bs < rounds && bytes.HasPrefix(got, b):
			bs, got = bs+1, got[len(b):]
		default:
			t.Errorf("behind %d and %d packets come % x, which is none", as, bs, got[:10])
			return
		}
	}
}

// TestRefusalDuringStream holds a refusal back while a large PUBLISH is on its
// way to the same client.
func TestRefusalDuringStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		const v = packets.V5
		client, broker := h.session(v)
		large := stream(v, "data/large", 40_000)
		broker.Send(large[:30_000])
		synctest.Wait()
		client.Send(mqtttest.Publish(v, 1, 9, "denied/a", "x"))
		broker.Send(large[30_000:])
		client.Expect("The PUBLISH is whole, and the refusal comes behind it.", large, mqtttest.Ack(v, packets.PUBACK, 9, packets.NotAuthorized))
	})
}

// TestShutdownInMidStream cuts a large PUBLISH: nothing may follow on a stream
// that is not whole.
func TestShutdownInMidStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		const v = packets.V5
		client, broker := h.session(v)
		large := stream(v, "data/large", 40_000)
		for _, p := range []*mqtttest.Peer{client, broker} {
			p.Send(large[:30_000])
		}
		synctest.Wait()
		go h.server.Shutdown(t.Context())
		for _, p := range []*mqtttest.Peer{client, broker} {
			got, err := io.ReadAll(p.Conn)
			if !bytes.Equal(got, large[:30_000]) || err != nil {
				t.Errorf("%d bytes arrived (%v), want the 30000 that were sent and no DISCONNECT among them", len(got), err)
			}
		}
		h.expectEnd("ended shutdown")
	})
}
