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
//
// It is one of Handshakes until the end, and one of Computing until the answer to
// the ClientHello is out: most of the work is in that, and anybody can ask for it.
type handshakeSlot struct {
	handshakes, computing Places // nil: no limit
	rank                  int
	letGo                 func() // of what nobody needs who waits for a slot
	leave                 func() // ends the handshake, since others want the slot
	back                  func() // see Places.Idle; nil: it has not waited yet
	life                  context.Context
	start                 time.Time     // of the handshake, and
	limit                 time.Duration // how long it may take with the wait for the slot; zero: no limit
	taken, computes       bool
}

// slotKey is the key of the handshakeSlot in the context of a handshake.
type slotKey struct{}

// errNoSlot is the end of a handshake that found none.
var errNoSlot = fmt.Errorf("no free handshake slot: %w", os.ErrDeadlineExceeded)

// take waits for a slot. Thousands may: 4,000 that had read their ClientHello held 300
// MiB of buffers.
func (s *handshakeSlot) take() (err error) {
	s.letGo()
	ctx, cancel := s.rest()
	defer cancel()
	s.taken, err = s.wait(ctx, s.handshakes)
	if err == nil {
		s.computes, err = s.wait(ctx, s.computing)
	}
	return err
}

// goOn waits for the processor again after a HelloRetryRequest, which was an answer
// and cost nothing.
func (s *handshakeSlot) goOn() (err error) {
	if s.computes {
		return nil
	}
	ctx, cancel := s.rest()
	defer cancel()
	s.computes, err = s.wait(ctx, s.computing)
	return err
}

func (s *handshakeSlot) wait(ctx context.Context, places Places) (taken bool, err error) {
	if places == nil {
		return false, nil
	}
	if places.Take(ctx, s.rank) != nil {
		return false, errNoSlot
	}
	return true, nil
}

// rest is a context that ends when the handshake has to, or the connection does.
func (s *handshakeSlot) rest() (context.Context, context.CancelFunc) {
	if s.limit == 0 {
		return context.WithCancel(s.life)
	}
	return context.WithDeadline(s.life, s.start.Add(s.limit))
}

// waits is called when the peer is waited for.
func (s *handshakeSlot) waits() {
	s.answered()
	if s.taken && s.back == nil {
		s.back = s.handshakes.Idle(s.rank, s.leave)
	}
}

func (s *handshakeSlot) answered() {
	if s.computes {
		s.computes = false
		s.computing.Give()
	}
}

func (s *handshakeSlot) release() {
	s.answered()
	if s.back != nil {
		s.back()
	}
	if s.taken {
		s.taken = false
		s.handshakes.Give()
	}
}
