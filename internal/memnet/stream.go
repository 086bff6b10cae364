package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferSize is how many bytes one end can be ahead of the other.
const bufferSize = 64 << 10

// stream is one direction of a connection: a ring of bytes with a reader at
// one end and a writer at the other.
type stream struct {
	mu       sync.Mutex
	changed  sync.Cond
	ring     []byte // made when the first byte comes
	first, n int    // ring[first:first+n] is unread

	readEnd  error // what the reader gets behind the unread bytes; nil: it waits
	writeEnd error // what the writer gets; nil: it may write

	readUntil, writeUntil deadline
}

func newStream() *stream {
	s := &stream{}
	s.changed.L = &s.mu
	return s
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readUntil.passed():
			return 0, os.ErrDeadlineExceeded
		case s.n > 0 || len(b) == 0:
			return s.take(b), nil
		case s.readEnd != nil:
			return 0, s.readEnd
		}
		s.changed.Wait()
	}
}

func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for {
		switch {
		case s.writeEnd != nil:
			return written, s.writeEnd
		case s.writeUntil.passed():
			return written, os.ErrDeadlineExceeded
		}
		written += s.put(b[written:])
		if written == len(b) {
			return written, nil
		}
		s.changed.Wait()
	}
}

// take moves unread bytes into b.
func (s *stream) take(b []byte) int {
	moved := 0
	for moved < len(b) && s.n > 0 {
		run := s.ring[s.first:min(s.first+s.n, bufferSize)]
		k := copy(b[moved:], run)
		moved += k
		s.n -= k
		s.first = (s.first + k) % bufferSize
	}
	s.changed.Broadcast()
	return moved
}

// put moves as much of b into the ring as fits.
func (s *stream) put(b []byte) int {
	if s.ring == nil && len(b) > 0 {
		s.ring = make([]byte, bufferSize)
	}
	moved := 0
	for moved < len(b) && s.n < bufferSize {
		from := (s.first + s.n) % bufferSize
		k := copy(s.ring[from:min(from+bufferSize-s.n, bufferSize)], b[moved:])
		moved += k
		s.n += k
	}
	s.changed.Broadcast()
	return moved
}

func (s *stream) unread() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// finish is the writer's last word; a later write gets err.
func (s *stream) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeEnd = err
	if s.readEnd == nil {
		s.readEnd = io.EOF
	}
	s.changed.Broadcast()
}

// reset is finish, but what is unread is lost.
func (s *stream) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.writeEnd = 0, net.ErrClosed
	if s.readEnd == nil || s.readEnd == io.EOF { //nolint:errorlint // it is set to the bare value
		s.readEnd = syscall.ECONNRESET
	}
	s.changed.Broadcast()
}

// abandon says that the reader is gone. It reports whether bytes were unread.
func (s *stream) abandon() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := s.n > 0
	s.n, s.readEnd = 0, net.ErrClosed
	if s.writeEnd == nil {
		s.writeEnd = syscall.ECONNRESET
	}
	s.changed.Broadcast()
	return lost
}

// deadline is a time at which waiting ends.
type deadline struct {
	at    time.Time // zero: never
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// setDeadline sets one of the stream's two deadlines.
func (s *stream) setDeadline(d *deadline, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.at = at
	if d.timer != nil {
		d.timer.Stop()
	}
	switch {
	case at.IsZero():
	case d.passed():
		s.changed.Broadcast()
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(at), s.wake)
	default:
		d.timer.Reset(time.Until(at))
	}
}

// wake lets all who wait look at their deadlines.
func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}
