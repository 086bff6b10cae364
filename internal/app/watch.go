package app

import (
	"context"
	"crypto/sha256"
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
	loaded := a.started
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
		case err := <-w.Errors:
			a.logs.Log.Warn("watching files", "error", err)
		case <-w.Events:
			if !waiting {
				look.Reset(settleTime)
				waiting = true
			}
		case <-look.C:
			now := a.digest()
			if waiting = now != seen; waiting {
				seen = now
				look.Reset(settleTime)
				continue
			}
			if now != loaded {
				loaded = now
				_ = a.Reload() // logged there
				a.watchFolders(w)
			}
		}
	}
}

// files are what the running configuration was made of.
func (a *App) files() []string {
	return append(a.current.Load().config.Files(), a.path)
}

// watchFolders adds the folders of all files. Those that are watched already
// stay watched.
func (a *App) watchFolders(w *fsnotify.Watcher) {
	for _, name := range a.files() {
		if err := w.Add(filepath.Dir(name)); err != nil {
			a.logs.Log.Warn("changes of a file will not be seen", "file", name, "error", err)
		}
	}
}

// digest is a hash over the content of all files, so that a log that is
// written next to them causes no reload.
func (a *App) digest() [sha256.Size]byte {
	h := sha256.New()
	for _, name := range a.files() {
		_, _ = io.WriteString(h, name+"\x00")
		f, err := os.Open(name)
		if err != nil {
			continue // it is gone: that is a change too
		}
		_, _ = io.Copy(h, f)
		_ = f.Close()
	}
	return [sha256.Size]byte(h.Sum(nil))
}
