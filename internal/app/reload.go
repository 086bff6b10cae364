package app

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/mqttward/mqttward/proxy"
)

// Reload loads the configuration again and puts it in force, without ending a
// session. If anything is wrong with it, nothing changes.
func (a *App) Reload() error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	a.notify(daemon.SdNotifyReloading + monotonic())
	defer a.notify(daemon.SdNotifyReady) // as it was, or as it is now
	err := a.reload()
	a.metrics.Reloaded(err == nil)
	a.noteReload(err)
	if err != nil {
		a.logs.Log.Error("reload failed: the configuration stays as it was", "error", err)
		return err
	}
	a.logs.Log.Info("configuration reloaded", "config", a.path)
	return nil
}

func (a *App) reload() error {
	last := a.current.Load()
	next, err := load(a.path, a.flags, a.shared, last)
	if err != nil {
		return err
	}
	cfg := next.config
	token, err := readToken(cfg)
	if err == nil {
		err = a.apply(next)
	}
	if err != nil {
		next.close(last)
		return err
	}
	a.replace(last, next)
	// It is in force: what goes wrong from here on is no failed reload.
	// A token, or none, for another address is not for the one that is served: that
	// may be on the network, where nobody may come in without.
	if a.admin != nil && cfg.Admin.Address == a.adminSocket.Address {
		a.admin.SetToken(token)
	}
	a.tune(cfg.Runtime)
	if err := a.logs.Reopen(cfg.Log); err != nil {
		a.logs.Log.Warn("the audit log could not be opened anew: the old file goes on", "error", err)
	}
	if old := last.config; cfg.Admin.Address != old.Admin.Address || cfg.Log.Format != old.Log.Format || cfg.Log.Audit != old.Log.Audit {
		a.logs.Log.Warn("a change of admin.address, log.format or log.audit takes effect after a restart")
	}
	return nil
}

// loginTime is longer than a login takes that has begun.
const loginTime = time.Minute

// replace closes what methods of an old configuration hold and the next has not
// taken over, when the logins are over that have begun with them.
func (a *App) replace(last, next *built) {
	a.serving.Go(func() {
		select {
		case <-time.After(loginTime):
		case <-a.stopped.Done():
		}
		last.close(next)
	})
}

// apply opens the listeners that are new, hands all of them their policies and
// closes those that are gone.
func (a *App) apply(b *built) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.draining.Load():
		return errors.New("shutting down")
	case a.replaced.Load():
		return errReplaced
	}
	old := slices.Clone(a.listeners)
	var next, opened []*listener
	for i := range b.config.Listeners {
		c := &b.config.Listeners[i]
		address := c.Address
		at := slices.IndexFunc(old, func(l *listener) bool { return l.address == address })
		if at >= 0 {
			next = append(next, old[at])
			old = slices.Delete(old, at, at+1)
			continue
		}
		socket, err := a.socket(c.Name, address, c.Mode)
		if err != nil {
			for _, l := range opened {
				_ = l.socket.Close()
			}
			if errors.Is(err, syscall.EADDRINUSE) && len(old) > 0 {
				err = fmt.Errorf("%w (by a listener that goes with this reload, perhaps: then restart)", err)
			}
			return fmt.Errorf("listeners[%d].address: %w", i, err)
		}
		l := &listener{address: address, socket: socket}
		next, opened = append(next, l), append(opened, l)
	}
	// From here nothing fails.
	a.takeOver(b)
	a.shared.gate.SetLimits(gateLimits(b.config))
	a.shared.bans.SetRules(banRules(b.config))
	a.shared.bans.Restore(time.Now(), b.bans)
	usePools(b, a.current.Swap(b))
	for _, set := range b.keySets {
		set.Start()
	}
	a.shield(b)
	a.keepStaples(b)
	for i, l := range next {
		a.setMode(l.socket, b.config.Listeners[i].Mode)
		a.serve(l, b.policies[i])
	}
	a.retired = slices.DeleteFunc(a.retired, func(l *proxy.Listener) bool { return l.Open() == 0 })
	for _, l := range old {
		_ = l.socket.Close()
		a.retired = append(a.retired, l.proxy)
		a.logs.Log.Info("listener closed", "address", l.socket.Addr().String())
	}
	for _, l := range a.retired {
		l.SetPolicy(b.retired)
	}
	a.listeners = next
	a.emptying.look() // who comes from now on gets no server that is to be emptied
	return nil
}

// serve puts l under policy p, and begins to accept if it is new.
func (a *App) serve(l *listener, p *proxy.Policy) {
	if l.proxy != nil {
		l.proxy.SetPolicy(p)
		return
	}
	l.proxy = a.server.NewListener(p)
	a.logs.Log.Info("listening", "listener", p.Listener, "address", l.socket.Addr().String(), "tls", p.TLS != nil)
	a.accepting.Go(func() { l.proxy.Serve(l.socket) })
}
