package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// readConn is a connection that can only be read.
type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(b []byte) (int, error) { return c.Reader.Read(b) }

// TestRecords reads TLS records in all sizes and pieces: every byte comes, and
// no read goes over the end of a record.
func TestRecords(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var stream []byte
	ends := map[int]bool{}
	for range 200 {
		n := random.IntN(1 << (1 + random.IntN(14)))
		stream = append(stream, 23, 3, 3, byte(n>>8), byte(n))
		stream = append(stream, make([]byte, n)...)
		ends[len(stream)] = true
	}
	for name, src := range map[string]io.Reader{
		"at once":      bytes.NewReader(stream),
		"half of each": iotest.HalfReader(bytes.NewReader(stream)),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		w := newWire(readConn{Reader: src}, packets.NewReader(packets.Client))
		w.records = true
		var got []byte
		for {
			b := make([]byte, 1+random.IntN(20000))
			n, err := w.Read(b)
			for i := len(got) + 1; i < len(got)+n; i++ {
				if ends[i] {
					t.Fatalf("%s: a read goes over the end of a record", name)
				}
			}
			got = append(got, b[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, stream) {
			t.Errorf("%s: %d bytes came, want %d", name, len(got), len(stream))
		}
	}
}

// socketPair returns two ends of a TCP connection, the near one as a wire.
func socketPair(t *testing.T) (*wire, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close(); near.Close() })
	return newWire(near, packets.NewReader(packets.Client)), far.(*net.TCPConn)
}

// TestWaits shows that beforeWait is called when nothing is at hand, and that
// the wire has no buffer then.
func TestWaits(t *testing.T) {
	w, far := socketPair(t)
	waits := 0
	w.beforeWait = func() error {
		waits++
		if w.file.raw != nil && w.ahead.buf != nil {
			t.Error("a wire that waits holds a buffer")
		}
		_, err := far.Write([]byte("abc"))
		return err
	}
	for range 3 {
		if err := w.await(); err != nil {
			t.Fatal(err)
		}
		if err := w.await(); err != nil { // there is something
			t.Fatal(err)
		}
		b := make([]byte, 10)
		if n, err := w.Read(b); string(b[:n]) != "abc" || err != nil {
			t.Fatalf("%q, %v", b[:n], err)
		}
	}
	if waits != 3 {
		t.Errorf("it waited %d times, want 3", waits)
	}
	failure := errors.New("no")
	w.beforeWait = func() error { return failure }
	if err := w.await(); !errors.Is(err, failure) {
		t.Errorf("%v, want what beforeWait says", err)
	}
}

// TestWireErrors shows how reads and writes end.
func TestWireErrors(t *testing.T) {
	w, far := socketPair(t)
	if err := w.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := w.await(); !isTimeout(err) {
		t.Errorf("after the deadline: %v", err)
	}
	if err := w.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := w.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write(make([]byte, 1<<20)); !isTimeout(err) || n == 1<<20 {
		t.Errorf("a write after the deadline: %d, %v", n, err)
	}
	if err := w.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := far.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || !isGone(err) {
		t.Errorf("at the end: %v, want EOF", err)
	}
	if err := errors.Join(far.SetLinger(0), far.Close()); err != nil {
		t.Fatal(err)
	}
	if err := w.await(); !isGone(err) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a reset: %v", err)
	}
	if _, err := w.Write([]byte("x")); !isGone(err) {
		t.Errorf("a write after a reset: %v", err)
	}
}

// TestLargeWrite writes more than the socket takes at once, to a reader that is
// slow to begin.
func TestLargeWrite(t *testing.T) {
	w, far := socketPair(t)
	sent := make([]byte, 16<<20)
	for i := range sent {
		sent[i] = byte(i >> 8)
	}
	written := make(chan error)
	go func() {
		n, err := w.Write(sent)
		if n != len(sent) && err == nil {
			err = io.ErrShortWrite
		}
		written <- errors.Join(err, w.Close())
	}()
	got, err := io.ReadAll(far)
	if err := errors.Join(err, <-written); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came, want %d", len(got), len(sent))
	}
}

// silent is an Observer of traffic.
type silent struct{ Observer }

func (silent) Traffic(string, int, int) {}

// late is a judge whose socket has run out of time when it has judged.
type late struct{ socket *wire }

func (l late) passes(time.Time, *packets.Packet) bool {
	_ = l.socket.SetReadDeadline(time.Unix(1, 0))
	return true
}

func (late) take(time.Time, *packets.Packet) (filters.Verdict, error) { panic("it passes") }

// TestDeadlineOfBefore has the deadline of a silence pass when it is over: packets
// have come, or one has begun. They go on, and nothing ends.
func TestDeadlineOfBefore(t *testing.T) {
	client, far := socketPair(t)
	broker, sink := socketPair(t)
	c := &conn{listener: &Listener{server: &Server{observer: silent{}}}}
	c.life, c.endLife = context.WithCancel(t.Context())
	c.toBroker.out = broker
	p := &pump{
		conn: c, judge: late{client}, reader: client.reader, source: client, socket: client, to: &c.toBroker, back: &c.toClient,
		ends: pumpEnds{sender: packets.Client, senderGone: EndClientClosed},
	}
	client.reader.Version = packets.V311
	ended := make(chan *ending)
	go func() { ended <- p.loop() }()
	packet := packets.AppendPublish(nil, packets.V311, 0, []byte("data"), 0, nil, []byte("1"), 0)
	stream := bytes.Repeat(packet, 5)
	if err := sink.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	sent, whole := 0, 0
	for _, end := range []int{1, len(packet), 2*len(packet) + 3, 4*len(packet) + 1, len(stream)} {
		if _, err := far.Write(stream[sent:end]); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, end/len(packet)*len(packet)-whole)
		if _, err := io.ReadFull(sink, got); err != nil || !bytes.Equal(got, stream[whole:whole+len(got)]) {
			t.Fatalf("after %d bytes, the broker got % x, %v", end, got, err)
		}
		sent, whole = end, whole+len(got)
	}
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	if e := <-ended; e == nil || e.end != EndClientClosed {
		t.Errorf("%v, want the client's end", e)
	}
}

// TestRepliesKeepNoBuffer sends the replies of a long burst: what held them is not
// kept for the next.
func TestRepliesKeepNoBuffer(t *testing.T) {
	for _, n := range []int{4, maxReplyBuffer + 1} {
		p := &pump{back: &sink{out: io.Discard}, replies: make([]byte, n), now: time.Now()}
		if err := p.sendReplies(); err != nil {
			t.Fatal(err)
		}
		if len(p.replies) != 0 || cap(p.replies) > maxReplyBuffer {
			t.Errorf("%d bytes of replies: %d left, a buffer of %d kept", n, len(p.replies), cap(p.replies))
		}
	}
}
