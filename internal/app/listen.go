package app

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/handover"
)

// socket returns the socket for a listener: one that the process was started with, or
// a new one.
func (a *App) socket(name string, address configs.Address, mode configs.FileMode) (*handover.Socket, error) {
	s, err := a.inherited.Take(name, address)
	if s != nil || err != nil {
		return s, err
	}
	l, err := listen(address, mode)
	if err != nil {
		return nil, err
	}
	return &handover.Socket{Listener: l, Address: address}, nil
}

// listen opens a socket. A Unix socket that a dead process has left behind is
// replaced; one that somebody serves is not.
func listen(a configs.Address, mode configs.FileMode) (net.Listener, error) {
	network, address := a.Split()
	if network != "unix" {
		return net.Listen(network, address)
	}
	socket, err := listenUnix(address, fs.FileMode(mode))
	if !errors.Is(err, syscall.EADDRINUSE) {
		return socket, err
	}
	info, statErr := os.Stat(address)
	if statErr != nil || info.Mode().Type() != fs.ModeSocket {
		return nil, err
	}
	conn, dialErr := net.Dial(network, address)
	if dialErr == nil {
		_ = conn.Close()
	}
	if !errors.Is(dialErr, syscall.ECONNREFUSED) { // it is served, or as busy as one that is
		return nil, err
	}
	if os.Remove(address) != nil {
		return nil, err
	}
	return listenUnix(address, fs.FileMode(mode))
}

// listenUnix makes the file of the socket with a mode, 0 for what the umask leaves.
// The socket gets its mode before it has a name, so that there is no moment in which
// others can connect; what the umask takes off it comes back after.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	var config net.ListenConfig
	if mode != 0 {
		config.Control = func(_, _ string, c syscall.RawConn) error { return restrict(c, mode) }
	}
	socket, err := config.Listen(context.Background(), "unix", path)
	if err != nil || mode == 0 {
		return socket, err
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = socket.Close()
		return nil, err
	}
	return socket, nil
}

// setMode gives the file of a socket that is open the mode that a reload asks for.
// That of a socket which systemd opened is systemd's.
func (a *App) setMode(s *handover.Socket, mode configs.FileMode) {
	network, path := s.Address.Split()
	if mode == 0 || network != "unix" || s.Name != "" {
		return
	}
	if err := os.Chmod(path, fs.FileMode(mode)); err != nil {
		a.logs.Log.Warn("the mode of a socket could not be set", "address", s.Address, "error", err)
	}
}
