package app

import "testing"

// TestNotifyDuringReload: systemd may be told something at any time. This is for the race
// detector.
func TestNotifyDuringReload(t *testing.T) {
	a, _ := startApp(t, policy)
	told := make(chan struct{})
	go func() {
		defer close(told)
		a.notify("WATCHDOG=1")
	}()
	if err := a.Reload(); err != nil {
		t.Error(err)
	}
	<-told
}
