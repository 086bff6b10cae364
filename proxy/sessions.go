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
	placed map[place]*conn // the latest session of each client at a backend of several servers
	life   context.Context // ends with Shutdown
	end    context.CancelFunc
	wg     sync.WaitGroup
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

func (s *sessions) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.vacate(c)
	s.wg.Done()
}

// Shutdown ends all connections, telling MQTT 5.0 clients why, and waits for
// them. The listeners have to be closed before.
func (s *Server) Shutdown(ctx context.Context) error {
	s.sessions.mu.Lock()
	s.sessions.end()
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
