package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire is a socket that says when it is about to be read. crypto/tls returns
// one record per Read, however many have arrived; only below it can be seen
// that nothing more is at hand and that what was judged has to be written.
type wire struct {
	net.Conn
	beforeRead func() error // nil: none
}

func (w *wire) Read(b []byte) (int, error) {
	if w.beforeRead != nil {
		if err := w.beforeRead(); err != nil {
			return 0, err
		}
	}
	return w.Conn.Read(b)
}

// sink is the writing half of a socket: whole packets, one writer at a time, a
// deadline on each write. After an error or finish it takes nothing more.
type sink struct {
	conn    net.Conn
	timeout time.Duration
	hurried atomic.Bool

	mu       sync.Mutex
	deadline time.Time
	err      error
}

// write writes b, which is whole packets.
func (s *sink) write(now time.Time, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeLocked(now, b)
}

func (s *sink) writeLocked(now time.Time, b []byte) error {
	if s.err != nil {
		return s.err
	}
	// A deadline costs more than a small write to set, so one serves the writes
	// of the first quarter of its time.
	if s.timeout > 0 && s.deadline.Sub(now) < s.timeout*3/4 {
		s.deadline = now.Add(s.timeout)
		if s.err = s.conn.SetWriteDeadline(s.deadline); s.err != nil {
			return s.err
		}
		if s.hurried.Load() { // meanwhile: its deadline is the nearer one
			s.hurry()
		}
	}
	_, s.err = s.conn.Write(b)
	return s.err
}

// hurry gives a write in progress, and those to come, lingerTime.
func (s *sink) hurry() {
	s.hurried.Store(true)
	_ = s.conn.SetWriteDeadline(time.Now().Add(lingerTime))
}

// finish writes b as the last packet, if the stream is still whole, and closes
// the sink.
func (s *sink) finish(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && len(b) > 0 && s.conn.SetWriteDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = s.conn.Write(b)
	}
	s.err = net.ErrClosed
}

const (
	// lingerTime and lingerBytes bound how long a peer may take to read our last
	// words and close.
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

// linger closes conn in order: it ends our direction and reads the peer's to
// its end, since closing a socket with unread bytes resets the connection and
// takes from the peer what was written last. raw is the socket below conn.
func linger(conn, raw net.Conn) {
	defer raw.Close() //nolint:errcheck // nothing is left to lose
	_ = raw.SetDeadline(time.Now().Add(lingerTime))
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		if c.CloseWrite() != nil {
			return
		}
	}
	if raw != conn {
		if c, ok := raw.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	}
	buf := make([]byte, 1<<10)
	for total := 0; total < lingerBytes; {
		n, err := raw.Read(buf)
		if err != nil {
			return
		}
		total += n
	}
}
