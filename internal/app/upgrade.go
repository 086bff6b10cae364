package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mqttward/mqttward/internal/handover"
)

const (
	// upgradeTime is longer than a successor takes to load a configuration.
	upgradeTime = time.Minute
	// askedTime is longer than a request to the admin address takes.
	askedTime = time.Second
)

var (
	errReplaced = errors.New("another process has taken over")
	errEnding   = errors.New("the service is to end")
)

// Upgrade starts program, which takes over the listening sockets of now. When it is
// ready to serve, this process has stopped accepting, and Shutdown is to follow. On
// an error, or if ctx ends first, nothing has changed. No reload happens
// meanwhile.
func (a *App) Upgrade(ctx context.Context, program handover.Program) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	err := a.upgrade(ctx, program)
	if err != nil {
		a.logs.Log.Error("upgrade failed: this process goes on", "error", err)
	}
	return err
}

func (a *App) upgrade(ctx context.Context, program handover.Program) error {
	if a.replaced.Load() {
		return errReplaced
	}
	ctx, cancel := context.WithTimeoutCause(ctx, upgradeTime, fmt.Errorf("%v are over", upgradeTime))
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(a.asked, func() { end(errEnding) })()
	successor, err := handover.Start(ctx, program, a.sockets())
	if err != nil {
		return err
	}
	if ctx.Err() != nil || !a.giveWay(successor) {
		successor.Abandon() // or the service would not end
		return errEnding
	}
	a.letGo()
	successor.Begin()
	a.logs.Log.Info("another process has taken over", "pid", successor.PID)
	return nil
}

// giveWay makes the successor the one that serves, unless somebody has asked meanwhile
// that nobody does.
func (a *App) giveWay(successor *handover.Successor) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.draining.Load() {
		return false
	}
	// The main process alone is listened to, so it says who is the next one.
	a.notify(fmt.Sprintf("MAINPID=%d", successor.PID))
	a.replaced.Store(true)
	return true
}

// sockets are all that listen.
func (a *App) sockets() []*handover.Socket {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []*handover.Socket
	if a.adminSocket != nil {
		all = append(all, a.adminSocket)
	}
	for _, l := range a.listeners {
		all = append(all, l.socket)
	}
	return all
}

// letGo stops accepting and does what must have been done when the successor begins:
// what was accepted is in a session, what waits is the successor's, and the file of
// bans has all of them and is not written again.
func (a *App) letGo() {
	for _, s := range a.sockets() {
		s.KeepFile(true)
	}
	a.stopAccepting()
	if a.admin != nil {
		// Requests to ban somebody end before the bans are saved.
		ctx, cancel := context.WithTimeout(context.Background(), askedTime)
		defer cancel()
		_ = a.admin.Shutdown(ctx) // it cuts off who is slower
	}
	a.stopBans()
	a.keepingBans.Wait()
}

// stopAccepting closes the listeners and waits until what they have accepted is in
// the hands of a session.
func (a *App) stopAccepting() {
	a.mu.Lock()
	for _, l := range a.listeners {
		_ = l.socket.Close()
	}
	a.mu.Unlock()
	a.accepting.Wait()
}

// takeOver waits until the process that this one replaces has let go, and reads what
// that has written last.
func (a *App) takeOver(b *built) {
	if a.inherited == nil {
		return // after the start too, when others may look at it
	}
	upgrade := a.inherited.Replaces()
	for _, address := range a.inherited.Ready() {
		a.logs.Log.Warn("a socket that was passed is closed: no listener has its address or name", "address", address)
	}
	a.inherited = nil
	if !upgrade || b.config.Bans.File == "" {
		return
	}
	bans, err := readBans(b.config.Bans.File)
	if err != nil { // it was good when this process started
		a.logs.Log.Warn("the last bans of the process before could not be read", "error", err)
		return
	}
	b.bans = bans
}
