package handover

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/mqttward/mqttward/configs"
)

// elsewhere is a listener that says that it is at another address.
type elsewhere struct {
	net.Listener
	at     net.Addr
	closed bool
}

func (l *elsewhere) Addr() net.Addr { return l.at }
func (l *elsewhere) Close() error   { l.closed = true; return nil }

func tcpAt(t *testing.T, address string) net.Addr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTake(t *testing.T) {
	unix := &net.UnixAddr{Net: "unix", Name: "/run/mqtt.sock"}
	for _, tt := range []struct {
		name   string
		socket Socket
		at     net.Addr
		wanted string // the name of the listener
		by     configs.Address
		takes  bool
		fails  bool
	}{
		{"the address of before", Socket{Address: "127.0.0.1:0"}, tcpAt(t, "127.0.0.1:4711"), "mqtts", "127.0.0.1:0", true, false},
		{"the address of before, a host name", Socket{Address: "gateway:8883"}, tcpAt(t, "192.0.2.1:8883"), "mqtts", "gateway:8883", true, false},
		{"bound to it", Socket{Name: "a"}, tcpAt(t, "192.0.2.1:8883"), "mqtts", "192.0.2.1:8883", true, false},
		{"another port", Socket{Name: "a"}, tcpAt(t, "192.0.2.1:8884"), "mqtts", "192.0.2.1:8883", false, false},
		{"another address", Socket{Name: "a"}, tcpAt(t, "192.0.2.2:8883"), "mqtts", "192.0.2.1:8883", false, false},
		{"all addresses", Socket{Name: "a"}, tcpAt(t, "[::]:8883"), "mqtts", ":8883", true, false},
		{"all of IPv4 are not all", Socket{Name: "a"}, tcpAt(t, "[::]:8883"), "mqtts", "0.0.0.0:8883", false, false},
		{"IPv6", Socket{Name: "a"}, tcpAt(t, "[::1]:8883"), "mqtts", "[0:0::1]:8883", true, false},
		{"a name of systemd", Socket{Name: "mqtts"}, tcpAt(t, "[::]:8883"), "mqtts", "0.0.0.0:8883", true, false},
		{"no name", Socket{}, tcpAt(t, "[::]:8883"), "", "0.0.0.0:8883", false, false},
		{"a name, off loopback", Socket{Name: "plain"}, tcpAt(t, "[::]:1883"), "plain", "127.0.0.1:1883", false, true},
		{"a name, on loopback", Socket{Name: "plain"}, tcpAt(t, "127.0.0.1:1884"), "plain", "localhost:1883", true, false},
		{"Unix", Socket{Name: "a"}, unix, "mqtt", "unix:/run/../run/mqtt.sock", true, false},
		{"another file", Socket{Name: "a"}, unix, "mqtt", "unix:/run/mqtt", false, false},
		{"a name, Unix for TCP", Socket{Name: "mqtt"}, unix, "mqtt", "127.0.0.1:1883", false, true},
		{"a name, TCP for Unix", Socket{Name: "mqtt"}, tcpAt(t, "192.0.2.1:8883"), "mqtt", "unix:/run/mqtt.sock", false, true},
	} {
		l := &elsewhere{at: tt.at}
		tt.socket.Listener = l
		s := &Sockets{free: []*Socket{&tt.socket}}
		got, err := s.Take(tt.wanted, tt.by)
		if (got != nil) != tt.takes || (err != nil) != tt.fails {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
		if again, _ := s.Take(tt.wanted, tt.by); tt.takes && again != nil {
			t.Errorf("%s: taken twice", tt.name)
		}
		if unwanted := s.Ready(); l.closed == tt.takes || (len(unwanted) == 1) == tt.takes {
			t.Errorf("%s: closed %v, unwanted %v", tt.name, l.closed, unwanted)
		}
	}
}

// What was passed in the order of before is taken in that order.
func TestTakeInOrder(t *testing.T) {
	a, b := &Socket{Address: "127.0.0.1:0", Listener: &elsewhere{at: tcpAt(t, "127.0.0.1:1")}}, &Socket{Address: "127.0.0.1:0", Listener: &elsewhere{at: tcpAt(t, "127.0.0.1:2")}}
	s := &Sockets{free: []*Socket{a, b}}
	for _, want := range []*Socket{a, b, nil} {
		if got, err := s.Take("x", "127.0.0.1:0"); got != want || err != nil {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
}

func TestNoSockets(t *testing.T) {
	var s *Sockets
	if got, err := s.Take("mqtts", ":8883"); got != nil || err != nil || s.Ready() != nil || s.Replaces() {
		t.Errorf("%v, %v", got, err)
	}
}

// The file of a socket goes with its last process, and never if it is systemd's.
func TestKeepFile(t *testing.T) {
	for _, tt := range []struct {
		name       string
		keep, gone bool
	}{{"", false, true}, {"", true, false}, {"systemd's", false, false}} {
		path := filepath.Join(t.TempDir(), "socket")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		s := Socket{Listener: l, Name: tt.name}
		s.KeepFile(tt.keep)
		_ = s.Close()
		if files, _ := filepath.Glob(path); (len(files) == 0) != tt.gone {
			t.Errorf("name %q, keep %v: %v", tt.name, tt.keep, files)
		}
	}
}
