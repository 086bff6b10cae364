package app

import (
	"context"
	"errors"
	"sync"

	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/proxy/backend"
)

// emptying ends the sessions of servers in maintenance, and of those that are down
// where the configuration says so, of each at the rate of its drain.
type emptying struct {
	wake chan struct{} // there may be a server to be emptied
	life context.Context
	stop context.CancelFunc
	mu   sync.Mutex
	now  map[place]*bool // that are being emptied, and whether they are to be looked at again
}

// place is a server of a backend, by their names.
type place struct{ backend, server string }

func newEmptying() *emptying {
	e := &emptying{wake: make(chan struct{}, 1), now: map[place]*bool{}}
	e.life, e.stop = context.WithCancel(context.Background())
	return e
}

// look has the servers looked at again.
func (e *emptying) look() {
	select {
	case e.wake <- struct{}{}:
	default: // somebody is about to
	}
}

// begin reports whether nobody empties the server yet.
func (e *emptying) begin(p place) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if again := e.now[p]; again != nil {
		*again = true // whoever empties it may have seen the last session already
		return false
	}
	e.now[p] = new(bool)
	return true
}

func (e *emptying) end(p place) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if *e.now[p] {
		e.look()
	}
	delete(e.now, p)
}

// keepEmpty empties the servers that are to have no sessions.
func (a *App) keepEmpty() {
	for {
		select {
		case <-a.emptying.life.Done():
			return
		case <-a.emptying.wake:
		}
		b := a.current.Load()
		for _, pool := range b.pools {
			for _, s := range pool.Servers() {
				p := place{pool.Name(), s.Name()}
				// It may be empty now and get a session of a client that came before.
				if s.Vacates() && a.emptying.begin(p) {
					a.serving.Go(func() { a.empty(p, s, b.config.Drain.Rate) })
				}
			}
		}
	}
}

// empty ends the sessions of a server as long as they are to end. Their clients come
// back to another one.
func (a *App) empty(p place, s *backend.Server, rate float64) {
	log := a.logs.Log.With("backend", p.backend, "server", p.server)
	sessions := s.Active()
	if sessions > 0 {
		log.Info("a server is emptied", "sessions", sessions, "rate", rate)
	}
	a.server.Drain(a.emptying.life, proxy.Drain{
		Match:     func(c proxy.ClientInfo) bool { return a.leaves(c, p) },
		PerSecond: rate, Reference: s.Reference(),
	})
	a.emptying.end(p)
	if sessions > 0 && a.emptying.life.Err() == nil && a.vacates(p) {
		log.Info("a server is empty")
	}
}

// leaves reports whether a session is at the server, and still to end.
func (a *App) leaves(c proxy.ClientInfo, p place) bool {
	return c.Backend == p.backend && c.Server == p.server && a.vacates(p)
}

// vacates asks the configuration of now.
func (a *App) vacates(p place) bool {
	s := a.serverAt(p)
	return s != nil && s.Vacates()
}

// serverAt returns a server of now, nil if there is none.
func (a *App) serverAt(p place) *backend.Server {
	b := a.current.Load()
	if b == nil {
		return nil
	}
	pool := b.pool(p.backend)
	if pool == nil {
		return nil
	}
	for _, s := range pool.Servers() {
		if s.Name() == p.server {
			return s
		}
	}
	return nil
}

var errConfigured = errors.New("the configuration says that the server is in maintenance")

// drainServer puts a server in maintenance, or takes that back.
func (a *App) drainServer(by string, p place, undo bool) (sessions int, err error) {
	s := a.serverAt(p)
	if s == nil {
		return 0, admin.ErrNoServer
	}
	s.Drain(!undo)
	if undo && s.Maintenance() {
		return 0, errConfigured
	}
	a.logs.Audit.Info("drain", "backend", p.backend, "server", p.server, "undo", undo, "by", by)
	a.emptying.look()
	return s.Active(), nil
}

// backendStatus is how the servers of all backends do.
func (a *App) backendStatus() []admin.ServerStatus {
	var list []admin.ServerStatus
	b := a.current.Load()
	if b == nil {
		return nil
	}
	for _, pool := range b.pools {
		for _, s := range pool.Servers() {
			state, why := s.State()
			one := admin.ServerStatus{Backend: pool.Name(), Server: s.Name(), State: state, Sessions: s.Active()}
			if why != nil {
				one.Why = why.Error()
			}
			list = append(list, one)
		}
	}
	return list
}
