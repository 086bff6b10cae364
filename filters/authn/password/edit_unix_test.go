//go:build unix

package password

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestEditKeepsTheOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.passwd")
	writeFile(t, path, "alice:"+sha512Test+"\nbob:"+bcryptA+"\n")
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // only root can give a file away
		uid, gid = 12345, 23456
	}
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := Delete(path, "bob"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	if int(stat.Uid) != uid || int(stat.Gid) != gid || info.Mode().Perm() != 0o640 {
		t.Errorf("owner %d:%d, mode %v; want %d:%d and 0640", stat.Uid, stat.Gid, info.Mode().Perm(), uid, gid)
	}
}
