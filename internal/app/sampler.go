package app

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/time/rate"
)

// What an audit log takes of one event: enough for every event that a person
// will read, too little to fill a disk.
const (
	eventsPerSecond = 100
	eventsBurst     = 1000
)

// sampler is a slog.Handler that holds back floods, each kind of event by itself:
// neither a client that is denied a thousand times a second nor a port scan must
// hide a login that failed. How many lines were held back, the next one says.
type sampler struct {
	next   slog.Handler
	events *events
}

// events are the floods that are watched, by kind: the message and the way in
// which a connection ended. Both are constants of the code, so there are few.
type events struct {
	mu   sync.Mutex
	seen map[string]*flood
}

type flood struct {
	limiter *rate.Limiter
	missing int
}

func newSampler(next slog.Handler) slog.Handler {
	return &sampler{next: next, events: &events{seen: make(map[string]*flood)}}
}

// Enabled implements slog.Handler.
func (s *sampler) Enabled(ctx context.Context, l slog.Level) bool { return s.next.Enabled(ctx, l) }

// WithAttrs implements slog.Handler.
func (s *sampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sampler{next: s.next.WithAttrs(attrs), events: s.events}
}

// WithGroup implements slog.Handler.
func (s *sampler) WithGroup(name string) slog.Handler {
	return &sampler{next: s.next.WithGroup(name), events: s.events}
}

// Handle implements slog.Handler.
func (s *sampler) Handle(ctx context.Context, r slog.Record) error {
	missing, ok := s.events.take(r)
	if !ok {
		return nil
	}
	if missing > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", missing))
	}
	return s.next.Handle(ctx, r)
}

// take reports whether r may be written, and how many of its event were not.
func (e *events) take(r slog.Record) (missing int, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kind := kindOf(r)
	f := e.seen[kind]
	if f == nil {
		f = &flood{limiter: rate.NewLimiter(eventsPerSecond, eventsBurst)}
		e.seen[kind] = f
	}
	if !f.limiter.AllowN(r.Time, 1) {
		f.missing++
		return 0, false
	}
	missing, f.missing = f.missing, 0
	return missing, true
}

func kindOf(r slog.Record) string {
	kind := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "end" {
			kind += " " + a.Value.String()
		}
		return true
	})
	return kind
}
