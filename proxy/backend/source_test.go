package backend

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

var (
	loopback2 = netip.MustParseAddr("127.0.0.2")
	loopback3 = netip.MustParseAddr("127.0.0.3")
	foreign   = netip.MustParseAddr("192.0.2.1") // of nobody: for documentation
)

// listen returns a broker's address, and what tells from where it was dialled.
func listen(t *testing.T) (address string, from func() string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String(), func() string {
		t.Helper()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		return host
	}
}

// otherLoopback skips where only 127.0.0.1 is this machine.
func otherLoopback(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.2:0")
	if err != nil {
		t.Skipf("127.0.0.2 is no address of this machine: %v", err)
	}
	l.Close()
}

func TestSourcesTakeTurns(t *testing.T) {
	otherLoopback(t)
	address, from := listen(t)
	s := one(address, loopback2, loopback3)
	var got []string
	for range 4 {
		conn, err := s.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, from())
		conn.Close()
	}
	text := strings.Join(got, " ")
	if text != "127.0.0.3 127.0.0.2 127.0.0.3 127.0.0.2" {
		t.Errorf("dialled from %s, want each in turn", text)
	}
}

// TestSourcePassedOver: an address that does not serve costs nothing but the try.
func TestSourcePassedOver(t *testing.T) {
	otherLoopback(t)
	address, from := listen(t)
	for _, useless := range []netip.Addr{foreign, netip.IPv6Loopback()} {
		s := one(address, useless, loopback2)
		for range 2 {
			conn, err := s.Dial(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", useless, err)
			}
			if got := from(); got != "127.0.0.2" {
				t.Errorf("dialled from %s", got)
			}
			conn.Close()
		}
	}
}

func TestSourceErrors(t *testing.T) {
	address, _ := listen(t)
	for source, want := range map[netip.Addr]string{
		foreign:              "from 192.0.2.1: is no address of this machine",
		netip.IPv6Loopback(): "from ::1: the server has no address of the same IP version",
	} {
		_, err := one(address, source).Dial(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	gone, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	_, err = one(gone.Addr().String(), netip.MustParseAddr("127.0.0.1"), foreign).Dial(t.Context())
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a broker that is gone: %v", err)
	}
}
