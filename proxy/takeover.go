package proxy

import (
	"errors"

	"github.com/mqttward/mqttward/packets"
)

// place is whose session it is, as the brokers know it.
type place struct{ backend, clientID string }

func (c *conn) place() place { return place{c.sess.Backend, c.sess.BrokerID()} }

// supersede ends the session that the client has at another server of the backend:
// that server does not hear of this one [MQTT-3.1.4-3]. At the same server, the broker
// sees to it.
func (s *sessions) supersede(c *conn) {
	s.mu.Lock()
	old := s.placed[c.place()]
	s.placed[c.place()] = c
	s.mu.Unlock()
	if old != nil && old.sess.Server != c.sess.Server {
		old.stop(&ending{end: EndTakenOver, code: packets.SessionTakenOver, err: errors.New("the client has a session at " + c.sess.Server)})
	}
}

// vacate forgets where c is. The caller holds s.mu.
func (s *sessions) vacate(c *conn) {
	if at := c.place(); s.placed[at] == c {
		delete(s.placed, at)
	}
}
