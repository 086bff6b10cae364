package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// supervisor is what systemd is for the binary: the sockets that it passes, and the
// one at which it is told things.
type supervisor struct {
	at     string
	said   chan string // by the service, but for what the watchdog wants
	alive  chan struct{}
	files  []*os.File
	listen []string // their names
}

func newSupervisor(t *testing.T) *supervisor {
	t.Helper()
	s := &supervisor{at: filepath.Join(t.TempDir(), "notify"), said: make(chan string, 100), alive: make(chan struct{}, 1)}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: s.at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		text := make([]byte, 1<<10)
		for {
			n, err := conn.Read(text)
			if err != nil {
				return
			}
			if string(text[:n]) != "WATCHDOG=1" {
				s.said <- string(text[:n])
				continue
			}
			select {
			case s.alive <- struct{}{}:
			default:
			}
		}
	}()
	return s
}

// pass opens a socket for the service.
func (s *supervisor) pass(t *testing.T, name, network, address string) net.Addr {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	filer, ok := l.(interface{ File() (*os.File, error) })
	if !ok {
		t.Fatalf("a %T", l)
	}
	f, err := filer.File()
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	_ = l.Close()
	t.Cleanup(func() { _ = f.Close() })
	s.files, s.listen = append(s.files, f), append(s.listen, name)
	return l.Addr()
}

// start starts the binary as systemd does.
func (s *supervisor) start(t *testing.T, dir string) *upgradable {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"`, path, "run", "-c", filepath.Join(dir, "mqttward.yaml"))
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.at, "WATCHDOG_USEC=100000",
		fmt.Sprintf("LISTEN_FDS=%d", len(s.files)), "LISTEN_FDNAMES="+strings.Join(s.listen, ":"))
	cmd.ExtraFiles = s.files
	p := launchCommand(t, newTranscript(), cmd)
	t.Cleanup(func() { _, _ = io.WriteString(otherLogs, p.out.String()) })
	u := &upgradable{service: &service{process: p, proxy: &proxy{dir: dir}}, pid: cmd.Process.Pid}
	t.Cleanup(func() { _ = syscall.Kill(u.pid, syscall.SIGKILL) })
	return u
}

// expect wants the service to say this next.
func (s *supervisor) expect(t *testing.T, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if got := receive(t, want, s.said); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("systemd is told %q, want %q", got, want)
		}
	}
}

// Sockets of systemd serve the listeners that have their address or their name, also
// after an upgrade, and stay systemd's. It is told how the service is.
func TestSystemd(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := newSupervisor(t)
	dir := t.TempDir()
	socket, admin := filepath.Join(dir, "local.sock"), filepath.Join(dir, "admin.sock")
	byAddress := s.pass(t, "mqttward.socket", "tcp", "127.0.0.1:0")
	s.pass(t, "local", "unix", socket)
	s.pass(t, "stray", "tcp", "127.0.0.1:0")
	s.pass(t, "admin", "unix", admin)
	u := s.start(t, proxyFolder(t, settings{
		broker: b.address(), admin: "unix:/nowhere/admin.sock",
		listeners: strings.Replace(strings.TrimSuffix(tlsListener(""), "]"), "127.0.0.1:0", byAddress.String(), 1) +
			`, {name: local, address: "unix:/nowhere/local.sock"}]`,
	}))
	_, u.port, _ = net.SplitHostPort(byAddress.String())
	s.expect(t, "READY=1")
	u.out.await(t, "a socket that was passed is closed", 1)
	works := func() {
		t.Helper()
		publish(t, u.as("alice"), "-q", "1", "-t", "a", "-m", payload("x"))
		publish(t, []string{"--unix", socket, "-u", "bob", "-P", password("bob")}, "-q", "1", "-t", "a", "-m", payload("x"))
		receive(t, "sign of life", s.alive)
		receive(t, "sign of life", s.alive)
		if conn, err := net.Dial("unix", admin); err != nil {
			t.Error(err)
		} else {
			_ = conn.Close()
		}
	}
	works()

	if err := syscall.Kill(u.pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.expect(t, `RELOADING=1\nMONOTONIC_USEC=\d+`, "READY=1")
	good := u.read(t, "mqttward.yaml")
	write(t, u.file("mqttward.yaml"), "nothing: good\n")
	s.expect(t, `RELOADING=1\nMONOTONIC_USEC=\d+`, "READY=1") // it is ready with what it has
	if err := syscall.Kill(u.pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	u.out.await(t, `"msg":"upgrade failed`, 1)
	write(t, u.file("mqttward.yaml"), good)
	s.expect(t, `RELOADING=1\nMONOTONIC_USEC=\d+`, "READY=1")
	for range 2 {
		u.upgrade(t)
		s.expect(t, "MAINPID="+strconv.Itoa(u.pid), "READY=1")
		works()
	}
	u.end(t)
	s.expect(t, "STOPPING=1")
	for _, file := range []string{socket, admin} {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("systemd's socket is gone: %v", err)
		}
	}
}

// A socket that more can reach than the configuration says is not served.
func TestSystemdSocketOffLoopback(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t)
	s.pass(t, "plain", "tcp", ":0")
	u := s.start(t, proxyFolder(t, settings{broker: "127.0.0.1:1", listeners: `[{name: plain, address: "127.0.0.1:1883"}]`}))
	text := u.await(t, "listeners[0].address: the socket plain that was passed is at ")
	if !strings.Contains(text, "which is not loopback") || u.exit(t) != 1 {
		t.Errorf("exit %d:\n%s", u.exit(t), text)
	}
}
