//go:build unix

package handover

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
)

// letGoTime is longer than a predecessor takes to let go. After it this process begins
// all the same: somebody has to.
const letGoTime = 10 * time.Second

// predecessor is the process that this one takes over from.
type predecessor struct{ ready, begin *os.File }

// Inherit returns the sockets that the process was started with. It takes what says
// so out of the environment, and has to be called once, before anything else opens
// files.
func Inherit() (*Sockets, error) {
	text, upgrade := os.LookupEnv(variable)
	if !upgrade {
		return fromSystemd(activation.Files(true))
	}
	if err := os.Unsetenv(variable); err != nil {
		return nil, err
	}
	var list []passed
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	s := &Sockets{from: &predecessor{ready: open(readyFD), begin: open(beginFD)}}
	for i, p := range list {
		l, err := listener(open(firstSocketFD + i))
		if err != nil {
			return nil, fmt.Errorf("the socket of %s: %w", p.Address, err)
		}
		s.free = append(s.free, &Socket{Listener: l, Address: p.Address, Name: p.Name})
	}
	return s, nil
}

// fromSystemd refuses what is no listening stream: whoever configured it believes
// that it is served.
func fromSystemd(files []*os.File) (*Sockets, error) {
	if len(files) == 0 {
		return nil, nil
	}
	s := &Sockets{}
	for _, f := range files {
		l, err := listener(f)
		if err != nil {
			return nil, fmt.Errorf("the socket %s of systemd: %w", f.Name(), err)
		}
		s.free = append(s.free, &Socket{Listener: l, Name: f.Name()})
	}
	return s, nil
}

// open returns a descriptor that the process was started with. It does not block, so
// that it knows deadlines.
func open(fd int) *os.File {
	syscall.CloseOnExec(fd)
	_ = syscall.SetNonblock(fd, true) // without it the descriptor is none, and the next call fails
	return os.NewFile(uintptr(fd), fmt.Sprintf("descriptor %d", fd))
}

// listener makes a listener of f, which it closes.
func listener(f *os.File) (net.Listener, error) {
	if f == nil {
		return nil, os.ErrInvalid
	}
	defer f.Close() //nolint:errcheck // the listener has its own descriptor
	return net.FileListener(f)
}

// await says that this process is ready and waits until the other has let go, or has
// gone.
func (p *predecessor) await() {
	if p.ready == nil || p.begin == nil {
		return
	}
	_, _ = p.ready.Write([]byte{1}) // fails if the other has gone
	_ = p.ready.Close()
	_ = p.begin.SetReadDeadline(time.Now().Add(letGoTime))
	_, _ = p.begin.Read(make([]byte, 1)) // its end
	_ = p.begin.Close()
}
