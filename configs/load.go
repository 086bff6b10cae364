package configs

import (
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
)

// maxFileSize bounds what is read: no configuration is this large, but a
// device or a log named by mistake is.
const maxFileSize = 16 * MiB

// Load reads the configuration file at path and lays over it the environment
// variables MQTTWARD_… and those flags that were set; flags may be nil. Every
// call returns a value of its own. The error is an Errors; the Config beside it
// is what could be read, to look for further mistakes in, and never for use.
func Load(path string, flags *pflag.FlagSet) (*Config, error) {
	l := newLoader(path)
	data := l.readFile(path)
	l.decode(data)
	l.overlay(flags)
	return l.finish()
}

// Parse returns the configuration in data as if it stood in a file at path,
// with neither environment nor flags. The error is an Errors.
func Parse(data []byte, path string) (*Config, error) {
	l := newLoader(path)
	l.decode(data)
	return l.finish()
}

// loader is a load in progress. It collects mistakes and goes on.
type loader struct {
	cfg   Config
	errs  Errors
	wrong map[string]bool // paths with an error
	meant map[string]bool // paths left out because their key is misspelt
}

func newLoader(path string) *loader {
	l := &loader{cfg: defaults(), wrong: map[string]bool{}, meant: map[string]bool{}}
	l.cfg.file, l.cfg.places = path, map[string]place{"": {source: path}}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		l.fail("", "%v", err)
	}
	l.cfg.dir = dir
	return l
}

func (l *loader) readFile(path string) []byte {
	file, err := os.Open(path)
	if err != nil {
		l.fail("", "%s", reason(err))
		return nil
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, int64(maxFileSize)+1))
	if err != nil {
		l.fail("", "%s", reason(err))
	}
	return data
}

func (l *loader) finish() (*Config, error) {
	l.cfg.complete()
	l.validate()
	if len(l.errs) > 0 {
		l.errs.Sort()
		return &l.cfg, l.errs
	}
	return &l.cfg, nil
}

// fail notes a mistake at path. Only the first about a value counts: what is
// said later about it, or about what is in it, follows from the first.
func (l *loader) fail(path, format string, args ...any) {
	if l.failed(path) {
		return
	}
	l.wrong[path] = true
	l.errs = append(l.errs, l.cfg.Errorf(path, format, args...))
}

// missing notes that the value at path was left out.
func (l *loader) missing(path, format string, args ...any) {
	if !l.unsure(path) {
		l.fail(path, format, args...)
	}
}

// unsure reports whether something was said already about the value at path:
// that it is wrong, or that a misspelt key was meant for it. What it would be
// is then unknown, and nothing can be said about what depends on it.
func (l *loader) unsure(path string) bool { return l.meant[path] || l.failed(path) }

// failed reports whether there is a mistake at path or at what encloses it.
func (l *loader) failed(path string) bool {
	for ; path != ""; path = parent(path) {
		if l.wrong[path] {
			return true
		}
	}
	return l.wrong[""]
}
