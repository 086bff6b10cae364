package packets

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// TestLengthAllocates nothing: a length that is announced is believed when the
// bytes are there.
func TestLengthAllocates(t *testing.T) {
	for _, test := range []struct {
		name string
		c    connection
		wire string
		err  error
	}{
		{"CONNECT", connection{}, `10 ffffff7f`, errTooLarge},
		{"CONNECT of 1 MiB", connection{}, `10 fcff3f`, ErrShort},
		{"CONNECT of a byte more", connection{}, `10 fdff3f`, errTooLarge},
		{"SUBSCRIBE", connection{V5, Client}, `82 ffffff7f`, errTooLarge},
		{"PUBLISH", connection{V5, Client}, `30 ffffff7f`, ErrShort},
		{"PUBLISH with a topic", connection{V5, Client}, `30 ffffff7f ffff`, ErrShort},
		{"PUBLISH with properties", connection{V5, Client}, `30 ffffff7f "t" f0ffff7f`, errTooLarge},
		{"PUBLISH with a payload", connection{V5, Client}, `30 ffffff7f "t" {}`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(test.c.from)
			r.Version = test.c.v
			b := wire(test.wire)
			src := bytes.NewReader(b)
			var last error
			for range b {
				r.Compact()
				if err := r.Fill(io.LimitReader(src, 1)); err != nil {
					t.Fatal(err)
				}
				_, last = r.Next()
			}
			if last != test.err {
				t.Errorf("%v, want %v", last, test.err)
			}
			r.Compact()
			if len(r.buf) != bufferSize {
				t.Errorf("a buffer of %d bytes", len(r.buf))
			}
		})
	}
}

// TestGrowth reads packets of all sizes in pieces of all sizes and holds the
// buffer to its promises: there is always room, beyond bufferSize a quarter of
// it at least has arrived, and it shrinks again.
func TestGrowth(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	filters := func(n int) []byte {
		return AppendSubscribe(nil, V311, 1, nil, slicesOf(Subscription{Filter: bytes.Repeat([]byte("f"), 1<<10)}, n))
	}
	var stream []byte
	for range 8 {
		stream = append(stream, filters(1+random.IntN(1<<random.IntN(10)))...)
		stream = AppendPublish(stream, V311, 0, bytes.Repeat([]byte("t"), 1+random.IntN(65535)), 0, nil, make([]byte, random.IntN(1<<17)), 0)
		stream = append(stream, bytes.Repeat(wire(`c000`), random.IntN(100))...)
	}
	stream = append(stream, filters(1000)...)
	stream = append(stream, wire(`c000 c000`)...)
	src := randomCuts(random, stream)
	r := NewReader(Client)
	r.Version = V311
	for {
		p, err := r.Next()
		if err == nil && p.Rest > 0 {
			err = readRest(r, src, p)
		}
		if err == ErrShort {
			unread := bytes.Clone(r.buf[r.r:r.w])
			if !r.Room() {
				r.Compact()
			}
			if !bytes.Equal(unread, r.buf[r.r:r.w]) {
				t.Fatal("Compact changes what is unread")
			}
			if r.w == len(r.buf) || len(r.buf) > max(4*len(unread), bufferSize) {
				t.Fatalf("a buffer of %d bytes, %d free, for %d that are unread and %d wanted", len(r.buf), len(r.buf)-r.w, len(unread), r.want)
			}
			err = r.Fill(src)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if r.Partial() {
		t.Error("the last packet is missing")
	}
	if r.Compact(); len(r.buf) > bufferSize {
		t.Errorf("a buffer of %d bytes at the end", len(r.buf))
	}
}

func slicesOf[T any](v T, n int) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// TestDrip shows that a packet which comes byte by byte is not copied each
// time, however full the buffer is.
func TestDrip(t *testing.T) {
	r := NewReader(Client)
	r.Version = V311
	b := AppendSubscribe(nil, V311, 1, nil, slicesOf(Subscription{Filter: bytes.Repeat([]byte("f"), 1<<10)}, 100))
	src := &cutReader{b[:len(b)-10]}
	if err := readAll(r, src, nil); err != io.EOF {
		t.Fatal(err)
	}
	r.Compact()
	if allocs := testing.AllocsPerRun(10, r.Compact); allocs != 0 || r.Room() {
		t.Errorf("%v allocations, room: %v", allocs, r.Room())
	}
	before, got := &r.buf[0], 0
	src = &cutReader{b[len(b)-10:]}
	err := readAll(r, iotest.OneByteReader(src), func(p *Packet) {
		got = len(p.Raw)
		if before != &r.buf[0] {
			t.Error("the buffer was moved")
		}
	})
	if err != io.EOF || got != len(b) {
		t.Errorf("%v, %d bytes, want %d", err, got, len(b))
	}
}

// TestRelease shows that a Reader without a buffer goes on where it was.
func TestRelease(t *testing.T) {
	ping, publish := wire(`c000`), AppendPublish(nil, V311, 0, []byte("t"), 0, nil, make([]byte, 2*maxBuffer), 0)
	subscribe := AppendSubscribe(nil, V311, 1, nil, []Subscription{{Filter: bytes.Repeat([]byte("f"), 2*maxKept)}})
	r := NewReader(Client)
	r.Version = V311
	r.Release()
	for _, test := range []struct {
		name string
		b    []byte
		kept int
	}{
		{"a packet", ping, 0},
		{"a packet and a half", append(bytes.Clone(ping), ping[0]), 1},
		{"the other half", ping[1:], 0},
		{"too much to be kept", subscribe[:maxKept+1], bufferSize},
		{"and its rest", subscribe[maxKept+1:], 0},
		{"some of a payload", publish[:maxBuffer], 0},
		{"more of it", publish[maxBuffer : maxBuffer+1], 0},
		{"the rest", publish[maxBuffer+1:], 0},
		{"the next packet", ping, 0},
	} {
		if !r.Room() {
			r.Compact()
		}
		if err := r.Fill(bytes.NewReader(test.b)); err != nil {
			t.Fatal(err)
		}
		for err := error(nil); err == nil; {
			if r.rest > 0 {
				err = r.Chunk()
			} else {
				_, err = r.Next()
			}
			if err != nil && err != ErrShort {
				t.Fatalf("%s: %v", test.name, err)
			}
		}
		if r.Release(); len(r.buf) != test.kept {
			t.Errorf("%s: a buffer of %d bytes is kept, want %d", test.name, len(r.buf), test.kept)
		}
	}
	if r.Discard(); r.buf != nil {
		t.Error("a buffer is kept")
	}
}

// TestDry has a source that brings as much as there is room for: it may have
// kept some.
func TestDry(t *testing.T) {
	r := NewReader(Client)
	fill := func(src io.Reader) {
		t.Helper()
		r.Compact()
		if err := r.Fill(src); err != nil {
			t.Fatal(err)
		}
	}
	fill(&scriptedReader{{"x", nil}})
	if !r.Dry(true) || !r.Dry(false) {
		t.Error("not dry after less than there was room for")
	}
	fill(bytes.NewReader(make([]byte, bufferSize)))
	if r.Dry(true) || !r.Dry(false) {
		t.Errorf("dry: %v if the source keeps bytes, %v if it does not", r.Dry(true), r.Dry(false))
	}
	r.Discard()
	fill(&scriptedReader{{"x", io.EOF}})
	if r.Dry(false) {
		t.Error("dry with an error to tell")
	}
}

// scriptedReader gives one answer per Read.
type scriptedReader []struct {
	s   string
	err error
}

func (r *scriptedReader) Read(b []byte) (int, error) {
	answer := (*r)[0]
	*r = (*r)[1:]
	return copy(b, answer.s), answer.err
}

func TestFill(t *testing.T) {
	src := &scriptedReader{{"\x40", iotest.ErrTimeout}, {"\x02\x00", nil}, {"", nil}, {"", io.EOF}, {"\x01", nil}}
	r := NewReader(Client)
	r.Version = V311
	r.Compact()
	for i, want := range []error{nil, iotest.ErrTimeout, nil, nil, io.EOF, nil} {
		if err := r.Fill(src); err != want {
			t.Errorf("Fill %d: %v, want %v", i, err, want)
		}
	}
	if p, err := r.Next(); err != nil || p.ID != 1 {
		t.Errorf("%s, %v", show(p), err)
	}
}
