//go:build unix

package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mqttward/mqttward/configs"
)

// variable tells a successor what it was started with. It is JSON, so that versions
// can differ: what one does not know it passes over.
const variable = "MQTTWARD_UPGRADE"

// The descriptors of a successor: it writes a byte to the first pipe when it is
// ready, and reads the end of the second when it may begin. Sockets follow.
const (
	readyFD = 3 + iota
	beginFD
	firstSocketFD
)

// passed describes a socket that a successor gets.
type passed struct {
	Address configs.Address `json:"address"`
	Name    string          `json:"name,omitempty"`
}

// Program is how this process was started.
type Program struct {
	path string
	args []string
}

// ThisProgram has to be called before the working directory changes. It goes by the
// path and not by the file, so that a successor is the file that is there then.
func ThisProgram() Program {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil { // Start will say so
		path = os.Args[0]
	}
	return Program{path, os.Args}
}

// Successor is a process that is ready to take over, and waits.
type Successor struct {
	PID     int
	process *os.Process
	begin   *os.File
}

// Begin has it accept. Whatever both would write must have been written.
func (s *Successor) Begin() { _ = s.begin.Close() }

// Abandon kills it: it never begins.
func (s *Successor) Abandon() {
	_ = s.process.Kill()
	_ = s.begin.Close()
}

// Start starts p anew with sockets and returns when it is ready. If it does not get
// there before ctx ends, it is killed.
func Start(ctx context.Context, p Program, sockets []*Socket) (*Successor, error) {
	ready, readyChild, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()      //nolint:errcheck // it is read
	defer readyChild.Close() //nolint:errcheck // nothing was written
	beginChild, begin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer beginChild.Close() //nolint:errcheck // it is read
	process, err := start(p, []uintptr{readyChild.Fd(), beginChild.Fd()}, sockets)
	if err == nil {
		_ = readyChild.Close() // so that its end shows that the successor has ended
		err = awaitReady(ctx, process, ready)
	}
	if err != nil {
		_ = begin.Close()
		return nil, err
	}
	return &Successor{process.Pid, process, begin}, nil
}

// start does what os/exec does, but for what that does to sockets: it would make
// them blocking, for this process too, and then no Accept could be ended.
func start(p Program, pipes []uintptr, sockets []*Socket) (*os.Process, error) {
	files := append([]uintptr{0, 1, 2}, pipes...)
	passedOn := len(files)
	defer func() {
		for _, fd := range files[passedOn:] {
			_ = unix.Close(int(fd))
		}
	}()
	var list []passed
	for _, s := range sockets {
		fd, err := duplicate(s.Listener)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Address, err)
		}
		files = append(files, uintptr(fd))
		list = append(list, passed{s.Address, s.Name})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	attr := &syscall.ProcAttr{Env: append(environment(), variable+"="+string(text)), Files: files}
	pid, err := syscall.ForkExec(p.path, p.args, attr) //nolint:gosec // it is this program
	if err != nil {
		return nil, err
	}
	return os.FindProcess(pid)
}

// environment is without what systemd said of this process alone.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case variable, "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES":
		default:
			env = append(env, v)
		}
	}
	return env
}

// duplicate returns a descriptor of l that is the caller's.
func duplicate(l any) (fd int, err error) {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("%T has no descriptor", l)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(controlErr, err)
}

// awaitReady waits until the process has said that it is ready. It waits for its end
// otherwise, and later all the same, so that none is left behind as a zombie.
func awaitReady(ctx context.Context, process *os.Process, ready *os.File) error {
	ended := make(chan string, 1)
	go func() {
		state, err := process.Wait()
		if err != nil {
			ended <- err.Error()
			return
		}
		ended <- state.String()
	}()
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if n, _ := ready.Read(make([]byte, 1)); n == 1 {
		return nil
	}
	_ = process.Kill() // it has ended by itself, perhaps
	how := <-ended
	if ctx.Err() != nil {
		return fmt.Errorf("it is not ready: %w", context.Cause(ctx))
	}
	return fmt.Errorf("it has ended before it was ready: %s", how)
}
