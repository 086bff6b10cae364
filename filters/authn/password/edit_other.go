//go:build !unix

package password

import (
	"io/fs"
	"os"
)

func copyOwner(*os.File, fs.FileInfo) error { return nil }

func syncDir(string) error { return nil }
