package proxy

import (
	"context"
	"sync"

	"github.com/mqttward/mqttward/packets"
)

// sessions is the set of running connections.
type sessions struct {
	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

// add reports false once the set is closed.
func (s *sessions) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[*conn]struct{})
	}
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *sessions) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.wg.Done()
}

// Shutdown ends all connections, telling MQTT 5.0 clients why, and waits for
// them. The listeners have to be closed before.
func (s *Server) Shutdown(ctx context.Context) error {
	s.sessions.mu.Lock()
	s.sessions.closed = true
	for c := range s.sessions.conns {
		c.stop(&ending{end: EndShutdown, code: packets.ServerShuttingDown})
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
