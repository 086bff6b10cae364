package app

import (
	"errors"
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
	audit *reopener // nil: the audit log is no file
}

// OpenLogs opens what c names.
func OpenLogs(c configs.Log) (*Logs, error) {
	l := &Logs{}
	if err := l.level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, err
	}
	l.Log = slog.New(handler(os.Stderr, c.Format, &l.level))
	switch c.Audit {
	case configs.AuditOff:
		l.Audit = slog.New(slog.DiscardHandler)
	case configs.AuditStderr:
		l.Audit = slog.New(newSampler(handler(os.Stderr, c.Format, slog.LevelInfo)))
	case configs.AuditStdout:
		l.Audit = slog.New(newSampler(handler(os.Stdout, c.Format, slog.LevelInfo)))
	default:
		l.audit = &reopener{path: c.Audit}
		if err := l.audit.reopen(); err != nil {
			return nil, err
		}
		l.Audit = slog.New(newSampler(slog.NewJSONHandler(l.audit, nil)))
	}
	return l, nil
}

func handler(f *os.File, format string, level slog.Leveler) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if format == "text" || format == "auto" && term.IsTerminal(int(f.Fd())) {
		return slog.NewTextHandler(f, o)
	}
	return slog.NewJSONHandler(f, o)
}

// Reopen opens an audit file anew, for log rotation, and sets the level.
func (l *Logs) Reopen(c configs.Log) error {
	err := l.level.UnmarshalText([]byte(c.Level))
	if l.audit != nil {
		err = errors.Join(err, l.audit.reopen())
	}
	return err
}

// Close closes an audit file.
func (l *Logs) Close() error {
	if l.audit == nil {
		return nil
	}
	return l.audit.close()
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
