package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
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

	"github.com/mqttward/mqttward/internal/pki"
)

// peer is what the clients talk to: a proxy, or the sink itself.
type peer struct {
	name, version string
	address       string
	tls           *tls.Config // nil: plaintext
	pid           int         // zero: no process of its own
}

func (p *peer) cpu() (time.Duration, error) {
	if p.pid == 0 {
		return 0, nil
	}
	return cpuOf(p.pid)
}

// launcher starts peers in front of one sink.
type launcher struct {
	ctx       context.Context //nolint:containedctx // its end is that of the processes
	processes sync.WaitGroup
	sink      string // address
	dir       string // of all that the proxies read and write
	tls       *tls.Config
}

// start starts the peers of these names. The error says which cannot be had,
// and why.
func (l *launcher) start(names string) (peers []*peer, missing error) {
	for name := range strings.SplitSeq(names, ",") {
		p := &peer{name: name, tls: l.tls}
		var err error
		switch {
		case name == "direct":
			p.address, p.tls, p.version = l.sink, nil, "no proxy, no TLS"
		case name == reference: // where Debian has it, which is not on everybody's path
			err = l.startProxy(p, haproxyConfig, "-v", "/usr/sbin/haproxy", "-db", "-f")
		case strings.Contains(name, "/"):
			err = l.startProxy(p, mqttwardConfig, "version", name, "run", "-c")
		default:
			err = errors.New("no such peer")
		}
		if err != nil {
			missing = errors.Join(missing, fmt.Errorf("%s is not measured: %w", name, err))
			continue
		}
		peers = append(peers, p)
	}
	return peers, missing
}

// startProxy runs command with a configuration file as its last argument.
func (l *launcher) startProxy(p *peer, config, version string, command ...string) error {
	printed, err := exec.CommandContext(l.ctx, command[0], version).Output() //nolint:gosec // G204: the user's choice
	if err != nil {
		return err
	}
	p.version, _, _ = strings.Cut(string(printed), "\n")
	if p.address, err = freeAddress(); err != nil {
		return err
	}
	file := filepath.Join(l.dir, strings.ReplaceAll(p.address, ":", "-")+".conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, p.address, l.sink, l.dir), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(l.ctx, command[0], append(command[1:], file)...) //nolint:gosec // G204: the user's choice
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
	if !answers(p.address, ended) {
		_ = cmd.Cancel()
		<-ended
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
		case <-time.After(grace / 1000):
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

// writeFiles writes what the proxies share, and keeps what the clients need.
// These offer X25519 only: the hybrid key exchange, which OpenSSL 3.0 does not
// know, would be compared with a cheaper one.
func (l *launcher) writeFiles() error {
	ca, err := pki.NewCA("mqttward bench")
	if err != nil {
		return err
	}
	cert, key, err := ca.Issue(pki.Options{CN: "bench", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	l.tls = &tls.Config{
		RootCAs: roots, ServerName: "127.0.0.1",
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
	}
	return errors.Join(
		pki.Write(l.dir, "server", cert, key),
		os.WriteFile(filepath.Join(l.dir, "server.pem"), append(cert, key...), 0o600),
		os.WriteFile(filepath.Join(l.dir, "users"), []byte(users), 0o600),
	)
}
