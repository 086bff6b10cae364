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
}

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

// cut closes the sink in the middle of a packet. The caller holds mu.
func (s *sink) cut() {
	if s.err == nil {
		s.err = net.ErrClosed
	}
}
