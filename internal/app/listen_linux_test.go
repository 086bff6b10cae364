package app

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mqttward/mqttward/configs"
)

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// The file of a socket has its mode from the beginning, and what the umask takes off it
// a moment later.
func TestSocketMode(t *testing.T) {
	dir := t.TempDir()
	first := filepath.Join(dir, "first")
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return restrict(c, 0o600) }}
	l, err := config.Listen(context.Background(), "unix", first)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := modeOf(t, first); got&^0o600 != 0 {
		t.Errorf("before anything else was done, the mode is %o", got)
	}
	for _, mode := range []configs.FileMode{0o600, 0o666, 0o777, 0o606} {
		path := filepath.Join(dir, "socket")
		l, err := listen(configs.Address("unix:"+path), mode)
		if err != nil {
			t.Fatal(err)
		}
		if got := modeOf(t, path); got != os.FileMode(mode) {
			t.Errorf("mode %o, want %o", got, mode)
		}
		_ = l.Close()
	}
}

// A reload changes the mode.
func TestSocketModeIsReloaded(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "mqtt.sock")
	config := func(mode string) string {
		return strings.Replace(withToken, `    address: "127.0.0.1:0"`, `    mode: `+mode+`
    address: "unix:`+socket+`"`, 1)
	}
	a, path := startApp(t, config("0600"))
	for _, mode := range []string{"0666", "0606"} {
		if err := os.WriteFile(path, []byte(config(mode)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.Reload(); err != nil {
			t.Fatal(err)
		}
		var want configs.FileMode
		if err := want.UnmarshalText([]byte(mode)); err != nil {
			t.Fatal(err)
		}
		if got := modeOf(t, socket); got != os.FileMode(want) {
			t.Errorf("mode %o, want %s", got, mode)
		}
	}
}

// TestBusyUnixSocketIsNotReplaced: a queue that is full is no sign that nobody serves.
func TestBusyUnixSocketIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd) //nolint:errcheck // nothing was written
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			break
		}
		defer conn.Close()
	}
	if socket, err := listen(configs.Address("unix:"+path), 0); err == nil {
		_ = socket.Close()
		t.Error("a socket that is served was taken over")
	}
}
