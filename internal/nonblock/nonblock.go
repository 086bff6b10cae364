//go:build linux

// Package nonblock reads and writes descriptors that do not block, without the
// scheduler being told of it.
//
// The scheduler is told of system calls that can take long, so that it can give
// the processor to somebody else. That wakes the runtime's monitor thread, which
// on a process that is not busy has gone back to sleep since the last one: on a
// proxy that passes a packet now and then it takes a fifth of all processor time.
// A call that cannot block needs none of that.
//
// It is the only package that imports unsafe, and does no more than syscall.Read
// and syscall.Write do.
package nonblock

import (
	"syscall"
	"unsafe"
)

// Read reads from fd into b, which is not empty.
func Read(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) //nolint:gosec // G103: see above
		if errno != syscall.EINTR {
			return result(n, errno)
		}
	}
}

// ReadTelling is Read, and tells the scheduler. Its monitor, which takes the
// processor away from who has it for too long, wakes up.
func ReadTelling(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.Syscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) //nolint:gosec // G103: see above
		if errno != syscall.EINTR {
			return result(n, errno)
		}
	}
}

// Write writes some of b, which is not empty, to fd.
func Write(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) //nolint:gosec // G103: see above
		if errno != syscall.EINTR {
			return result(n, errno)
		}
	}
}

// result is the number of bytes, none if there was an error.
func result(n uintptr, errno syscall.Errno) (int, syscall.Errno) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
