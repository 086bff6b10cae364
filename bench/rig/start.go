package rig

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"time"
)

// Process is one that was started.
type Process struct {
	PID   int
	Ended <-chan struct{} // closed when it has
	stop  func() error
}

// Stop ends the process, and waits for that.
func (p *Process) Stop() {
	_ = p.stop() // it may have ended
	<-p.Ended
}

// Start starts a server and waits until it answers at address. It ends with
// ctx. Of one that does not serve the error has all that it printed.
func Start(ctx context.Context, address string, command ...string) (*Process, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // G204: the user's choice
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = Grace
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	p := &Process{PID: cmd.Process.Pid, Ended: ended, stop: cmd.Cancel}
	if !answers(address, ended) {
		p.Stop()
		return nil, fmt.Errorf("it does not serve: %s", &output)
	}
	return p, nil
}

// answers waits for a server at address, which has failed when it has ended.
func answers(address string, ended <-chan struct{}) bool {
	for range 1000 {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(3 * Grace / 1000):
		}
	}
	return false
}

// FreeAddress asks the kernel for a port that is free now.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
