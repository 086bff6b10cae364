package app

import (
	"context"
	"errors"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/proxy"
)

// drain ends the sessions at the configured rate, and those that the connections in
// their handshakes become, as long as there is time.
func (a *App) drain() {
	b := a.current.Load()
	if b == nil {
		return
	}
	d := b.config.Drain
	ctx, cancel := context.WithTimeout(context.Background(), d.Timeout)
	defer cancel()
	a.logs.Log.Info("draining", "sessions", a.server.Sessions(), "rate", d.Rate, "timeout", d.Timeout.String())
	if a.replaced.Load() {
		d.ServerReference = "" // clients are to come back: to the process that has taken over
	}
	a.server.Drain(ctx, proxy.Drain{PerSecond: d.Rate, Reference: d.ServerReference, Moved: d.Moved})
	if left := a.server.Sessions(); left > 0 {
		a.logs.Log.Warn("no time is left to drain: the other sessions end at once", "sessions", left)
	}
}

// Drain implements admin.Drainer. That the instance is drained, and ends, is up to
// who waits for Stopping and calls Shutdown.
func (a *App) Drain(by string, what admin.DrainRequest) (sessions int, err error) {
	if !what.Whole() {
		return a.drainServer(by, place{*what.Backend, *what.Server}, what.Undo)
	}
	if !a.beginDrain() {
		return 0, errReplaced // and that one is to be asked
	}
	a.logs.Audit.Info("drain", "by", by)
	a.ask()
	return a.server.Sessions(), nil
}

// beginDrain reports false if another process has taken over.
func (a *App) beginDrain() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.replaced.Load() {
		return false
	}
	a.draining.Store(true)
	return true
}

// Stopping is closed when somebody has asked the instance to end, by other means
// than a signal.
func (a *App) Stopping() <-chan struct{} { return a.asked.Done() }

// reloadFor reloads on somebody's behalf.
func (a *App) reloadFor(by string) error {
	a.logs.Audit.Info("reload", "by", by)
	err := a.Reload()
	var wrong configs.Errors
	if errors.As(err, &wrong) {
		return admin.Mistakes(wrong.Error())
	}
	return err
}

// noteReload keeps for the status how a reload went.
func (a *App) noteReload(failure error) {
	r := &admin.Reload{At: time.Now().UTC()}
	if failure != nil {
		r.Error = failure.Error()
	}
	a.reloaded.Store(r)
}

// status is how the instance does, as the API tells of it.
func (a *App) status() admin.Status {
	s := admin.Status{
		Version: a.build.Version, Commit: a.build.Commit, Started: a.started.UTC(), Uptime: int64(time.Since(a.started) / time.Second),
		Ready: true, Draining: a.draining.Load(), Sessions: a.server.Sessions(), Listeners: a.listenerStatus(), Backends: a.backendStatus(), Reload: a.reloaded.Load(),
	}
	if err := a.ready(); err != nil {
		s.Ready, s.NotReady = false, err.Error()
	}
	return s
}

func (a *App) listenerStatus() []admin.ListenerStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]admin.ListenerStatus, 0, len(a.listeners))
	for i, l := range a.listeners {
		c := &a.current.Load().config.Listeners[i] // both change under the lock
		addr := l.socket.Addr()
		list = append(list, admin.ListenerStatus{
			Name: c.Name, Address: addr.String(), Transport: c.Transport, TLS: c.TLS != nil, Connections: l.proxy.Open(),
		})
	}
	return list
}
