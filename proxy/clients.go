package proxy

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// ClientInfo is a client whose session runs. What the client chose of it is as
// the client wrote it.
type ClientInfo struct {
	Session  uint64 // its number; those of later sessions are higher
	ClientID string
	BrokerID string         // its ClientID as the broker knows it
	Username string         // empty: anonymous
	Tenant   string         // that the user is one of; empty: none
	Method   string         // that vouches for the client
	Remote   netip.AddrPort // invalid for a Unix socket
	Listener string
	Backend  string
	Server   string // of the backend
	Version  packets.Version
	Since    time.Time
	Expires  time.Time // of the identity; zero: never
}

// begin makes the connection a session, which Clients lists and Kick ends.
func (c *conn) begin() {
	c.number, c.since = c.listener.server.begun.Add(1), time.Now()
	c.listener.server.sessions.begin(c)
	c.listener.server.sessions.supersede(c)
}

// info describes a session that runs.
func (c *conn) info() ClientInfo {
	return ClientInfo{
		Session:  c.number,
		ClientID: c.sess.ClientID,
		BrokerID: c.sess.BrokerID(),
		Username: c.sess.Identity.Username,
		Tenant:   c.sess.Identity.Tenant,
		Method:   c.sess.Identity.Method,
		Remote:   c.sess.RemoteAddr,
		Listener: c.sess.Listener,
		Backend:  c.sess.Backend,
		Server:   c.sess.Server,
		Version:  c.sess.Version,
		Since:    c.since,
		Expires:  c.sess.Proof().Expires,
	}
}

// Clients returns the clients whose sessions run, the oldest session first.
func (s *Server) Clients() []ClientInfo {
	running := s.sessions.running()
	list := make([]ClientInfo, 0, len(running))
	for _, c := range running {
		list = append(list, c.info())
	}
	slices.SortFunc(list, func(a, b ClientInfo) int { return cmp.Compare(a.Session, b.Session) })
	return list
}

// Sessions returns how many sessions run.
func (s *Server) Sessions() int { return len(s.sessions.running()) }

// Kick ends the sessions that match, at once, and returns how many these are; by
// says for the audit log on whose behalf. Their Wills are due, and nothing keeps
// the clients from coming back.
func (s *Server) Kick(by string, match func(ClientInfo) bool) (kicked int) {
	e := &ending{end: EndKicked, code: packets.AdministrativeAction, err: errors.New("kicked by " + by)}
	for _, c := range s.sessions.running() {
		if !match(c.info()) {
			continue
		}
		c.stop(e)
		if c.ending.Load() == e { // nothing else was first
			kicked++
		}
	}
	return kicked
}

// running returns the connections that are sessions and not about to end.
func (s *sessions) running() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runningLocked()
}

func (s *sessions) runningLocked() (running []*conn) {
	for c := range s.conns {
		if c.running.Load() && c.life.Err() == nil {
			running = append(running, c)
		}
	}
	return running
}
