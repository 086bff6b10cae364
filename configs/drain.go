package configs

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Drain is how the sessions end when the process does.
type Drain struct {
	Rate    float64       `yaml:"rate"`    // sessions a second; 0: all at once
	Timeout time.Duration `yaml:"timeout"` // those that are left end at once; 0: that is all of them

	// ServerReference is where MQTT 5.0 clients are to go instead: names with or without
	// a port, with a space between two (section 4.13); "": nowhere.
	ServerReference string `yaml:"server_reference"`
	Moved           bool   `yaml:"moved"` // and not to come back
}

// What a drain may have. A supervisor that waits for more than an hour is none, and
// small clients take no packet with a longer reference.
const (
	maxDrain     = time.Hour
	maxReference = 1024 // bytes
)

func (l *loader) drain() {
	d := &l.cfg.Drain
	if d.Timeout > maxDrain {
		l.fail("drain.timeout", "wants at most %s", maxDrain)
	}
	if d.Moved && d.ServerReference == "" && !l.unsure("drain.server_reference") {
		l.fail("drain.moved", "has no effect without drain.server_reference")
	}
	l.reference("drain.server_reference", d.ServerReference)
}

func (l *loader) reference(path, reference string) {
	switch {
	case len(reference) > maxReference:
		l.fail(path, "wants at most %d bytes", maxReference)
	case !plainList(reference):
		l.fail(path, "wants names such as other.example:8883, with a space between two, not %s", quote(reference))
	}
}

// plainList reports whether text is words that can be printed, with one space
// between two.
func plainList(text string) bool {
	if text == "" {
		return true
	}
	for word := range strings.SplitSeq(text, " ") {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
			return false
		}
	}
	return true
}

// drain warns of sessions that come back all at once.
func (w *warnings) drain() {
	d, most := w.config.Drain, w.config.Limits.MaxConnections
	switch {
	case d.Timeout == 0:
		w.add("drain.timeout", "0: all sessions end at once, and their clients come back at once")
	case d.Rate == 0:
		w.add("drain.rate", "0: all sessions end at once, and their clients come back at once")
	case float64(most)/d.Rate > d.Timeout.Seconds():
		w.add("drain", "%d sessions (limits.max_connections) at %v a second take longer than %s: those that are left end at once", most, d.Rate, d.Timeout)
	}
}
