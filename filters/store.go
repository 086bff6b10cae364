package filters

import (
	"container/list"
	"sync"
	"time"
)

// Store knows the sessions of all clients by the Client Identifier that the broker
// knows them by: whose each is, and what the broker keeps of it while the client is
// away. It is bounded: of the sessions whose clients are away, those that have been
// so for longest are forgotten first.
type Store struct {
	mu       sync.Mutex
	max      int
	sessions map[string]*stored
	away     *list.List // of the identifiers of sessions whose clients are away
}

// stored is a session, which may have a connection.
type stored struct {
	owner   string
	last    *Session // the latest that the broker has accepted; nil: none yet
	open    int      // connections that have claimed it
	expires time.Time
	away    *list.Element // nil: there are connections
}

// lastAt returns the last session if it was at the server: another one has kept an
// older one of the client, of which nothing is known.
func (e *stored) lastAt(server string) *Session {
	if e.last == nil || e.last.Server != server {
		return nil
	}
	return e.last
}

// NewStore returns a Store that remembers up to max sessions whose clients are
// away.
func NewStore(max int) *Store {
	return &Store{max: max, sessions: make(map[string]*stored), away: list.New()}
}

// Claim sets s.Owner: the principal that s.BrokerID belongs to, which is that
// of s if it belongs to nobody. It reports whether another connection has it, and is
// followed by End.
func (t *Store) Claim(now time.Time, s *Session) (taken bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := s.BrokerID()
	e := t.sessions[id]
	if e != nil && e.away != nil {
		t.away.Remove(e.away)
		e.away = nil
		if now.After(e.expires) {
			e = nil
		}
	}
	if e == nil {
		e = &stored{owner: s.Identity.Principal()}
		t.sessions[id] = e
	}
	e.open++
	s.Owner = e.owner
	return e.open > 1
}

// Begin says that the broker has accepted s, and whether it had a session.
func (t *Store) Begin(s *Session, present bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.sessions[s.BrokerID()]
	if present {
		s.Resume(e.lastAt(s.Server))
	}
	e.last, e.owner = s, s.Identity.Principal()
}

// End says that the connection of s is over, and how long the broker keeps the
// session.
func (t *Store) End(now time.Time, s *Session, keep time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := s.BrokerID()
	e := t.sessions[id]
	e.open--
	if e.last == s {
		e.expires = now.Add(keep)
		e.last = &Session{Server: s.Server}
		e.last.Resume(s) // the rest of s is not needed
	}
	switch {
	case e.open > 0:
	case e.last == nil || !now.Before(e.expires):
		delete(t.sessions, id)
	default:
		e.away = t.away.PushBack(id)
		t.forget()
	}
}

// forget drops the sessions that are too many.
func (t *Store) forget() {
	for t.away.Len() > t.max {
		oldest := t.away.Front()
		id, _ := t.away.Remove(oldest).(string)
		delete(t.sessions, id)
	}
}
