package proxy_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// recorder is an Observer that counts by name.
type recorder struct {
	off    atomic.Bool
	mu     sync.Mutex
	counts map[string]int
}

func (r *recorder) add(n int, words ...string) {
	if r.off.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[strings.Join(words, " ")] += n
}

func (r *recorder) Opened(listener string)                { r.add(1, "opened", listener) }
func (r *recorder) Closed()                               { r.add(1, "closed") }
func (r *recorder) Refused(reason string)                 { r.add(1, "refused", reason) }
func (r *recorder) Ended(reason string)                   { r.add(1, "ended", reason) }
func (r *recorder) Handshake(outcome string, _ float64)   { r.add(1, "handshake", outcome) }
func (r *recorder) Authenticated(method, outcome string)  { r.add(1, "authenticated", method, outcome) }
func (r *recorder) Decided(action, outcome string, n int) { r.add(n, "decided", action, outcome) }
func (r *recorder) Checked(check, outcome string)         { r.add(1, "checked", check, outcome) }
func (r *recorder) Traffic(direction string, n, bytes int) {
	r.add(n, "packets", direction)
	r.add(bytes, "bytes", direction)
}

func (r *recorder) count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[name]
}

// sum adds up the counters whose names begin with prefix.
func (r *recorder) sum(prefix string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, c := range r.counts {
		if strings.HasPrefix(name, prefix) {
			n += c
		}
	}
	return n
}

// ends returns how connections ended, each as often as it was counted.
func (r *recorder) ends() (ends []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.counts)) {
		if strings.HasPrefix(name, "refused ") || strings.HasPrefix(name, "ended ") {
			ends = append(ends, slices.Repeat([]string{name}, r.counts[name])...)
		}
	}
	return ends
}

// logbook is a slog.Handler that keeps its records.
type logbook struct {
	mu      sync.Mutex
	records []line
}

type line struct {
	level slog.Level
	text  string
}

func (l *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logbook) WithGroup(string) slog.Handler            { return l }

func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += attrText(a)
		return true
	})
	l.records = append(l.records, line{r.Level, text})
	return nil
}

// attrText is a as a handler has to take it: now, and a group without a name as
// what is in it.
func attrText(a slog.Attr) (text string) {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup || a.Key != "" {
		return " " + a.Key + "=" + v.String()
	}
	for _, a := range v.Group() {
		text += attrText(a)
	}
	return text
}

// at returns the lines of a level or above.
func (l *logbook) at(level slog.Level) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.records {
		if r.level >= level {
			lines = append(lines, r.text)
		}
	}
	return lines
}

func (l *logbook) all() []string { return l.at(slog.LevelDebug) }
