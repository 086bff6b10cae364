package proxy

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/packets"
)

const (
	// lingerTime and lingerBytes bound how long a peer may take to read our last
	// words and close.
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// wire is a socket that says when it is about to wait for bytes, and gives
// writes a deadline. Both belong below TLS: crypto/tls returns one record per
// Read, however many have arrived, so only here can be seen that nothing more is
// at hand and that what was judged has to be written; and it writes on its own
// account, when keys are updated for example.
type wire struct {
	net.Conn
	file       descriptor
	ahead      ahead
	records    bool            // TLS runs over it
	frames     *frames         // of the WebSocket that runs over it, or over TLS; nil: none does
	reader     *packets.Reader // of what it brings
	awaiting   bool            // the reader is not filling
	beforeWait func() error    // called when nothing more is at hand; nil: none

	timeout  time.Duration             // for a write; zero: the socket's deadline stays as it is
	deadline time.Time                 // of writes; used by one writer at a time
	last     atomic.Pointer[time.Time] // of all writes to come, once set
}

func newWire(c net.Conn, r *packets.Reader) *wire {
	w := &wire{Conn: c, reader: r}
	w.open()
	return w
}

// writePiece is how many bytes have a write's time. Who takes so few of them in
// it does not read.
const writePiece = 16 << 10

func (w *wire) Write(b []byte) (n int, err error) {
	if w.file.raw != nil {
		if err := w.armWrite(); err != nil {
			return 0, err
		}
		return w.writeDescriptor(b)
	}
	for err == nil && n < len(b) {
		if err = w.armWrite(); err == nil {
			var m int
			m, err = w.Conn.Write(b[n:min(n+writePiece, len(b))])
			n += m
		}
	}
	return n, err
}

// armWrite sets the deadline of a write. One costs more than a small write to
// set, so it serves the writes of the first quarter of its time.
func (w *wire) armWrite() error {
	if last := w.last.Load(); last != nil {
		return w.SetWriteDeadline(*last)
	}
	now := time.Now()
	if w.timeout == 0 || w.deadline.Sub(now) >= w.timeout*3/4 {
		return nil
	}
	w.deadline = now.Add(w.timeout)
	if err := w.SetWriteDeadline(w.deadline); err != nil {
		return err
	}
	if last := w.last.Load(); last != nil { // set meanwhile: it is the nearer one
		return w.SetWriteDeadline(*last)
	}
	return nil
}

// hurry gives a write in progress and those to come, all together, lingerTime.
func (w *wire) hurry() {
	last := time.Now().Add(lingerTime)
	if w.last.CompareAndSwap(nil, &last) {
		_ = w.SetWriteDeadline(last)
	}
}

// begun reports, when the socket has nothing more, whether something has begun below the
// reader that is not complete: a TLS record, or a frame of a WebSocket.
func (w *wire) begun() bool { return w.ahead.begun() || w.frames.begun() }

// drain reads the socket to its end and closes it: closing one with unread
// bytes resets the connection and takes from the peer what was written last.
func (w *wire) drain() {
	defer w.Conn.Close()
	_ = w.SetReadDeadline(time.Now().Add(lingerTime))
	w.ahead.r, w.ahead.w = 0, 0
	buf := w.ahead.room()
	for total := 0; total < lingerBytes; {
		n, err := w.Conn.Read(buf)
		if err != nil {
			return
		}
		total += n
	}
}

// discard gives back the buffers of a wire that is of no use any more.
func (w *wire) discard() {
	w.ahead.discard()
	w.reader.Discard()
}

// closeWrite ends our direction of the connections, TLS and what is below it,
// so that the peer sees an orderly end.
func closeWrite(conns ...net.Conn) {
	for _, c := range conns {
		if c, ok := c.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	}
}
