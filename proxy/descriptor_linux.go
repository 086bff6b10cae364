package proxy

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// descriptor does the system calls of a socket itself, for two reasons.
//
// A read takes its buffer only when bytes are there, so that a silent
// connection holds none.
//
// And the scheduler is not told of calls that cannot block. Telling it wakes the
// runtime's monitor thread, which on a proxy that is not busy goes back to sleep
// after each packet: that was a fifth of all processor time (ping-pong: 84 µs
// per message with net.Conn, 60 without).
type descriptor struct {
	raw             syscall.RawConn // nil: there is no descriptor
	readFn, writeFn func(fd uintptr) bool

	into   []byte // of the read in progress; nil: the wire's own buffer
	n      int    // bytes that it has read
	err    error
	streak int // reads since one had to wait

	from    []byte // what is left of the write in progress
	written error
}

// open takes the descriptor of w, if it has one.
func (w *wire) open() {
	if c, ok := w.Conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			w.file.raw, w.file.readFn, w.file.writeFn = raw, w.tryRead, w.tryWrite
		}
	}
}

// readDescriptor reads once into b, or, if it is nil, ahead.
func (w *wire) readDescriptor(b []byte) (int, error) {
	f := &w.file
	f.into = b
	err := f.raw.Read(f.readFn)
	f.into = nil
	switch {
	case err != nil:
		return 0, err
	case f.err != nil:
		return 0, f.err
	case f.n == 0:
		return 0, io.EOF
	}
	return f.n, nil
}

// tryRead returns false if it has to wait.
func (w *wire) tryRead(fd uintptr) bool {
	f := &w.file
	b := f.into
	if b == nil {
		b = w.ahead.room()
	}
	f.streak++
	n, errno := readNow(fd, b, f.streak)
	switch errno {
	case 0:
		f.n, f.err = n, nil
		return true
	case syscall.EAGAIN:
		f.streak = 0
		w.ahead.release()
		f.err = w.waits()
		return f.err != nil
	default:
		f.n, f.err = 0, w.failed("read", errno)
		return true
	}
}

func (w *wire) writeDescriptor(b []byte) (int, error) {
	f := &w.file
	f.from, f.written = b, nil
	err := f.raw.Write(f.writeFn)
	n := len(b) - len(f.from)
	f.from = nil
	if err == nil {
		err = f.written
	}
	return n, err
}

func (w *wire) tryWrite(fd uintptr) bool {
	f := &w.file
	for len(f.from) > 0 {
		n, errno := writeNow(fd, f.from)
		switch errno {
		case 0:
			f.from = f.from[n:]
		case syscall.EAGAIN:
			return false
		default:
			f.written = w.failed("write", errno)
			return true
		}
	}
	return true
}

func (w *wire) failed(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: w.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// busy is how many reads in a row make a sender one that could keep others
// from the processor. The scheduler is told of every such read: its monitor is
// what takes the processor away.
const busy = 16

// readNow reads from a descriptor that does not block.
func readNow(fd uintptr, b []byte, streak int) (int, syscall.Errno) {
	call := syscall.RawSyscall
	if streak%busy == 0 {
		call = syscall.Syscall
	}
	for {
		n, _, errno := call(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) //nolint:gosec // G103: syscall.Read tells the scheduler
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// writeNow writes to a descriptor that does not block.
func writeNow(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) //nolint:gosec // G103: as above
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}
