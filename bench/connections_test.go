package main

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

// TestResumption: a server that does not resume sessions is not measured as if
// it did.
func TestResumption(t *testing.T) {
	dir := t.TempDir()
	config, err := rig.WriteKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tickets := range []bool{true, false} {
		p := direct(t)
		p.tls = config
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p.address = inner.Addr().String()
		outer := tls.NewListener(inner, &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, SessionTicketsDisabled: !tickets,
		})
		served := make(chan struct{})
		go func() {
			defer close(served)
			new(sink).serve(outer)
		}()
		s := scenario{name: "resumed", clients: 1, prepare: remember, load: reconnect}
		m, err := s.measure(p, time.Millisecond)
		if tickets && (err != nil || m.Messages == 0) || !tickets && !errors.Is(err, errNotResumed) {
			t.Errorf("tickets %v: %d connections, %v", tickets, m.Messages, err)
		}
		_ = outer.Close()
		<-served
	}
}
