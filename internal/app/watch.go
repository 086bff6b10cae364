package app

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleTime is how long the content of the files must have been the same
// before it is loaded: certificate and key are replaced one after the other.
const settleTime = 250 * time.Millisecond

// Watch reloads when the configuration or a file that it names has changed
// since Start, until ctx ends. It watches folders, since files are replaced by
// renaming and Kubernetes swaps a link above them.
func (a *App) Watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close() //nolint:errcheck // nothing was written
	a.watchFolders(w)
	loaded, failed := a.current.Load().digest, false
	seen := loaded
	// Events start the timer and never put it off: a log that is written next to
	// the files, by clients that are refused above all, would put it off for ever.
	look := time.NewTimer(settleTime)
	defer look.Stop()
	waiting := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors: // events may be lost
			a.logs.Log.Warn("watching files", "error", err)
		case <-w.Events:
		case <-look.C:
			now := digest(a.files(), failed)
			if waiting = now != seen; waiting {
				seen = now
				look.Reset(settleTime)
				continue
			}
			if now != loaded {
				loaded, failed = a.reloadChanged(now)
				seen = loaded
				a.watchFolders(w)
			}
			continue
		}
		if !waiting {
			look.Reset(settleTime)
			waiting = true
		}
	}
}

// reloadChanged reloads files whose digest is now, and returns the digest with
// which to compare from here on. After a failure the names of all files in
// their folders belong to it: the one that was missing may come.
func (a *App) reloadChanged(now [sha256.Size]byte) (loaded [sha256.Size]byte, failed bool) {
	before := digest(a.files(), true)
	if a.Reload() != nil { // logged there
		return before, true
	}
	return now, false
}

// files are what the running configuration was made of.
func (a *App) files() []string { return a.current.Load().files }

// watchFolders adds the folders of all files. Those that are watched already
// stay watched.
func (a *App) watchFolders(w *fsnotify.Watcher) {
	for _, name := range a.files() {
		folders := []string{filepath.Dir(name)}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			folders = append(folders, name)
		}
		for _, folder := range folders {
			if err := w.Add(folder); err != nil {
				a.logs.Log.Warn("changes of a file will not be seen", "file", name, "error", err)
			}
		}
	}
}

// digest is a hash over the content of files, so that a log that is written
// next to them causes no reload, and if names is set over the names of their
// neighbours.
func digest(files []string, names bool) [sha256.Size]byte {
	h := sha256.New()
	for _, file := range files {
		_, _ = io.WriteString(h, file+"\x00")
		hashContent(h, file)
		hashFolder(h, file)
		if !names {
			continue
		}
		entries, _ := os.ReadDir(filepath.Dir(file)) // none, if it is gone
		for _, e := range entries {
			_, _ = io.WriteString(h, e.Name()+"\x00")
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// hashContent adds nothing for what is gone or no file: a pipe would block.
func hashContent(h io.Writer, file string) {
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // nothing was written
	_, _ = io.Copy(h, f)
}

// hashFolder adds what is in a folder, and nothing for a file. Of a folder with
// the keys of thousands of devices not the content, which would be read whenever a
// log next to it is written.
func hashFolder(h io.Writer, dir string) {
	entries, _ := os.ReadDir(dir) // none, if it is none
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil {
			_, _ = fmt.Fprintf(h, "%s\x00%d %d\x00", e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
}
