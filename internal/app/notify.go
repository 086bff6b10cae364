package app

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify tells systemd how the service is, if that wants to know (sd_notify(3)). That
// is not for a process to say that does not serve yet, or no longer.
func (a *App) notify(state string) {
	if a.inherited != nil || a.replaced.Load() {
		return
	}
	if _, err := daemon.SdNotify(false, state); err != nil {
		a.logs.Log.Warn("systemd could not be told", "state", state, "error", err)
	}
}

// watchdog tells systemd that the process lives, until it has stopped, if that is to
// end it otherwise (WatchdogSec).
func (a *App) watchdog() {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		a.logs.Log.Warn("the watchdog of systemd cannot be told", "error", err)
	}
	if every == 0 {
		return
	}
	again := time.NewTicker(every / 2)
	defer again.Stop()
	for {
		a.notify(daemon.SdNotifyWatchdog)
		select {
		case <-again.C:
		case <-a.stopped.Done():
			return
		}
	}
}
