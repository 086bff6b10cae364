//go:build unix

package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// role is the environment variable that makes a successor of the program of these
// tests.
const role = "HANDOVER_TEST_ROLE"

// patience is far beyond what anything takes.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "crash":
		os.Exit(7)
	case "hang":
		_, _ = io.ReadAll(os.NewFile(beginFD, "begin")) // as long as the predecessor waits
	case "serve":
		if err := serveOnce(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// serveOnce takes two sockets over, leaves one, and answers a connection of each.
func serveOnce() error {
	s, err := Inherit()
	if err != nil {
		return err
	}
	if !s.Replaces() || os.Getenv(variable) != "" {
		return errors.New("not a successor")
	}
	for _, fd := range []uintptr{readyFD, beginFD} {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			return fmt.Errorf("descriptor %d would go on to other programs: %v", fd, err)
		}
	}
	unwanted := 0
	first, err := s.Take("any", "127.0.0.1:0")
	if err != nil || first == nil {
		return fmt.Errorf("the first: %v", err)
	}
	second, err := s.Take("mqtt", "127.0.0.1:1")
	if err != nil || second == nil || second.Name != "mqtt" {
		return fmt.Errorf("the second: %v, %v", second, err)
	}
	unwanted = len(s.Ready())
	for _, l := range []net.Listener{first, second} {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(conn, "%d, %d unwanted", os.Getpid(), unwanted)
		_ = conn.Close()
	}
	return nil
}

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestSuccessor(t *testing.T) {
	t.Setenv(role, "serve")
	first, second, third := listenLocal(t), listenLocal(t), listenLocal(t)
	successor, err := Start(t.Context(), ThisProgram(), []*Socket{
		{Listener: first, Address: "127.0.0.1:0"},
		{Listener: second, Address: "mqtt:1883", Name: "mqtt"},
		{Listener: third, Address: "127.0.0.1:1883"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []net.Listener{first, second, third} {
		if !nonblocking(t, l) {
			t.Error("the socket was made blocking: its Accept could not be ended")
		}
	}
	conns := make([]net.Conn, 2)
	for i, l := range []net.Listener{first, second} { // they wait until somebody accepts
		if conns[i], err = net.DialTimeout("tcp", l.Addr().String(), patience); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conns[i].Close() })
		_ = l.Close()
	}
	_ = third.Close()
	successor.Begin()
	want := fmt.Sprintf("%d, 1 unwanted", successor.PID)
	for _, conn := range conns {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if got, err := io.ReadAll(conn); string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

// A successor that is abandoned never accepts.
func TestAbandon(t *testing.T) {
	t.Setenv(role, "serve")
	first, second := listenLocal(t), listenLocal(t)
	successor, err := Start(t.Context(), ThisProgram(), []*Socket{{Listener: first, Address: "127.0.0.1:0"}, {Listener: second, Name: "mqtt"}})
	if err != nil {
		t.Fatal(err)
	}
	successor.Abandon()
	if state, err := successor.process.Wait(); err == nil && state.Success() {
		t.Errorf("it has gone on: %s", state)
	}
	conn, err := net.DialTimeout("tcp", first.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	own, err := first.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = own.Close()
}

func nonblocking(t *testing.T, l net.Listener) bool {
	t.Helper()
	conn, ok := l.(syscall.Conn)
	if !ok {
		t.Fatalf("a %T", l)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var flags int
	if err := raw.Control(func(fd uintptr) { flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0) }); err != nil {
		t.Fatal(err)
	}
	return err == nil && flags&unix.O_NONBLOCK != 0
}

func TestSuccessorFails(t *testing.T) {
	late := errors.New("too late")
	for _, tt := range []struct{ role, want string }{
		{"crash", "exit status 7"},
		{"hang", "too late"},
		{"", "no such file"},
	} {
		t.Setenv(role, tt.role)
		program, ctx := ThisProgram(), t.Context()
		switch tt.role {
		case "":
			program.path = filepath.Join(t.TempDir(), "nowhere")
		case "hang":
			var cancel context.CancelCauseFunc
			ctx, cancel = context.WithCancelCause(ctx)
			cancel(late)
		}
		l := listenLocal(t)
		if _, err := Start(ctx, program, []*Socket{{Listener: l, Address: "127.0.0.1:0"}}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.role, err, tt.want)
		}
		if !nonblocking(t, l) {
			t.Errorf("%q: the socket was left blocking", tt.role)
		}
		conn, err := net.DialTimeout("tcp", l.Addr().String(), patience)
		if err != nil {
			t.Fatal(err)
		}
		if own, err := l.Accept(); err != nil {
			t.Error(err)
		} else {
			_ = own.Close()
		}
		_ = conn.Close()
	}
}

// What systemd said of this process is not said of the next.
func TestEnvironment(t *testing.T) {
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", variable, "NOTIFY_SOCKET", "WATCHDOG_USEC"} {
		t.Setenv(name, "1")
	}
	all := strings.Join(environment(), "\n") + "\n"
	for _, gone := range []string{"LISTEN_", "WATCHDOG_PID", variable} {
		if strings.Contains(all, gone) {
			t.Errorf("%s is passed on", gone)
		}
	}
	for _, kept := range []string{"NOTIFY_SOCKET=1\n", "WATCHDOG_USEC=1\n"} {
		if !strings.Contains(all, kept) {
			t.Errorf("%s is not passed on", kept)
		}
	}
}

// What was not passed as it is said is no reason to go on without it.
func TestInheritNonsense(t *testing.T) {
	for _, text := range []string{"", "{", `[{"address": "127.0.0.1:0"}, {"address": 7}]`} {
		t.Setenv(variable, text)
		if s, err := Inherit(); err == nil {
			t.Errorf("%q: %v", text, s)
		}
	}
}
