package proxy

import (
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// expiry ends the session when its identity expires.
type expiry struct {
	mu    sync.Mutex
	timer *time.Timer // nil: it does not
}

// set lays down when the identity expires; zero means never.
func (e *expiry) set(c *conn, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil {
		e.timer.Stop()
	}
	if at.IsZero() {
		e.timer = nil
		return
	}
	e.timer = time.AfterFunc(time.Until(at), func() {
		if now := c.sess.Proof().Expires; now.IsZero() || time.Now().Before(now) {
			return // it was renewed at the last moment
		}
		c.stop(&ending{end: EndExpired, code: packets.NotAuthorized, err: errors.New("the client's identity has expired")})
	})
}

func (e *expiry) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil {
		e.timer.Stop()
	}
}

// recheck ends the session if p would not admit its client any more. It reports
// whether that is known.
func (c *conn) recheck(p *Policy) (known bool) {
	if p == c.policy {
		return true
	}
	defer func() {
		if r := recover(); r != nil {
			c.stop(c.recovered(r))
		}
	}()
	if err := c.stays(p); err != nil {
		c.stop(asEnding(err, EndRevoked, packets.NotAuthorized))
		return true
	}
	if p.Recheck == nil {
		return true
	}
	var state tls.ConnectionState
	if c.tls != nil {
		state = c.tls.ConnectionState()
	}
	ctx, cancel := c.within(p.Limits.ConnectTimeout)
	defer cancel()
	err := p.Recheck(ctx, &c.sess, state)
	if errors.Is(err, filters.ErrUnavailable) && c.life.Err() == nil {
		return false
	}
	if err != nil && c.life.Err() == nil {
		c.stop(&ending{end: EndRevoked, code: packets.NotAuthorized, err: err})
	}
	return true
}

const (
	// rechecks is how many sessions of a listener are asked about at once: sources
	// of identities may be far away.
	rechecks = 16

	// firstRecheck and maxRecheck are the pauses before sessions are asked about
	// again of which nobody could say anything.
	firstRecheck = time.Second
	maxRecheck   = time.Minute
)

// recheck takes from all sessions of l what they have no right to by p any more,
// and asks p about them, until another policy is in force. That
// takes its time, so connections come and go meanwhile; those that come ask for
// themselves.
func (s *sessions) recheck(l *Listener, p *Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var running []*conn
	for c := range s.conns {
		if c.listener == l && c.running.Load() {
			running = append(running, c)
		}
	}
	s.withdrawFrom(running, l, p)
	s.askLater(running, l, p, 0)
}

// askLater asks p about sessions until it is known of each whether p admits it. It
// is called while there are sessions, so that Shutdown waits for it.
func (s *sessions) askLater(running []*conn, l *Listener, p *Policy, first time.Duration) {
	if len(running) == 0 {
		return
	}
	s.wg.Go(func() {
		if first > 0 && !s.pause(first) {
			return
		}
		for pause := firstRecheck; len(running) > 0 && l.policy.Load() == p; pause = min(2*pause, maxRecheck) {
			if running = askAbout(running, l, p); len(running) > 0 && !s.pause(pause) {
				return
			}
		}
	})
}

// askAbout returns the sessions of which nobody can say now whether p admits them.
func askAbout(running []*conn, l *Listener, p *Policy) (unknown []*conn) {
	var (
		mu      sync.Mutex
		next    atomic.Int64
		workers sync.WaitGroup
	)
	for range min(rechecks, len(running)) {
		workers.Go(func() {
			for l.policy.Load() == p {
				i := int(next.Add(1)) - 1
				if i >= len(running) {
					return
				}
				if c := running[i]; !c.recheck(p) {
					mu.Lock()
					unknown = append(unknown, c)
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return unknown
}

// answers sees to it that the broker answers what somebody depends on us for.
type answers struct {
	mu    sync.Mutex
	timer *time.Timer // nil: nothing is awaited
	over  bool
}

// expect gives the broker the time of a packet for each answer that is owed.
func (a *answers) expect(c *conn) {
	limit := c.policy.Limits.PacketTimeout
	a.mu.Lock()
	defer a.mu.Unlock()
	if limit == 0 || a.over || a.timer != nil || !c.sess.Owed() {
		return
	}
	a.timer = time.AfterFunc(limit, func() {
		a.mu.Lock()
		a.timer = nil
		a.mu.Unlock()
		if c.sess.Overdue(time.Now().Add(1 - limit)) {
			c.stop(&ending{end: EndBrokerError, code: packets.UnspecifiedError, err: errors.New("the broker does not answer a SUBSCRIBE or UNSUBSCRIBE")})
			return
		}
		a.expect(c)
	})
}

func (a *answers) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	if a.timer != nil {
		a.timer.Stop()
	}
}
