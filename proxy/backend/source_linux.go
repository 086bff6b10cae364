package backend

import (
	"context"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// portPerPeer leaves the choice of the port to connect, which knows the peer: bind
// would take one that no other peer of this source has, so that all together had
// only the ports that one can have (ip(7), IP_BIND_ADDRESS_NO_PORT; it holds for
// IPv6 sockets, too).
func portPerPeer(_ context.Context, _, _ string, c syscall.RawConn) error {
	var failed error
	if err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}); err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", failed)
}
