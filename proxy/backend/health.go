package backend

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Health is how servers are asked whether they serve. The zero Health does not ask.
type Health struct {
	Interval, Timeout time.Duration // the timeout bounds one question
	MQTT              bool          // with CONNECT and PINGREQ; otherwise a connection is enough
	Rise, Fall        int           // answers in a row that change what is believed; at least 1
	EndSessions       bool          // of servers that do not serve any more
}

// atOnce is how many servers of a pool are asked at the same time.
const atOnce = 16

// health is what questions have told of a server. The zero health believes that it
// serves.
type health struct {
	mu     sync.Mutex
	asked  bool
	down   bool
	streak int       // answers in a row that contradict
	since  time.Time // when it was down and is back; zero: it was never down
	why    error     // it is down
}

// serves reports whether sessions can be sent there.
func (h *health) serves() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.down
}

// forget believes that the server serves, for nobody will ask it again.
func (h *health) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked, h.down, h.streak, h.why = false, false, 0, nil
}

// note takes an answer, nil if the server serves, and reports whether what is
// believed has changed. The first answer is believed at once.
func (h *health) note(now time.Time, o Health, why error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	need := o.Fall
	if h.down {
		need = o.Rise
	}
	first := !h.asked
	h.asked = true
	if h.down {
		h.why = why
	}
	if (why == nil) != h.down {
		h.streak = 0
		return false
	}
	if h.streak++; h.streak < need && !first {
		return false
	}
	h.streak, h.down, h.why = 0, !h.down, why
	if !h.down {
		h.since = now
	}
	return true
}

// watch asks all servers, again and again.
func (p *Pool) watch() {
	ticker := time.NewTicker(p.options.Health.Interval)
	defer ticker.Stop()
	for {
		p.ask()
		select {
		case <-p.life.Done():
			return
		case <-ticker.C:
		case <-p.news:
		}
	}
}

// ask asks all servers once.
func (p *Pool) ask() {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, s := range p.servers.Load().list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s.ask(p.life)
		})
	}
	wg.Wait()
}

func (s *Server) ask(life context.Context) {
	o := s.pool.options.Health
	ctx, cancel := context.WithTimeout(life, o.Timeout)
	defer cancel()
	err := s.probe(ctx, o.MQTT)
	if life.Err() != nil {
		return // or the end of the pool would be the server's
	}
	if err != nil && isTimeout(err) && ctx.Err() != nil {
		err = errors.New("no answer to a health check")
	}
	now := time.Now()
	if err == nil && o.MQTT { // more than a kernel has answered
		s.readmit(now)
	}
	if s.health.note(now, o, err) {
		s.pool.tell(s.Name(), err)
	}
}

func (s *Server) probe(ctx context.Context, mqtt bool) error {
	if mqtt {
		return s.checker.check(ctx, s.Dial, s.pool.options.Login)
	}
	conn, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// State says in a word whether a server gets new sessions, and why not.
func (s *Server) State() (word string, why error) {
	s.health.mu.Lock()
	down, because := s.health.down, s.health.why
	s.health.mu.Unlock()
	switch {
	case s.Maintenance():
		return "maintenance", nil
	case down:
		return "down", because
	case s.outlier.open():
		return "ejected", s.outlier.reason()
	}
	return "up", nil
}

// usable reports whether the server takes new sessions.
func (s *Server) usable(now time.Time) bool {
	return !s.Maintenance() && s.health.serves() && s.outlier.usable(now)
}

// Vacates reports whether the sessions of the server are to end.
func (s *Server) Vacates() bool {
	return s.Maintenance() || s.pool.options.Health.EndSessions && !s.health.serves()
}

// startShare is the part of its weight with which a server begins that is back.
const startShare = 0.1

// weight is the share of sessions that the server gets now.
func (s *Server) weight(now time.Time) float64 {
	full := float64(max(1, s.spec.Weight))
	slow := s.pool.options.SlowStart
	s.health.mu.Lock()
	since := s.health.since
	s.health.mu.Unlock()
	if back := s.outlier.back(); back.After(since) {
		since = back
	}
	up := now.Sub(since) // long, if it was never down
	if up >= slow {
		return full
	}
	return full * max(startShare, float64(up)/float64(slow))
}
