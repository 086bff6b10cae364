//go:build unix

package password

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// copyOwner gives f the owner of the file that it replaces: the proxy, which
// seldom runs as who edits, must still be able to read it.
func copyOwner(f *os.File, replaced fs.FileInfo) error {
	stat, ok := replaced.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(stat.Uid), int(stat.Gid))
}

// syncDir makes a renaming in a directory last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
