package configs

import "time"

// SessionTickets let clients resume their TLS sessions. The zero value is tickets that
// only the process opens that made them.
type SessionTickets struct {
	Disabled bool          `yaml:"disabled"`
	KeyFile  string        `yaml:"key_file"` // secrets, with which all nodes open each other's tickets, after a restart too
	Lifetime time.Duration `yaml:"lifetime"` // of a ticket, at most; given exactly with KeyFile
}

// What a lifetime may be. Nodes change keys twice in it, each by its own clock; and
// RFC 8446 section 4.6.1 ends it after seven days.
const (
	minTicketLifetime     = time.Minute
	defaultTicketLifetime = 24 * time.Hour
	maxTicketLifetime     = 7 * 24 * time.Hour
)

func (t *SessionTickets) complete() {
	if t.KeyFile != "" {
		orDefault(&t.Lifetime, defaultTicketLifetime)
	}
}

func (l *loader) sessionTickets(path string, t *SessionTickets) {
	file, lifetime := key(path, "key_file"), key(path, "lifetime")
	switch {
	case t.Disabled && t.KeyFile != "":
		l.fail(file, "has no effect with disabled: true")
	case t.Disabled && t.Lifetime != 0:
		l.fail(lifetime, "has no effect with disabled: true")
	case t.KeyFile == "" && t.Lifetime != 0:
		l.missing(file, "is required with lifetime")
	case t.KeyFile != "" && (t.Lifetime < minTicketLifetime || t.Lifetime > maxTicketLifetime):
		l.fail(lifetime, "wants 1m to 168h, which are seven days, not %s", t.Lifetime)
	}
}
