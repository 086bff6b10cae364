//go:build linux

package nonblock

import (
	"bytes"
	"syscall"
	"testing"
)

func TestPipe(t *testing.T) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	from, to := uintptr(fds[0]), uintptr(fds[1])
	for name, read := range map[string]func(uintptr, []byte) (int, syscall.Errno){"Read": Read, "ReadTelling": ReadTelling} {
		into := make([]byte, 1<<20)
		if n, errno := read(from, into); n != 0 || errno != syscall.EAGAIN {
			t.Errorf("%s: nothing is there: %d, %v, want EAGAIN", name, n, errno)
		}
		sent := bytes.Repeat([]byte("0123456789"), 1<<16)
		n, errno := Write(to, sent)
		if n == 0 || n == len(sent) || errno != 0 {
			t.Errorf("%d bytes written, %v, want as many as fit", n, errno)
		}
		if m, errno := Write(to, sent); m != 0 || errno != syscall.EAGAIN {
			t.Errorf("the pipe is full: %d, %v, want EAGAIN", m, errno)
		}
		if got, errno := read(from, into); got != n || errno != 0 || !bytes.Equal(into[:got], sent[:n]) {
			t.Errorf("%s: %d bytes, %v, want the %d that were written", name, got, errno, n)
		}
	}
	if err := syscall.Close(fds[1]); err != nil {
		t.Fatal(err)
	}
	if n, errno := Read(from, make([]byte, 1)); n != 0 || errno != 0 {
		t.Errorf("at the end: %d, %v", n, errno)
	}
	if err := syscall.Close(fds[0]); err != nil {
		t.Fatal(err)
	}
	if _, errno := Read(from, make([]byte, 1)); errno != syscall.EBADF {
		t.Errorf("closed: %v, want EBADF", errno)
	}
}
