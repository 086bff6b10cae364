package backend

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// one is the only server of a pool.
func one(address string, sources ...netip.Addr) *Server {
	return New(Options{Servers: []Spec{{Address: address}}, Sources: sources}, nil).Servers()[0]
}

func TestDial(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	path := filepath.Join(t.TempDir(), "broker.sock")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	for _, address := range []string{tcp.Addr().String(), "unix:" + path} {
		s := one(address)
		if err := s.check(t.Context()); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		conn, err := s.Dial(t.Context())
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		conn.Close()
	}
}

func TestCheckWithoutBroker(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := one(gone.Addr().String())
	if err := s.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone.Close()
	if _, err := s.Dial(t.Context()); err == nil {
		t.Fatal("dialled a broker that is gone")
	}
	if s.check(t.Context()) == nil {
		t.Error("the dial of before vouches for a broker that has failed since")
	}
}

// TestFreshness: a dial vouches for the broker for some time, and no longer.
func TestFreshness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // every dial fails
		s := one("127.0.0.1:1")
		s.reached.Store(time.Now().UnixNano())
		time.Sleep(freshness - time.Millisecond)
		if err := s.check(ctx); err != nil {
			t.Errorf("asked again too early: %v", err)
		}
		time.Sleep(time.Millisecond)
		if s.check(ctx) == nil {
			t.Error("an old dial vouches for the broker")
		}
	})
}
