package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
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
	return rig.CPU(p.pid)
}

func (p *peer) resident() (int, error) {
	if p.pid == 0 {
		return 0, nil
	}
	return rig.Resident(p.pid)
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
	if p.address, err = rig.FreeAddress(); err != nil {
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
	process, err := rig.Start(l.ctx, p.address, append(s.command[:len(s.command):len(s.command)], file)...)
	if err != nil {
		return err
	}
	l.processes.Go(func() { <-process.Ended })
	p.pid, p.stop = process.PID, process.Stop
	return nil
}
