package proxy

import (
	"io"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mqttward/mqttward/internal/nonblock"
)

// busy is how many reads in a row make a sender one that could keep others from
// the processor. It lets them go first then, and the scheduler is told of the read:
// a ping on one processor that two senders flood takes 30 ms, without the first 67.
const busy = 16

// descriptor does the system calls of a socket itself, for two reasons. A read
// takes its buffer only when bytes are there, so that a silent connection holds
// none. And the scheduler does not hear of calls that cannot block (ping-pong: 84
// µs of processor time per message with net.Conn, 60 without).
type descriptor struct {
	raw             syscall.RawConn // nil: there is no descriptor
	readFn, writeFn func(fd uintptr) bool

	into   []byte // of the read in progress; nil: ahead
	n      int    // bytes that it has read
	err    error
	streak int // reads since one had to wait

	from    []byte // what is left of the write in progress
	moved   int    // bytes that it has written in the time that it has now
	written error
}

const (
	// maxUnsent bounds what the kernel takes of us and has not sent, in bytes. For a
	// peer that does not read it would buffer net.ipv4.tcp_wmem[2], 4 MiB; what is
	// under way to one that does, it still adapts to the path.
	maxUnsent = 128 << 10

	// maxUnread bounds what the kernel takes for us and we have not read; it doubles
	// that, for what it adds itself. By itself it gives more to who is read fast, up
	// to net.ipv4.tcp_rmem[2], and keeps that filled for one who is not read any more:
	// 20 MB after two seconds on loopback. With half of this, payloads of 256 KiB take
	// a quarter more processor time.
	maxUnread = 256 << 10
)

// open takes the descriptor of w, if it has one.
func (w *wire) open() {
	c, ok := w.Conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	w.file.raw, w.file.readFn, w.file.writeFn = raw, w.tryRead, w.tryWrite
	_ = raw.Control(func(fd uintptr) {
		// The buffers of a Unix socket do not grow, and it has not the first option.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, maxUnread)
	})
}

// readDescriptor reads once into b or, if it is nil, ahead.
func (w *wire) readDescriptor(b []byte) (int, error) {
	f := &w.file
	if (f.streak+1)%busy == 0 {
		runtime.Gosched()
	}
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
	read := nonblock.Read
	if f.streak++; f.streak%busy == 0 {
		read = nonblock.ReadTelling
	}
	n, errno := read(fd, b)
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
		f.err = w.failed("read", errno)
		return true
	}
}

func (w *wire) writeDescriptor(b []byte) (int, error) {
	f := &w.file
	f.from, f.moved, f.written = b, 0, nil
	err := f.raw.Write(f.writeFn)
	n := len(b) - len(f.from)
	f.from = nil
	if err == nil {
		err = f.written
	}
	return n, err
}

// tryWrite returns false if it has to wait.
func (w *wire) tryWrite(fd uintptr) bool {
	f := &w.file
	for len(f.from) > 0 {
		n, errno := nonblock.Write(fd, f.from)
		switch errno {
		case 0:
			f.from = f.from[n:]
			f.moved += n
		case syscall.EAGAIN:
			if f.moved < writePiece {
				return false
			}
			f.moved = 0
			f.written = w.armWrite()
			return f.written != nil
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

// left reports whether the peer has closed the connection, or its side of it, as no
// client does that wants an answer. What it has sent before is still there.
func (w *wire) left() (gone bool) {
	if w.file.raw == nil {
		return false
	}
	err := w.file.raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // G115: descriptors are small
		n, err := unix.Poll(p, 0)
		gone = err == nil && n > 0
	})
	return err == nil && gone
}
