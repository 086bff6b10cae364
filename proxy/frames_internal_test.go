package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/gobwas/ws"

	"github.com/mqttward/mqttward/packets"
)

// socket reads from one thing and writes to another.
type socket struct {
	net.Conn
	io.Reader
	io.Writer
}

func (s socket) Read(b []byte) (int, error)  { return s.Reader.Read(b) }
func (s socket) Write(b []byte) (int, error) { return s.Writer.Write(b) }

// framed is payload in a masked frame; the first byte is that of the header.
func framed(first byte, payload string) []byte {
	mask := [4]byte{1, 2, 3, 250}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = append(b, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// readAll reads f to its end. It stops after an error, as a pump does.
func readAll(f *frames) (all []byte, err error) { return readWith(f, 4<<10) }

// readWith does so with room for so many bytes.
func readWith(f *frames, room int) (all []byte, err error) {
	b := make([]byte, room)
	for {
		n, err := f.Read(b)
		all = append(all, b[:n]...)
		if err != nil {
			return all, err
		}
	}
}

// TestFrames: what frames bring, and how the connection ends that they are sent on.
func TestFrames(t *testing.T) {
	long, longer := string(bytes.Repeat([]byte("long "), 100)), string(bytes.Repeat([]byte("longer "), 20000))
	for _, tt := range []struct {
		name  string
		sent  [][]byte
		want  string
		ended ws.StatusCode // 0: the stream just ends
		code  packets.ReasonCode
	}{
		{"RFC 6455 section 5.7, binary", [][]byte{{0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}}, "Hello", 0, 0},
		{"RFC 6455 section 5.7, text", [][]byte{{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}}, "", 1003, packets.ProtocolError},
		{"RFC 6455 section 5.7, not masked", [][]byte{{0x82, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}}, "", 1002, packets.ProtocolError},
		{"lengths of all sizes", [][]byte{framed(0x82, "a"), framed(0x82, long), framed(0x82, longer)}, "a" + long + longer, 0, 0},
		{"fragments", [][]byte{framed(0x02, "a"), framed(0x00, "b"), framed(0x80, "c"), framed(0x82, "d")}, "abcd", 0, 0},
		{"ping among fragments", [][]byte{framed(0x02, "a"), framed(0x89, "ping"), framed(0x80, "b")}, "ab", 0, 0},
		{"pong", [][]byte{framed(0x8a, ""), framed(0x82, "a")}, "a", 0, 0},
		{"empty frames", [][]byte{framed(0x82, ""), framed(0x02, ""), framed(0x00, ""), framed(0x80, "a")}, "a", 0, 0},
		{"close", [][]byte{framed(0x82, "a"), framed(0x88, ""), framed(0x82, "b")}, "a", 1000, 0},
		{"close with a code", [][]byte{framed(0x88, "\x03\xe9bye")}, "", 1001, 0},
		{"close with half a code", [][]byte{framed(0x88, "\x03")}, "", 1002, packets.ProtocolError},
		{"close with a code that is none", [][]byte{framed(0x88, "\x03\xed")}, "", 1002, packets.ProtocolError},
		{"close without UTF-8", [][]byte{framed(0x88, "\x03\xe8\xff")}, "", 1002, packets.ProtocolError},
		{"text after binary", [][]byte{framed(0x82, "a"), framed(0x81, "b")}, "a", 1003, packets.ProtocolError},
		{"fragment of nothing", [][]byte{framed(0x80, "a")}, "", 1002, packets.ProtocolError},
		{"message within a message", [][]byte{framed(0x02, "a"), framed(0x82, "b")}, "a", 1002, packets.ProtocolError},
		{"reserved bit", [][]byte{framed(0xc2, "a")}, "", 1002, packets.ProtocolError},
		{"reserved code", [][]byte{framed(0x83, "a")}, "", 1002, packets.ProtocolError},
		{"reserved control code", [][]byte{framed(0x8b, "a")}, "", 1002, packets.ProtocolError},
		{"ping in fragments", [][]byte{framed(0x09, "a")}, "", 1002, packets.ProtocolError},
		{"ping that is too long", [][]byte{framed(0x89, long[:126])}, "", 1002, packets.ProtocolError},
		{"length in more bytes than needed", [][]byte{{0x82, 0xfe, 0, 1, 0, 0, 0, 0, 'a'}}, "", 1002, packets.ProtocolError},
		{"length of ping in more bytes than needed", [][]byte{{0x89, 0xfe, 0, 1, 0, 0, 0, 0, 'a'}}, "", 1002, packets.ProtocolError},
		{"negative length", [][]byte{{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}, "", 1002, packets.ProtocolError},
		{"the largest frame", [][]byte{{0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 'a'}}, "a", 0, 0},
		{"a larger one", [][]byte{{0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 1, 0, 0, 0, 0, 'a'}}, "", 1009, packets.ProtocolError},
	} {
		stream := bytes.Join(tt.sent, nil)
		for how, src := range map[string]io.Reader{
			"at once":      bytes.NewReader(stream),
			"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
			"with the end": iotest.DataErrReader(bytes.NewReader(stream)),
		} {
			f := newFrames(socket{Reader: src, Writer: io.Discard})
			got, err := readAll(f)
			violation, _ := errors.AsType[*packets.Error](err)
			if f.head.Size() > 0 {
				t.Errorf("%s, %s: it holds on to a buffer that is not its own", tt.name, how)
			}
			if string(got) != tt.want || f.ended != tt.ended || (violation != nil) != (tt.code != 0) || violation != nil && violation.Code != tt.code {
				t.Errorf("%s, %s: got %.40q, status %d, %v; want %.40q, status %d", tt.name, how, got, f.ended, err, tt.want, tt.ended)
			}
		}
		for _, room := range []int{1, 2, 3, 20, maxControl, maxControl + 1} {
			f := newFrames(socket{Reader: bytes.NewReader(stream), Writer: io.Discard})
			if got, err := readWith(f, room); string(got) != tt.want || f.ended != tt.ended {
				t.Errorf("%s, with room for %d: got %.40q, status %d, %v", tt.name, room, got, f.ended, err)
			}
		}
		for cut := range min(len(stream), 2000) {
			f := newFrames(socket{Reader: io.MultiReader(bytes.NewReader(stream[:cut]), bytes.NewReader(stream[cut:])), Writer: io.Discard})
			if got, _ := readAll(f); string(got) != tt.want || f.ended != tt.ended {
				t.Errorf("%s, cut at %d: got %.40q and status %d", tt.name, cut, got, f.ended)
			}
			f = newFrames(socket{Reader: bytes.NewReader(stream[:cut]), Writer: io.Discard})
			if got, err := readAll(f); err != nil && !bytes.HasPrefix([]byte(tt.want), got) || f.ended != 0 && f.ended != tt.ended {
				t.Errorf("%s, of which %d bytes come: got %.40q, status %d", tt.name, cut, got, f.ended)
			}
		}
	}
}

// TestFrameBegun: a header or a ping that is not complete counts as one that has begun.
func TestFrameBegun(t *testing.T) {
	for _, whole := range [][]byte{framed(0x82, "a")[:6], framed(0x89, "ping"), framed(0x88, "")} {
		for cut := range len(whole) + 1 {
			f := newFrames(socket{Reader: bytes.NewReader(whole[:cut]), Writer: io.Discard})
			_, _ = readAll(f)
			if want := cut > 0 && cut < len(whole); f.begun() != want {
				t.Errorf("% x: begun %v, want %v", whole[:cut], f.begun(), want)
			}
		}
	}
	if (*frames)(nil).begun() {
		t.Error("without WebSocket a frame has begun")
	}
}

// TestPong: the last ping of those that come together is answered, with what it says.
func TestPong(t *testing.T) {
	var out bytes.Buffer
	f := newFrames(socket{Reader: bytes.NewReader(bytes.Join([][]byte{framed(0x89, "one"), framed(0x02, "a"), framed(0x89, "two"), framed(0x80, "b")}, nil)), Writer: &out})
	if got, _ := readAll(f); string(got) != "ab" {
		t.Errorf("read %q", got)
	}
	if want := "\x8a\x03two"; out.String() != want {
		t.Errorf("written % x, want % x", out.String(), want)
	}
}

// TestPongWaits: a pong never gets into a frame that is being written, nor waits for it.
func TestPongWaits(t *testing.T) {
	var out bytes.Buffer
	f := newFrames(socket{Reader: bytes.NewReader(framed(0x89, "late")), Writer: &out})
	f.writing.Lock()
	_, _ = readAll(f) // it would wait for ever
	if out.Len() > 0 {
		t.Errorf("% x was written into a frame", out.Bytes())
	}
	f.writing.Unlock()
	if _, err := f.Write([]byte("data")); err != nil {
		t.Fatal(err)
	}
	if want := "\x82\x04data\x8a\x04late"; out.String() != want {
		t.Errorf("written % x, want % x", out.String(), want)
	}
}

// halfway is where a write stops as its time is over.
type halfway struct{ bytes.Buffer }

func (h *halfway) Write(b []byte) (int, error) {
	n, _ := h.Buffer.Write(b[:len(b)/2])
	return n, os.ErrDeadlineExceeded
}

// TestPongOfNoReader: that a pong takes too long is no silence of the client's, and
// nothing follows half of it.
func TestPongOfNoReader(t *testing.T) {
	out := &halfway{}
	f := newFrames(socket{Reader: bytes.NewReader(framed(0x89, "ping")), Writer: out})
	_, err := readAll(f)
	if e, ok := errors.AsType[*ending](err); !ok || e.end != EndWriteTime {
		t.Errorf("it ends by %v, want %s", err, EndWriteTime)
	}
	half := out.Len()
	if _, err := f.Write([]byte("packet")); !isTimeout(err) {
		t.Errorf("a write after it: %v", err)
	}
	if err := f.put(ws.OpClose, nil); !isTimeout(err) || out.Len() != half {
		t.Errorf("%d bytes follow half a frame, %v", out.Len()-half, err)
	}
}

// TestIdleFrames: who sends nothing but frames that carry nothing is put an end to, and
// who does so now and then is not.
func TestIdleFrames(t *testing.T) {
	for _, frame := range [][]byte{framed(0x89, "x"), framed(0x8a, ""), framed(0x82, "")} {
		synctest.Test(t, func(t *testing.T) {
			const most = int(idleBurst / idleCost)
			f := newFrames(socket{Reader: bytes.NewReader(bytes.Repeat(frame, most)), Writer: io.Discard})
			if _, err := readAll(f); err != io.EOF {
				t.Errorf("% x: %d at once: %v", frame, most, err)
			}
			f.Conn = socket{Reader: bytes.NewReader(frame), Writer: io.Discard}
			if _, err := readAll(f); f.ended != ws.StatusPolicyViolation || err == io.EOF {
				t.Errorf("% x: one more: status %d, %v", frame, f.ended, err)
			}
		})
	}
}

// TestFrameWriting: whatever is written comes in binary frames of at most a TLS record,
// each in one write.
func TestFrameWriting(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 125, 126, maxPiece, maxPiece + 1, 100_000} {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
		w := &writes{}
		if m, err := newFrames(socket{Writer: w}).Write(payload); m != n || err != nil {
			t.Errorf("%d bytes: %d are written, %v", n, m, err)
		}
		var got []byte
		for _, b := range w.all {
			src := bytes.NewReader(b)
			h, err := ws.ReadHeader(src)
			if err != nil || h.OpCode != ws.OpBinary || !h.Fin || h.Masked || int(h.Length) != src.Len() || len(b) > 16<<10 {
				t.Fatalf("%d bytes: a write of %d bytes has the frame %+v, %v", n, len(b), h, err)
			}
			got = append(got, b[len(b)-src.Len():]...)
		}
		if !bytes.Equal(got, payload) {
			t.Errorf("%d bytes come as %d others", n, len(got))
		}
	}
}

// writes keeps every write.
type writes struct{ all [][]byte }

func (w *writes) Write(b []byte) (int, error) {
	w.all = append(w.all, bytes.Clone(b))
	return len(b), nil
}

// endless is a stream that begins again at its end.
type endless struct {
	stream []byte
	at     int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.stream[e.at:])
	e.at = (e.at + n) % len(e.stream)
	return n, nil
}

func TestFramesDoNotAllocate(t *testing.T) {
	stream := append(framed(0x02, "a"), append(framed(0x80, "packet"), framed(0x82, string(make([]byte, 1000)))...)...)
	f := newFrames(socket{Reader: &endless{stream: stream}, Writer: io.Discard})
	b, out := make([]byte, 700), make([]byte, 20_000)
	if allocs := testing.AllocsPerRun(1000, func() {
		_, errRead := f.Read(b)
		_, errWrite := f.Write(out)
		if err := errors.Join(errRead, errWrite); err != nil {
			t.Fatal(err)
		}
	}); allocs > 2*PoolAllocations { // it is two frames
		t.Errorf("%v allocations for a read and a write", allocs)
	}
}

// FuzzFrames: whatever comes, and in whatever pieces, the same is read and the same said.
// No more is read than has come.
func FuzzFrames(f *testing.F) {
	f.Add(append(framed(0x02, "a"), framed(0x80, "b")...), uint16(3))
	f.Add(append(framed(0x89, "ping"), framed(0x88, "\x03\xe8")...), uint16(1))
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 'a'}, uint16(2))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		var first string
		for i, src := range []io.Reader{
			bytes.NewReader(stream),
			iotest.OneByteReader(bytes.NewReader(stream)),
			io.MultiReader(bytes.NewReader(stream[:min(int(cut), len(stream))]), bytes.NewReader(stream[min(int(cut), len(stream)):])),
		} {
			fr := newFrames(socket{Reader: src, Writer: io.Discard})
			got, err := readWith(fr, []int{4 << 10, 300, 1 + int(cut)%200}[i])
			if len(got) > len(stream) {
				t.Fatalf("%d bytes are read of %d", len(got), len(stream))
			}
			said := fmt.Sprintf("%q %d %v", got, fr.ended, err)
			if i > 0 && said != first {
				t.Fatalf("% x:\n%s\n%s", stream, first, said)
			}
			first = said
		}
	})
}
