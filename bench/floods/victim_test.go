package main

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/packets"
)

// victim is a small broker behind TLS that delivers to each client what it
// publishes itself. It tells what it sees.
type victim struct {
	address   string
	tls       *tls.Config // of its clients
	authority []byte
	saw       chan string
	refuse    packets.Type // a client that sends one is cut off; zero: none

	sessions sync.WaitGroup
	stopped  chan struct{} // closed at the end
}

// The steps of a connection before its packets.
const (
	accepted  = "accepted"
	secured   = "secured"
	unsecured = "unsecured"
	unread    = "unread" // what came is no packet
)

func newVictim(t *testing.T) *victim {
	t.Helper()
	dir := t.TempDir()
	config, err := rig.WriteKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{address: l.Addr().String(), tls: config, authority: authority, saw: make(chan string), stopped: make(chan struct{})}
	v.sessions.Go(func() { v.serve(l, &tls.Config{Certificates: []tls.Certificate{pair}}) })
	t.Cleanup(func() {
		close(v.stopped)
		l.Close()
		v.sessions.Wait()
	})
	return v
}

func (v *victim) serve(l net.Listener, config *tls.Config) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		done := make(chan struct{})
		v.sessions.Go(func() {
			select {
			case <-v.stopped:
			case <-done:
			}
			conn.Close()
		})
		v.sessions.Go(func() {
			defer close(done)
			v.see(accepted)
			c := tls.Server(conn, config)
			if err := c.Handshake(); err != nil {
				v.see(unsecured)
				return
			}
			v.see(secured)
			v.answer(&rig.Stream{Conn: c, Reader: packets.NewReader(packets.Client)})
		})
	}
}

func (v *victim) see(what string) {
	select {
	case v.saw <- what:
	case <-v.stopped:
	}
}

func (v *victim) answer(s *rig.Stream) {
	for version := packets.V5; ; {
		p, err := s.Next()
		var malformed *packets.Error
		if errors.As(err, &malformed) {
			v.see(unread)
		}
		if err != nil {
			return
		}
		v.see(p.Type.String())
		if p.Type == v.refuse {
			return
		}
		switch p.Type {
		case packets.CONNECT:
			version = s.Reader.Version
			s.Out = packets.AppendConnack(s.Out, version, false, packets.Success, nil)
		case packets.SUBSCRIBE:
			s.Out = packets.AppendSuback(s.Out, version, p.ID, nil, []packets.ReasonCode{1})
		case packets.PINGREQ:
			s.Out = append(s.Out, byte(packets.PINGRESP)<<4, 0)
		case packets.PUBLISH:
			if p.QoS() == 1 {
				s.Out = packets.AppendAck(s.Out, version, packets.PUBACK, p.ID, packets.Success)
			}
			if p.Rest == 0 {
				s.Out = packets.AppendPublish(s.Out, version, p.Flags, p.Topic, p.ID, nil, p.Payload, 0)
			}
		}
	}
}
