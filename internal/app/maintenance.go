package app

import (
	"context"
	"errors"

	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/proxy/backend"
)

// whereabouts are a server of a backend, by their names.
type whereabouts struct{ backend, server string }

// drainServer puts a server into maintenance, or takes it out again, and returns how
// many sessions it has. Reloads do not change that.
func (a *App) drainServer(by, pool, server string, on bool) (sessions int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.current.Load()
	s := b.server(whereabouts{pool, server})
	if s == nil {
		return 0, admin.ErrNoServer
	}
	s.Drain(on)
	if !on && s.Maintenance() {
		return 0, errors.New("the configuration says that the server is in maintenance")
	}
	a.logs.Audit.Info("drain", "by", by, "backend", Printable(pool), "server", Printable(server), "undo", !on)
	if !a.draining.Load() { // else its sessions end with all others
		a.empty(b)
	}
	return s.Active(), nil
}

// server returns a server of b, nil if there is none at that place.
func (b *built) server(where whereabouts) *backend.Server {
	if b == nil || b.pool(where.backend) == nil {
		return nil
	}
	for _, s := range b.pool(where.backend).Servers() {
		if s.Name() == where.server {
			return s
		}
	}
	return nil
}

// empty takes the sessions from the servers of b that are in maintenance by now, at
// the rate of a drain for all of them together. Their clients are told of no other
// server: they are to come back here. The caller holds a.mu.
func (a *App) empty(b *built) {
	if a.stopEmpty != nil {
		a.stopEmpty()
		a.stopEmpty = nil
	}
	left := map[whereabouts]bool{}
	for _, p := range b.pools {
		for _, s := range p.Servers() {
			if s.Maintenance() {
				left[whereabouts{p.Name(), s.Name()}] = true
			}
		}
	}
	if len(left) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(a.stopped)
	a.stopEmpty = cancel
	a.serving.Go(func() {
		a.server.Drain(ctx, proxy.Drain{
			Match:     func(c proxy.ClientInfo) bool { return left[whereabouts{c.Backend, c.Server}] },
			PerSecond: b.config.Drain.Rate,
		})
	})
}
