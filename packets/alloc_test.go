package packets

import (
	"bytes"
	"errors"
	"testing"
)

// endless is a stream that repeats a packet for ever.
type endless struct {
	b   []byte
	pos int
}

// repeat makes pieces that are large beside the packet, as sockets give them.
func repeat(packet []byte) *endless {
	return &endless{b: bytes.Repeat(packet, 1+1<<16/len(packet))}
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.b[e.pos:])
	e.pos = (e.pos + n) % len(e.b)
	return n, nil
}

// next reads one packet as a session does.
func next(tb testing.TB, r *Reader, src *endless) *Packet {
	for {
		p, err := r.Next()
		if err == nil {
			return p
		}
		if !errors.Is(err, ErrShort) {
			tb.Fatal(err)
		}
		if !r.Room() {
			r.Compact()
		}
		if err := r.Fill(src); err != nil {
			tb.Fatal(err)
		}
	}
}

// load is what sessions consist of.
var load = []struct {
	name string
	c    connection
	wire string
}{
	{"PUBLISH QoS 0 of 3.1.1", connection{V311, Client}, `30 * "plant/berlin/line-7/robot/12/temperature" '{"value":21.5,"unit":"C"}'`},
	{"PUBLISH QoS 1 of 3.1.1", connection{V311, Client}, `32 * "plant/berlin/line-7/robot/12/temperature" 0001 '{"value":21.5,"unit":"C"}'`},
	{"PUBLISH QoS 2 of 5.0", connection{V5, Client}, `34 * "plant/berlin/line-7/robot/12/temperature" 0001 {} '{"value":21.5,"unit":"C"}'`},
	{"PUBLISH of 5.0 with properties", connection{V5, Server}, `32 * "plant/berlin/line-7/robot/12/temperature" 0001
		{01 01 02 0000003c 03 "application/json" 0b 07 23 0005 26 "trace" "0af7651916cd43dd"} '{"value":21.5,"unit":"C"}'`},
	{"PUBACK", connection{V311, Client}, `40 02 0001`},
	{"PUBACK of 5.0 with a reason", connection{V5, Server}, `40 * 0001 87 {1f "not yours"}`},
	{"PUBREC", connection{V5, Client}, `50 02 0001`},
	{"PUBREL", connection{V311, Client}, `62 02 0001`},
	{"PUBCOMP", connection{V5, Client}, `70 02 0001`},
	{"PINGREQ", connection{V311, Client}, `c0 00`},
	{"PINGRESP", connection{V311, Server}, `d0 00`},
	{"SUBSCRIBE of 5.0", connection{V5, Client}, `82 * 0001 {0b 07} "plant/+/line-7/#" 01 "$share/workers/jobs/+" 02 "alarm" 00`},
	{"SUBACK of 5.0", connection{V5, Server}, `90 * 0001 {} 010287`},
	{"DISCONNECT of 5.0", connection{V5, Client}, `e0 * 04 {11 0000003c}`},
}

// use decodes all of p that can be asked for.
func use(p *Packet) (n int) {
	for id, v := range p.Props.All() {
		n += int(id) + len(v)
	}
	if v, ok := p.Props.Uint16(TopicAlias); ok {
		n += int(v)
	}
	if p.Type == SUBSCRIBE || p.Type == UNSUBSCRIBE {
		for filter, o := range p.Subscriptions() {
			n += len(filter) + int(o.QoS())
		}
	}
	return n + p.Size() + int(p.QoS())
}

func TestNoAllocations(t *testing.T) {
	for _, test := range load {
		r := NewReader(test.c.from)
		r.Version = test.c.v
		src := repeat(wire(test.wire))
		for range 10000 { // until the buffer has grown
			next(t, r, src)
		}
		used := 0
		if n := testing.AllocsPerRun(1000, func() { used += use(next(t, r, src)) }); n != 0 {
			t.Errorf("%s allocates %v times", test.name, n)
		}
		if used == 0 {
			t.Errorf("%s: nothing was decoded", test.name)
		}
	}
}

// TestNoAllocationsLax tolerates as cheaply as it accepts.
func TestNoAllocationsLax(t *testing.T) {
	r := NewReader(Client)
	r.Version, r.Lax = V5, everyCheck
	src := repeat(wire(`38 9000 "a\xff" {01 02 01 02} 'payload'`))
	for range 10000 {
		next(t, r, src)
	}
	if n := testing.AllocsPerRun(1000, func() { next(t, r, src) }); n != 0 {
		t.Errorf("tolerance allocates %v times", n)
	}
}

func TestNoAllocationsStreaming(t *testing.T) {
	for _, v := range all {
		r := NewReader(Client)
		r.Version = v
		src := repeat(AppendPublish(nil, v, 2, []byte("t"), 1, nil, make([]byte, 1<<18), 0))
		pass := func() {
			if p := next(t, r, src); p.Rest == 0 {
				t.Fatal("not streamed")
			}
			for r.Chunk() != nil {
				if err := refill(r, src); err != nil {
					t.Fatal(err)
				}
			}
		}
		pass()
		if n := testing.AllocsPerRun(10, pass); n != 0 {
			t.Errorf("%v: a streamed PUBLISH allocates %v times", v, n)
		}
	}
}

func TestNoAllocationsAppend(t *testing.T) {
	dst := make([]byte, 0, 1<<10)
	topic, payload, ps := []byte("a/b"), []byte("hello"), Properties(wire(`01 01`))
	subs := []Subscription{{Filter: topic, Options: 1}}
	codes := []ReasonCode{GrantedQoS1, NotAuthorized}
	filters := [][]byte{topic, payload}
	for name, call := range map[string]func() []byte{
		"AppendConnack":     func() []byte { return AppendConnack(dst, V5, false, Success, ps) },
		"AppendPublish":     func() []byte { return AppendPublish(dst, V5, 2, topic, 1, ps, payload, 0) },
		"AppendAck":         func() []byte { return AppendAck(dst, V5, PUBACK, 1, NotAuthorized) },
		"AppendSubscribe":   func() []byte { return AppendSubscribe(dst, V5, 1, ps, subs) },
		"AppendSuback":      func() []byte { return AppendSuback(dst, V5, 1, ps, codes) },
		"AppendUnsubscribe": func() []byte { return AppendUnsubscribe(dst, V5, 1, ps, filters) },
		"AppendUnsuback":    func() []byte { return AppendUnsuback(dst, V5, 1, ps, codes) },
		"AppendDisconnect":  func() []byte { return AppendDisconnect(dst, V5, NotAuthorized) },
	} {
		if n := testing.AllocsPerRun(100, func() { dst = call()[:0] }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
