package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// sessions is the set of running connections.
type sessions struct {
	mu     sync.Mutex
	conns  map[*conn]struct{}
	placed map[place]*conn // the latest session of each client at a backend
	life   context.Context // ends with Shutdown
	end    context.CancelFunc
	wg     sync.WaitGroup

	changed  sync.Cond // a session has begun, or a connection is over
	farewell *ending   // that clients are told at Shutdown
}

func (s *sessions) init() {
	s.conns, s.placed = make(map[*conn]struct{}), make(map[place]*conn)
	s.life, s.end = context.WithCancel(context.Background())
	s.changed.L = &s.mu
	s.farewell = &ending{end: EndShutdown, code: packets.ServerShuttingDown}
}

// pause waits, and reports false if Shutdown came first.
func (s *sessions) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.life.Done():
		return false
	}
}

// add reports false once Shutdown has begun.
func (s *sessions) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return false
	}
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	return true
}

// begin notes that c is a session from now on.
func (s *sessions) begin(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.running.Store(true)
	s.changed.Broadcast()
}

func (s *sessions) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.vacate(c)
	s.changed.Broadcast()
	s.wg.Done()
}

// Shutdown ends all connections, telling MQTT 5.0 clients why or, after a Drain of
// all sessions, what that has told the others, and waits for them. The listeners
// have to be closed before.
func (s *Server) Shutdown(ctx context.Context) error {
	s.sessions.mu.Lock()
	s.sessions.end()
	for c := range s.sessions.conns {
		c.stop(s.sessions.farewell)
	}
	s.sessions.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.sessions.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
