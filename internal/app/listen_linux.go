package app

import (
	"errors"
	"io/fs"
	"syscall"
)

// restrict sets the mode that bind(2) gives the file of a Unix socket, less the umask.
func restrict(c syscall.RawConn, mode fs.FileMode) error {
	var err error
	controlErr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(mode)) })
	return errors.Join(controlErr, err)
}
