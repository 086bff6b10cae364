package backend

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestPorts dials in a network of its own, where a source has 10 ports: each pair of
// a source and a server has all of them.
func TestPorts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a network namespace of its own needs root")
	}
	const ports = 10
	for _, tt := range []struct {
		name             string
		sources, servers int
	}{{"one of each", 1, 1}, {"two sources", 2, 1}, {"two servers", 1, 2}, {"two of each", 2, 2}} {
		t.Run(tt.name, func(t *testing.T) {
			ownNetwork(t, "40000 40009")
			opened := 0
			for i := range tt.servers {
				// Outside of the range, or it would have one of the ports; nobody else is here.
				l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", 1883+i))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
				s := one(l.Addr().String(), []netip.Addr{loopback2, loopback3}[:tt.sources]...)
				conns, failed := dialAll(t, s)
				t.Cleanup(func() { closeAll(conns) })
				opened += len(conns)
				if strings.Count(failed.Error(), "all local ports to the server are taken") != tt.sources {
					t.Errorf("%q does not say that the ports of each source are taken", failed)
				}
			}
			if want := ports * tt.sources * tt.servers; opened != want {
				t.Errorf("%d connections, want %d", opened, want)
			}
		})
	}
}

// dialAll dials until that fails.
func dialAll(t *testing.T, s *Server) (conns []net.Conn, failed error) {
	for {
		conn, err := s.Dial(t.Context())
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
	}
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

// ownNetwork moves the rest of the test into a network namespace with nothing but
// loopback. The thread is not unlocked, so it ends with the test.
func ownNetwork(t *testing.T, portRange string) {
	t.Helper()
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("ip link: %v: %s", err, out)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte(portRange), 0); err != nil {
		t.Skipf("the range of ports cannot be set: %v", err)
	}
}
