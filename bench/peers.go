package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// peer is what the clients talk to: a proxy, or the sink itself.
type peer struct {
	name, version string
	address       string
	tls           *tls.Config // nil: plaintext
	pid           int         // zero: no process of its own
	sink          *sink       // behind it
	stop          func()      // ends it, and waits for that
}

// isOurs reports whether p is a build of mqttward, which is named by its path.
func (p *peer) isOurs() bool { return strings.Contains(p.name, "/") }

func (p *peer) cpu() (time.Duration, error) {
	if p.pid == 0 {
		return 0, nil
	}
	return cpuOf(p.pid)
}

func (p *peer) resident() (int, error) {
	if p.pid == 0 {
		return 0, nil
	}
	return residentOf(p.pid)
}

// launcher starts peers in front of one sink.
type launcher struct {
	ctx       context.Context //nolint:containedctx // its end is that of the processes
	processes sync.WaitGroup
	sink      *sink
	address   string // of the sink
	dir       string // of all that the proxies read and write
	tls       *tls.Config
}

// startAll starts the peers of these names. The error says which cannot be
// had, and why.
func (l *launcher) startAll(names string) (peers []*peer, missing error) {
	for name := range strings.SplitSeq(names, ",") {
		p, err := l.start(name, 0)
		if err != nil {
			missing = errors.Join(missing, fmt.Errorf("%s is not measured: %w", name, err))
			continue
		}
		peers = append(peers, p)
	}
	return peers, missing
}

// start starts one peer. A policy is that many rules and users of mqttward;
// zero is its usual one.
func (l *launcher) start(name string, policy int) (*peer, error) {
	p := &peer{name: name, tls: l.tls, sink: l.sink, stop: func() {}}
	if name == "direct" {
		p.address, p.tls, p.version = l.address, nil, "no proxy, no TLS"
		return p, nil
	}
	s, known := others[name]
	if p.isOurs() {
		var err error
		if s, err = l.mqttward(name, policy); err != nil {
			return nil, err
		}
	} else if !known {
		return nil, errors.New("no such peer")
	}
	return p, l.run(p, s)
}

// run starts the process of p, with a configuration file as its last argument.
func (l *launcher) run(p *peer, s software) (err error) {
	if p.version, err = s.printed(l.ctx); err != nil {
		return err
	}
	if p.address, err = freeAddress(); err != nil {
		return err
	}
	file := filepath.Join(l.dir, strings.ReplaceAll(p.address, ":", "-")+".conf")
	config, err := s.configure(setting{Address: p.address, Sink: l.address, Dir: l.dir, File: file})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(l.ctx, s.command[0], append(s.command[1:len(s.command):len(s.command)], file)...) //nolint:gosec // G204: the user's choice
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return err
	}
	p.pid = cmd.Process.Pid
	ended := make(chan struct{})
	l.processes.Go(func() {
		defer close(ended)
		_ = cmd.Wait()
	})
	p.stop = func() {
		_ = cmd.Cancel() // it may have ended
		<-ended
	}
	if !answers(p.address, ended) {
		p.stop()
		return fmt.Errorf("it does not serve: %s", &output)
	}
	return nil
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
		case <-time.After(3 * grace / 1000):
		}
	}
	return false
}

// freeAddress asks the kernel for a port that is free now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
