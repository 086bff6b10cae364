//go:build unix

package app

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/internal/handover"
)

// programOf is a successor that a shell plays.
func programOf(t *testing.T, script string) handover.Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "successor")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	args := os.Args
	defer func() { os.Args = args }()
	os.Args = []string{path}
	return handover.ThisProgram()
}

// TestDrainDuringUpgrade: the successor of a service that is to end does not begin, and
// who comes too late is told so.
func TestDrainDuringUpgrade(t *testing.T) {
	a, _ := startApp(t, withToken)
	fifo := filepath.Join(t.TempDir(), "started")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	upgraded := make(chan error, 1)
	go func() { upgraded <- a.Upgrade(t.Context(), programOf(t, "echo > "+fifo+"\nexec cat <&4\n")) }()
	if _, err := os.ReadFile(fifo); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Drain("the test", admin.DrainRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := <-upgraded; !errors.Is(err, errEnding) {
		t.Errorf("not ready yet: %v", err)
	}
	ready := programOf(t, "printf x >&3\nexec cat <&4\n")
	b, _ := startApp(t, withToken)
	b.draining.Store(true) // after the successor was started
	if err := b.Upgrade(t.Context(), ready); !errors.Is(err, errEnding) || b.replaced.Load() {
		t.Errorf("ready: %v", err)
	}
	b.draining.Store(false)
	if err := b.Upgrade(t.Context(), ready); err != nil {
		t.Error(err)
	}
	if _, err := b.Drain("the test", admin.DrainRequest{}); !errors.Is(err, errReplaced) || b.draining.Load() {
		t.Errorf("too late: %v", err)
	}
}
