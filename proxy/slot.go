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
	var late <-chan time.Time // never, without a limit
	if s.limit > 0 {
		timer := time.NewTimer(time.Until(s.start.Add(s.limit)))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case s.slots <- struct{}{}:
		s.taken = true
		return nil
	case <-late:
	case <-s.life.Done():
	}
	return errNoSlot
}

func (s *handshakeSlot) release() {
	if s.taken {
		<-s.slots
	}
}
