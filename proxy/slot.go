package proxy

import (
	"context"
	"fmt"
	"os"
	"time"
)

// handshakeSlot is the right of one TLS handshake to take processor time. It is
// asked for when the ClientHello is here: a connection that says nothing holds
// none, and cannot keep others from logging in.
type handshakeSlot struct {
	slots chan struct{} // nil: no limit
	life  context.Context
	start time.Time     // of the handshake, and
	limit time.Duration // how long it may take with the wait for the slot; zero: no limit
	taken bool
}

// slotKey is the key of the handshakeSlot in the context of a handshake.
type slotKey struct{}

// errNoSlot is the end of a handshake that found none.
var errNoSlot = fmt.Errorf("no free handshake slot: %w", os.ErrDeadlineExceeded)

// take waits for a slot.
func (s *handshakeSlot) take() error {
	if s.slots == nil || s.taken {
		return nil
	}
	ctx, cancel := s.rest()
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		s.taken = true
		return nil
	case <-ctx.Done():
		return errNoSlot
	}
}

// rest is a context that ends when the handshake has to, or the connection does.
func (s *handshakeSlot) rest() (context.Context, context.CancelFunc) {
	if s.limit == 0 {
		return context.WithCancel(s.life)
	}
	return context.WithDeadline(s.life, s.start.Add(s.limit))
}

func (s *handshakeSlot) release() {
	if s.taken {
		<-s.slots
	}
}
