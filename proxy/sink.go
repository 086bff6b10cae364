package proxy

import (
	"io"
	"net"
	"sync"
)

// sink is the writing half of a connection: whole packets, one writer at a
// time. After an error it takes nothing more.
type sink struct {
	out io.Writer // the wire, or TLS over it

	mu  sync.Mutex
	err error

	waiting   sync.Mutex // guards what follows
	streaming bool       // mu is held for as long as a whole payload takes
	replies   []byte     // wait for its end
}

// maxReplies bounds the replies that wait for the end of a streamed PUBLISH, in
// bytes. Who has more waits itself.
const maxReplies = 16 << 10

// write writes b, which is whole packets.
func (s *sink) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeLocked(b)
}

func (s *sink) writeLocked(b []byte) error {
	if s.err == nil {
		_, s.err = s.out.Write(b)
	}
	return s.err
}

// writeNext writes what next returns, which is called when nobody else writes, so
// that nothing gets in between.
func (s *sink) writeNext(next func() []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := next()
	if len(b) == 0 {
		return s.err
	}
	return s.writeLocked(b)
}

// reply writes b, or leaves that to who streams a PUBLISH: a client that does not
// read while it writes would otherwise stop both directions for good.
func (s *sink) reply(b []byte) error {
	if s.leave(b) {
		return nil
	}
	return s.write(b)
}

// leave keeps b for the end of a streamed PUBLISH, if there is one and room.
func (s *sink) leave(b []byte) bool {
	s.waiting.Lock()
	defer s.waiting.Unlock()
	if !s.streaming || len(s.replies)+len(b) > maxReplies {
		return false
	}
	s.replies = append(s.replies, b...)
	return true
}

// begin takes the sink for a packet that is written in pieces, with writeLocked.
func (s *sink) begin() {
	s.mu.Lock()
	s.waiting.Lock()
	s.streaming = true
	s.waiting.Unlock()
}

// end gives the sink back. If the packet is not complete, it closes the sink in
// the middle of it.
func (s *sink) end(complete bool) {
	defer s.mu.Unlock()
	s.waiting.Lock()
	b := s.replies
	s.streaming, s.replies = false, nil
	s.waiting.Unlock()
	switch {
	case !complete && s.err == nil:
		s.err = net.ErrClosed
	case len(b) > 0:
		_ = s.writeLocked(b) // the next writer hears of an error
	}
}
