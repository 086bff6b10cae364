package proxy

import (
	"log/slog"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// withdraw takes from the session the subscriptions that have no right by p. Any
// goroutine may call it: it opens filters of its own, so the pumps may be reading.
func (c *conn) withdraw(p *Policy) {
	if !c.sess.Subscribes() || c.life.Err() != nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			c.stop(c.recovered(r))
		}
	}()
	chain := p.Up.Open(&c.sess)
	defer chain.Close()
	c.noteWithdrawn(chain.ReviewSubscriptions(time.Now(), &c.sess))
	c.unsubscribe()
}

// withdrawFrom does so for sessions of l, as long as p is in force. It is called
// while there are sessions, so that Shutdown waits for it.
func (s *sessions) withdrawFrom(running []*conn, l *Listener, p *Policy) {
	if len(running) == 0 {
		return
	}
	s.wg.Go(func() {
		for _, c := range running {
			if l.policy.Load() != p {
				return
			}
			c.withdraw(p)
		}
	})
}

// unsubscribe tells the broker what the session has lost. It does not wait for
// that: the broker may not be reading, the caller has other sessions to see to or
// is the pump that the broker waits for.
func (c *conn) unsubscribe() {
	if c.leaving.Add(1) > 1 {
		return // who is at it looks again
	}
	c.listener.server.sessions.wg.Go(func() {
		for n := c.leaving.Load(); n > 0; n = c.leaving.Add(-n) {
			// Nobody writes meanwhile: a SUBSCRIBE that asks for it again is either known
			// already, or goes behind.
			_ = c.toBroker.writeNext(func() []byte { return c.sess.Unsubscribe(time.Now()) }) // the pumps hear of an error
			c.answers.expect(c)
		}
	})
}

// noteWithdrawn logs and counts the subscriptions that a session has lost, and sees
// to it that the client is told.
func (c *conn) noteWithdrawn(list []filters.Withdrawn) {
	if len(list) == 0 {
		return
	}
	c.listener.server.observer.Decided("subscribe", "withdrawn", len(list))
	for i, w := range list {
		if i < maxDeniedLogged {
			c.log("subscription withdrawn", slog.String("filter", clip(w.Filter)), slog.String("rule", w.Rule))
		}
		if c.sess.Version == packets.V5 {
			c.notices.add(c.ownFilters(w.Lost), c.largest())
		}
	}
	if more := len(list) - maxDeniedLogged; more > 0 {
		c.log("subscription withdrawn", slog.Int("more", more))
	}
}
