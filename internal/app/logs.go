package app

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/mqttward/mqttward/configs"
)

// Logs are where the proxy writes: a log for operators and a line per security
// event.
type Logs struct {
	Log   *slog.Logger
	Audit *slog.Logger

	level slog.LevelVar
	file  *reopener // nil: the audit log is no file
	queue *lossy    // nil: the audit log is off
}

// OpenLogs opens what c names. For each line that the audit log loses it calls
// lost.
func OpenLogs(c configs.Log, lost func()) (*Logs, error) {
	l := &Logs{}
	if err := l.level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, err
	}
	l.Log = slog.New(handler(os.Stderr, os.Stderr, c.Format, &l.level))
	switch c.Audit {
	case configs.AuditOff:
		l.Audit = slog.New(slog.DiscardHandler)
	case configs.AuditStderr:
		l.audit(os.Stderr, c.Format, lost)
	case configs.AuditStdout:
		l.audit(os.Stdout, c.Format, lost)
	default:
		l.file = &reopener{path: c.Audit}
		if err := l.file.reopen(); err != nil {
			return nil, err
		}
		l.queue = newLossy(l.file, lost)
		l.Audit = slog.New(newSampler(slog.NewJSONHandler(l.queue, nil)))
	}
	return l, nil
}

func (l *Logs) audit(f *os.File, format string, lost func()) {
	l.queue = newLossy(f, lost)
	l.Audit = slog.New(newSampler(handler(l.queue, f, format, slog.LevelInfo)))
}

// handler writes to w, in the format auto as it suits f.
func handler(w io.Writer, f *os.File, format string, level slog.Leveler) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if format == "text" || format == "auto" && term.IsTerminal(int(f.Fd())) {
		return slog.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, o)
}

// Reopen opens an audit file anew, for log rotation, and sets the level.
func (l *Logs) Reopen(c configs.Log) error {
	err := l.level.UnmarshalText([]byte(c.Level))
	if l.file != nil {
		err = errors.Join(err, l.file.reopen())
	}
	return err
}

// Close writes what waits for the audit log, and closes its file.
func (l *Logs) Close() error {
	if l.queue != nil {
		l.queue.Close()
	}
	if l.file == nil {
		return nil
	}
	return l.file.close()
}

// reopener is a file that is appended to and can be opened anew under its
// name.
type reopener struct {
	path string
	mu   sync.Mutex
	file *os.File
}

func (r *reopener) reopen() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		_ = r.file.Close()
	}
	r.file = f
	return nil
}

func (r *reopener) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Close()
}

func (r *reopener) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Write(b)
}
