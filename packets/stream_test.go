package packets

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// relay sends on what r reads from src as a proxy does: run by run, without
// looking at what it is. It returns the largest buffer that it saw.
func relay(dst io.Writer, r *Reader, src io.Reader) (largest int, err error) {
	flush := func() {
		dst.Write(r.Run())
		r.Mark(0)
	}
	fill := func() error {
		if !r.Room() {
			flush()
			r.Compact()
		}
		largest = max(largest, len(r.buf))
		return r.Fill(src)
	}
	for {
		p, err := r.Next()
		if err == nil && p.Rest > 0 {
			for err = r.Chunk(); err == ErrShort; err = r.Chunk() {
				if err := fill(); err != nil {
					return largest, err
				}
			}
		}
		if err == ErrShort {
			err = fill()
		}
		if err != nil {
			flush()
			return largest, err
		}
	}
}

func TestRelay(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	payload := make([]byte, 1<<20)
	for i := range payload {
		payload[i] = byte(random.Uint32())
	}
	for _, v := range all {
		large := AppendPublish(nil, v, 3, []byte("large"), 7, nil, payload, 0)
		stream := bytes.Clone(large)
		for range 1000 {
			stream = AppendAck(stream, v, PUBACK, 9, Success)
			stream = AppendPublish(stream, v, 0, []byte("small"), 0, nil, payload[:random.IntN(200)], 0)
		}
		stream = append(stream, large...)
		stream = AppendPublish(stream, v, 0, []byte("just not streamed"), 0, nil, payload[:maxBuffer-100], 0)
		for name, src := range map[string]io.Reader{"whole": bytes.NewReader(stream), "cut": randomCuts(random, stream)} {
			r := NewReader(Client)
			r.Version = v
			var got bytes.Buffer
			largest, err := relay(&got, r, src)
			if err != io.EOF || r.Partial() {
				t.Errorf("%v %s: %v, in a packet: %v", v, name, err, r.Partial())
			}
			if !bytes.Equal(got.Bytes(), stream) {
				t.Errorf("%v %s: the bytes have changed", v, name)
			}
			if largest > bufferSize {
				t.Errorf("%v %s: a buffer of %d bytes, more than %d", v, name, largest, bufferSize)
			}
		}
	}
}

func TestRun(t *testing.T) {
	ping, ack := wire(`c0 00`), wire(`40 02 0001`)
	r := NewReader(Client)
	r.Version = V311
	r.Compact()
	if err := r.Fill(bytes.NewReader(wire(`c000 40020001 c000 40`))); err != nil {
		t.Fatal(err)
	}
	next := func(want []byte) {
		t.Helper()
		p, err := r.Next()
		if err != nil || !bytes.Equal(p.Raw, want) {
			t.Fatalf("%v, want %x", err, want)
		}
	}
	run := func(want string) {
		t.Helper()
		if got := fmt.Sprintf("%x", r.Run()); got != want {
			t.Errorf("run %s, want %s", got, want)
		}
	}
	run("")
	next(ping)
	next(ack)
	run("c00040020001")
	r.Mark(len(ack)) // what is in front of the last packet has gone out
	run("40020001")
	next(ping)
	run("40020001c000")
	r.Mark(0)
	run("")
	if _, err := r.Next(); err != ErrShort || !r.Partial() {
		t.Errorf("%v, in a packet: %v", err, r.Partial())
	}
	r.Compact()
	run("")
	if err := r.Fill(bytes.NewReader(wire(`020001`))); err != nil {
		t.Fatal(err)
	}
	next(ack)
	run("40020001")
	if r.Partial() {
		t.Error("in a packet, though there is none")
	}
}

func TestRest(t *testing.T) {
	payload := strings.Repeat("x", maxBuffer)
	b := AppendPublish(nil, V5, 2, []byte("t"), 7, wire(`01 01`), []byte(payload), 0)
	r := NewReader(Client)
	r.Version = V5
	r.Compact()
	for _, head := range []int{4, 10} { // the head ends at 12
		if err := r.Fill(bytes.NewReader(b[r.w:head])); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); err != ErrShort {
			t.Fatalf("%d bytes: %v", head, err)
		}
	}
	if err := r.Fill(bytes.NewReader(b[10:14])); err != nil {
		t.Fatal(err)
	}
	p, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if string(p.Topic) != "t" || p.ID != 7 || string(p.Payload) != "xx" || p.Rest != len(b)-14 || p.Size() != len(b) {
		t.Errorf("%s, %d to come", show(p), p.Rest)
	}
	if !bytes.Equal(r.Run(), b[:14]) || !r.Partial() {
		t.Errorf("run %x, in a packet: %v", r.Run(), r.Partial())
	}
	if err := r.Chunk(); err != ErrShort {
		t.Errorf("a chunk without bytes: %v", err)
	}
	whole, err := Parse(b[:14], V5, Client)
	if err != nil || show(whole) != show(p) || whole.Rest != p.Rest {
		t.Errorf("Parse of the head: %s, %v", show(whole), err)
	}
	// A rewrite may make a PUBLISH so short that it would not be streamed.
	short := AppendPublish(nil, V5, 2, []byte("t"), 7, nil, []byte("xx"), 5)
	if p, err = Parse(short, V5, Client); err != nil || p.Rest != 5 {
		t.Errorf("Parse of a short head: %s, %v", show(p), err)
	}
}

// TestStreamedHead shows that what is wrong in front of a payload is known as
// soon as that has arrived, and a length that lies when the packet ends.
func TestStreamedHead(t *testing.T) {
	for name, test := range map[string]struct {
		wire string
		err  error
	}{
		"property past its section": {`30 ffff07 "t" 02 02 00000000`, errTruncated},
		"topic with a wildcard":     {`30 ffff07 "t/#" 00 'payload'`, errTopic},
		"topic past the packet":     {`30 * ffff ` + strings.Repeat("74", maxBuffer), errTruncated},
		"properties past the packet": {
			`30 * "t" ffff03 ` + strings.Repeat("00", maxBuffer), errTruncated,
		},
		"no room for the identifier": {`32 * 4000 ` + strings.Repeat("74", maxBuffer), errTruncated},
	} {
		r := NewReader(Client)
		r.Version = V5
		if err := readAll(r, bytes.NewReader(wire(test.wire)), nil); err != test.err {
			t.Errorf("%s: %v, want %v", name, err, test.err)
		}
	}
}

// TestHead asks at every offset how long the part in front of the payload is:
// never less than is there already unless that is all of it, and never more
// than it is.
func TestHead(t *testing.T) {
	for _, test := range []struct {
		v        Version
		wire     string
		wantHead int
	}{
		{V311, `30 * "topic" 'payload'`, 9},
		{V311, `32 * "topic" 0001 'payload'`, 11},
		{V311, `34 * "topic" 0001 'payload'`, 11},
		{V5, `30 * "topic" {} 'payload'`, 10},
		{V5, `34 * "topic" 0001 {` + strings.Repeat(`26 "key" "value" `, 20) + `} 'payload'`, 2 + 1 + 9 + 2 + 20*13},
	} {
		whole := wire(test.wire)
		h, err := parseHeader(whole, Client, test.v)
		if err != nil {
			t.Fatal(err)
		}
		for n := h.size; n <= len(whole); n++ {
			got := h.head(whole[:n], test.v)
			if got > test.wantHead || n < test.wantHead && got <= n || n >= test.wantHead && got != test.wantHead {
				t.Errorf("%.30s, %d bytes there: head of %d, want %d", test.wire, n, got, test.wantHead)
			}
		}
	}
}

func TestMax(t *testing.T) {
	b := AppendPublish(nil, V311, 0, []byte("t"), 0, nil, make([]byte, 100), 0)
	for limit, want := range map[int]error{0: io.EOF, len(b): io.EOF, len(b) - 1: errTooLarge} {
		r := NewReader(Server)
		r.Version, r.Max = V311, limit
		if err := readAll(r, bytes.NewReader(b), nil); err != want {
			t.Errorf("%d bytes, limit %d: %v, want %v", len(b), limit, err, want)
		}
	}
}

func TestParse(t *testing.T) {
	for notation, want := range map[string]error{
		``:                   errTruncated,
		`40`:                 errTruncated,
		`40 02 00`:           errTruncated,
		`40 02 0001`:         nil,
		`40 02 0001 00`:      errTrailing,
		`c000 c000`:          errTrailing,
		`30 05 0001`:         errTruncated,
		`30 05 "t" 'x'`:      nil, // and one to come
		`30 04 "t" 'x' c000`: errTrailing,
	} {
		p, err := Parse(wire(notation), V311, Client)
		if err != want || (p == nil) != (want != nil) {
			t.Errorf("%s: %s, %v, want %v", notation, show(p), err, want)
		}
	}
}

// TestClosedViews appends to what a packet refers to. The packet behind it in
// the buffer must not notice.
func TestClosedViews(t *testing.T) {
	eachVector(func(name string, c connection, b []byte, _ *Packet) {
		p, err := c.parse(b)
		if err != nil {
			t.Fatal(err)
		}
		for field, v := range map[string][]byte{"Raw": p.Raw, "Topic": p.Topic, "Props": p.Props, "Payload": p.Payload} {
			if cap(v) != len(v) {
				t.Errorf("%s: %s has %d bytes and room for %d", name, field, len(v), cap(v))
			}
		}
		for id, v := range p.Props.All() {
			if cap(v) != len(v) {
				t.Errorf("%s: property %x has %d bytes and room for %d", name, byte(id), len(v), cap(v))
			}
		}
	})
	r := NewReader(Client)
	r.Version = V311
	r.Compact()
	if err := r.Fill(bytes.NewReader(wire(`40020001 c000`))); err != nil {
		t.Fatal(err)
	}
	p, err := r.Next()
	if err != nil || cap(p.Raw) != 4 {
		t.Errorf("%v, Raw has room for %d bytes", err, cap(p.Raw))
	}
}
