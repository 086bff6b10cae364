package proxy

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/mqttward/mqttward/packets"
)

// Drain says which sessions end, how fast, and what their clients are told. Only
// those of MQTT 5.0 can be told anything; the connections of others are closed.
type Drain struct {
	// Match says of which sessions; nil: of all. It must not call the Server, and is
	// asked of each session when its turn has come, too.
	Match func(ClientInfo) bool

	// PerSecond is how many sessions end in a second at most; 0: all end at once. As
	// many as would end in the first tenth of a second end together.
	PerSecond float64

	// Reference is where the clients are to go instead, as Server Reference (MQTT 5.0
	// section 4.13): Use another server with it or, if they are not to come back, Server
	// moved. Empty: Server shutting down.
	Reference string
	Moved     bool
}

// Drain ends the sessions that match, the oldest first, and of the connections in
// their handshakes those that become such sessions. It returns when there are none
// left or ctx ends. Connections that come later are not waited for: who empties
// something sees to it that it gets no new ones.
//
// The Wills of the sessions are due: a server that ends a connection without a
// DISCONNECT of the client's publishes its Will [MQTT-3.1.2-8]. A client that will be
// back soon and wants none published has a Will Delay Interval for that (MQTT 5.0
// section 3.1.3.2.2).
func (s *Server) Drain(ctx context.Context, d Drain) {
	e := d.ending()
	if d.Match == nil {
		s.sessions.tellAtShutdown(e)
	}
	pace := d.pace()
	early := s.sessions.early()
	defer context.AfterFunc(ctx, s.sessions.wake)()
	for turn := false; ; {
		found := s.sessions.await(ctx, d.Match, early)
		for _, c := range found {
			if !turn && !waitFor(ctx, pace) {
				return
			}
			turn = !d.ends(c, e) // the turn is the next one's
		}
		if len(found) == 0 {
			return
		}
	}
}

// ends ends a session, and reports false if it has ended by itself or does not match
// any more: what Match says may have changed while it waited for its turn.
func (d *Drain) ends(c *conn, e *ending) bool {
	if d.Match != nil && !d.Match(c.info()) {
		return false
	}
	c.stop(e)
	return c.ending.Load() == e
}

func (d *Drain) ending() *ending {
	e := &ending{end: EndDrained, code: packets.ServerShuttingDown, reference: d.Reference}
	switch {
	case d.Reference == "":
	case d.Moved:
		e.code = packets.ServerMoved
	default:
		e.code = packets.UseAnotherServer
	}
	return e
}

func (d *Drain) pace() *rate.Limiter {
	if d.PerSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(d.PerSecond), max(1, int(d.PerSecond/10)))
}

// waitFor waits for the next turn, and reports false if ctx ends first. Unlike
// rate.Limiter.Wait it does wait for a turn that comes too late: the time until then
// is the sessions'.
func waitFor(ctx context.Context, pace *rate.Limiter) bool {
	if ctx.Err() != nil {
		return false
	}
	delay := pace.Reserve().Delay()
	if delay == 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// tellAtShutdown has Shutdown tell the clients what e does.
func (s *sessions) tellAtShutdown(e *ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.farewell = &ending{end: EndShutdown, code: e.code, reference: e.reference}
}

// early returns the connections that may yet become sessions.
func (s *sessions) early() map[*conn]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	early := map[*conn]struct{}{}
	for c := range s.conns {
		if !c.running.Load() {
			early[c] = struct{}{}
		}
	}
	return early
}

// wake has those who wait look again.
func (s *sessions) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// await waits for sessions that match and returns them, the oldest first; none when
// no connection of early can become one any more, or ctx ends.
func (s *sessions) await(ctx context.Context, match func(ClientInfo) bool, early map[*conn]struct{}) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		found := s.runningLocked()
		if match != nil {
			found = slices.DeleteFunc(found, func(c *conn) bool { return !match(c.info()) })
		}
		for c := range early {
			if _, open := s.conns[c]; !open || c.running.Load() {
				delete(early, c)
			}
		}
		if len(found) > 0 || len(early) == 0 || ctx.Err() != nil {
			slices.SortFunc(found, func(a, b *conn) int { return cmp.Compare(a.number, b.number) })
			return found
		}
		s.changed.Wait()
	}
}
