package filters

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// TestSubscribe shows on the wire what becomes of a SUBSCRIBE and its SUBACK.
func TestSubscribe(t *testing.T) {
	// "no/…" is refused. The options stand behind each filter.
	const (
		v3   = "\x00\x04no/b\x01" + "\x00\x01a\x00" + "\x00\x01c\x02" + "\x00\x04no/d\x02" + "\x00\x01e\x01"
		up3  = "\x00\x01a\x00" + "\x00\x01c\x02" + "\x00\x01e\x01"
		some = "\x00\x01a\x01" + "\x00\x0ano/quota/1\x01" + "\x00\x04no/d\x02"
		all  = "\x00\x01a\x01" + "\x00\x01b\x02"
		none = "\x00\x04no/a\x02" + "\x00\x05no/+/\x00"
	)
	tests := []struct {
		name    string
		version packets.Version
		packet  string // SUBSCRIBE
		want    Action
		bytes   string // what goes to the broker, or back
		suback  string // of the broker
		merged  string // for the client; empty: as it came
	}{
		{"some", packets.V31, "\x82\x1c\x12\x34" + v3, Rewrite, "\x82\x0e\x12\x34" + up3, "\x90\x05\x12\x34\x00\x01\x01", "\x90\x07\x12\x34\x01\x00\x01\x02\x01"},
		{"some", packets.V311, "\x82\x1c\x12\x34" + v3, Rewrite, "\x82\x0e\x12\x34" + up3, "\x90\x05\x12\x34\x00\x80\x01", "\x90\x07\x12\x34\x80\x00\x80\x80\x01"},
		{
			"some, repeated by a client of MQTT 3.1", packets.V31, "\x8a\x1c\x12\x34" + v3, Rewrite, "\x82\x0e\x12\x34" + up3,
			"\x90\x05\x12\x34\x00\x01\x01", "\x90\x07\x12\x34\x01\x00\x01\x02\x01",
		},
		{
			"some, with properties both ways", packets.V5,
			"\x82\x24\x00\x07\x09\x0b\x05\x26\x00\x01k\x00\x01v" + some, Rewrite,
			"\x82\x10\x00\x07\x09\x0b\x05\x26\x00\x01k\x00\x01v" + "\x00\x01a\x01",
			"\x90\x09\x00\x07\x05\x1f\x00\x02ok\x00", "\x90\x0b\x00\x07\x05\x1f\x00\x02ok\x00\x97\x87",
		},
		{
			"some, with options", packets.V5,
			"\x82\x11\x00\x07\x00" + "\x00\x01a\x2d" + "\x00\x01b\x16" + "\x00\x03no/\x01", Rewrite,
			"\x82\x0b\x00\x07\x00" + "\x00\x01a\x2d" + "\x00\x01b\x16",
			"\x90\x05\x00\x07\x00\x97\x02", "\x90\x06\x00\x07\x00\x97\x02\x87",
		},
		{"none", packets.V31, "\x82\x11\x00\x07" + none, Reply, "\x90\x04\x00\x07\x02\x00", "", ""},
		{"none", packets.V311, "\x82\x11\x00\x07" + none, Reply, "\x90\x04\x00\x07\x80\x80", "", ""},
		{"none", packets.V5, "\x82\x12\x00\x07\x00" + none, Reply, "\x90\x05\x00\x07\x00\x87\x87", "", ""},
		{"all", packets.V31, "\x82\x0a\x00\x07" + all, Forward, "", "\x90\x04\x00\x07\x01\x01", ""},
		{"all", packets.V311, "\x82\x0a\x00\x07" + all, Forward, "", "\x90\x04\x00\x07\x01\x80", ""},
		{"all", packets.V5, "\x82\x0b\x00\x07\x00" + all, Forward, "", "\x90\x05\x00\x07\x00\x01\x87", ""},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("MQTT %v: %s", tt.version, tt.name), func(t *testing.T) {
			steps := []step{{say: "SUBSCRIBE", packet: []byte(tt.packet), want: tt.want, bytes: tt.bytes}}
			if tt.suback != "" {
				answer := step{say: "SUBACK", packet: []byte(tt.suback), want: Forward, bytes: tt.merged}
				if tt.merged != "" {
					answer.want = Rewrite
				}
				steps = append(steps, answer, step{say: "a second SUBACK is not ours", packet: []byte(tt.suback), want: Forward})
			}
			play(t, Chain{guard}, tt.version, append(steps, steps...)) // the identifier is free again
		})
	}
}

// TestSubscribeInFlight: several at once, answered in any order.
func TestSubscribeInFlight(t *testing.T) {
	const v = packets.V311
	play(t, Chain{guard}, v, []step{
		{say: "first", packet: subscribe(v, 1, "a", "no/a"), want: Rewrite, bytes: "\x82\x06\x00\x01\x00\x01a\x01"},
		{say: "second", packet: subscribe(v, 2, "no/b", "b", "c"), want: Rewrite, bytes: "\x82\x0a\x00\x02\x00\x01b\x01\x00\x01c\x01"},
		{say: "third, all of it allowed", packet: subscribe(v, 3, "d"), want: Forward},
		{say: "fourth, nothing of it", packet: subscribe(v, 4, "no/d"), want: Reply, bytes: "\x90\x03\x00\x04\x80"},
		{say: "the answer to the third", packet: suback(v, 3, 1), want: Forward},
		{say: "to the second", packet: suback(v, 2, 0, 1), want: Rewrite, bytes: "\x90\x05\x00\x02\x80\x00\x01"},
		{say: "fifth", packet: subscribe(v, 2, "no/e", "e"), want: Rewrite, bytes: "\x82\x06\x00\x02\x00\x01e\x01"},
		{say: "to the first", packet: suback(v, 1, 0x80), want: Rewrite, bytes: "\x90\x04\x00\x01\x80\x80"},
		{say: "to the fifth", packet: suback(v, 2, 2), want: Rewrite, bytes: "\x90\x04\x00\x02\x80\x02"},
		{say: "one that nobody asked for", packet: suback(v, 9, 0), want: Forward},
	})
}

// TestSubscribeEnds: what ends a session.
func TestSubscribeEnds(t *testing.T) {
	for _, v := range versions {
		first := subscribe(v, 7, "a", "no/a", "b")
		onward := string(subscribe(v, 7, "a", "b"))
		sent := step{say: "in part", packet: first, want: Rewrite, bytes: onward}
		for _, codes := range [][]packets.ReasonCode{{0}, {0, 0, 0}, {0, 0, 0, 0}} {
			play(t, Chain{guard}, v, []step{
				sent,
				{say: fmt.Sprintf("%d codes for 2 filters", len(codes)), packet: suback(v, 7, codes...), want: Disconnect, reason: packets.ProtocolError},
			})
		}
		for _, second := range [][]byte{first, subscribe(v, 7, "c"), subscribe(v, 7, "no/c")} {
			play(t, Chain{guard}, v, []step{
				sent,
				{say: "identifier in use", packet: second, want: Disconnect, reason: packets.ProtocolError},
			})
		}
		play(t, Chain{judge(func(s *Session, p *packets.Packet) Verdict { return Deny(s, p, 0x87, "") })}, v, []step{
			{say: "what is answered here", packet: subscribe(v, 7, "a"), want: Reply, bytes: string(refusedBy(v))},
			{say: "leaves its identifier free", packet: subscribe(v, 7, "a"), want: Reply, bytes: string(refusedBy(v))},
		})
	}
}

// refusedBy is the SUBACK that refuses one filter of QoS 1 under identifier 7.
func refusedBy(v packets.Version) []byte {
	return suback(v, 7, map[packets.Version]packets.ReasonCode{packets.V31: 1, packets.V311: 0x80, packets.V5: 0x87}[v])
}

// TestSubscribeBound: what waits for a SUBACK is bounded by its filters, in
// few packets or in many.
func TestSubscribeBound(t *testing.T) {
	const v = packets.V311
	for _, size := range []int{2, 16, 1024} {
		filters := slices.Repeat([]string{"a"}, size-1)
		codes := slices.Repeat([]packets.ReasonCode{packets.Success}, size-1)
		var steps []step
		part := func(id uint16, want Action) {
			s := step{say: fmt.Sprint("SUBSCRIBE ", id), packet: subscribe(v, id, append(filters, "no/a")...), want: want, reason: packets.ReceiveMaximumExceeded}
			if want == Rewrite {
				s.bytes = string(subscribe(v, id, filters...))
			}
			steps = append(steps, s)
		}
		last := uint16(maxWaiting / size)
		for id := range last {
			part(id+1, Rewrite)
		}
		steps = append(
			steps,
			step{say: "what is answered here needs no room", packet: subscribe(v, 5001, "no/a"), want: Reply, bytes: string(suback(v, 5001, 0x80))},
			step{say: "an answer makes room", packet: suback(v, 1, codes...), want: Rewrite, bytes: string(suback(v, 1, append(codes, 0x80)...))},
		)
		part(last+1, Rewrite)
		part(last+2, Disconnect)
		play(t, Chain{guard}, v, steps)
	}
}

// TestSubscribeKeepsDelay: a SUBSCRIBE that waits does so merged too, and so
// does its SUBACK.
func TestSubscribeKeepsDelay(t *testing.T) {
	const v = packets.V5
	slow := says(Verdict{Action: Forward, Delay: time.Second})
	s := &Session{Version: v}
	for _, b := range [][]byte{subscribe(v, 7, "a", "no/a"), subscribe(v, 8, "no/a")} {
		if got := (Chain{slow, guard}).JudgeUp(time.Time{}, s, parse(t, b, v, packets.Client)); got.Delay != time.Second {
			t.Errorf("% x: delay %v", b, got.Delay)
		}
	}
	got := (Chain{slow}).JudgeDown(time.Time{}, s, parse(t, suback(v, 7, 0), v, packets.Server))
	if got.Action != Rewrite || got.Delay != time.Second {
		t.Errorf("SUBACK: %+v", got)
	}
}

// TestBothPumps: two goroutines judge one session, as the pumps do. The race
// detector watches.
func TestBothPumps(t *testing.T) {
	const v, rounds = packets.V311, 500
	s, chain := &Session{Version: v}, Chain{guard}
	broker := make(chan []byte, 64)
	var pumps sync.WaitGroup
	pumps.Go(func() {
		defer close(broker)
		for i := range uint16(rounds) {
			id := i + 1
			for _, b := range [][]byte{publish(v, 2, id, "no/a"), pubrel(v, id)} {
				if got := chain.JudgeUp(time.Time{}, s, parse(t, b, v, packets.Client)); got.Action != Reply {
					t.Errorf("% x: %+v", b, got)
				}
			}
			b := subscribe(v, id, "a", "no/a")
			got := chain.JudgeUp(time.Time{}, s, parse(t, b, v, packets.Client))
			if got.Action != Rewrite {
				t.Errorf("% x: %+v", b, got)
				return
			}
			broker <- suback(v, id, 1)
		}
	})
	pumps.Go(func() {
		for b := range broker {
			got := chain.JudgeDown(time.Time{}, s, parse(t, b, v, packets.Server))
			if got.Action != Rewrite || !strings.HasSuffix(string(got.Packet), "\x01\x80") {
				t.Errorf("% x: %+v", b, got)
			}
		}
	})
	pumps.Wait()
	if len(s.flows.ids) > 0 || s.waiting != 0 || s.Owed() {
		t.Errorf("%d flows and %d filters left over", len(s.flows.ids), s.waiting)
	}
}

// TestForwardAllocations: a packet that is allowed costs no memory.
func TestForwardAllocations(t *testing.T) {
	for _, v := range versions {
		s, chain := &Session{Version: v}, Chain{says(Pass()), guard}
		for _, b := range [][]byte{publish(v, 0, 0, "a/b"), publish(v, 1, 7, "a/b"), publish(v, 2, 7, "a/b"), pubrel(v, 7), []byte("\xc0\x00")} {
			p := parse(t, b, v, packets.Client)
			if n := testing.AllocsPerRun(100, func() { chain.JudgeUp(time.Time{}, s, p) }); n > 0 {
				t.Errorf("MQTT %v: % x: %v allocations", v, b, n)
			}
		}
	}
}
