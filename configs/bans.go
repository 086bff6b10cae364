package configs

import (
	"net/netip"
	"path/filepath"
	"time"
)

// Bans are those who are kept out, for their offences or by hand.
type Bans struct {
	File   string `yaml:"file"` // keeps them over a restart; "": nothing does; need not exist
	Exempt Exempt `yaml:"exempt"`
}

// Exempt is who is never banned.
type Exempt struct {
	Networks  []netip.Prefix `yaml:"networks"`
	Users     []string       `yaml:"users"`
	ClientIDs []string       `yaml:"client_ids"` // as the broker knows them
}

// BanRule bans who commits more than Max offences within Window. All are zero, which
// bans nobody, or none is.
type BanRule struct {
	Max    int           `yaml:"max"`
	Window time.Duration `yaml:"window"`
	Ban    time.Duration `yaml:"ban"` // how long the first one lasts; each one after it twice as long
}

// What a rule may have. The times of the offences are kept, for every subject.
const (
	maxOffences = 10_000
	maxBan      = 365 * 24 * time.Hour
)

// banRules are the limits that ban, by their keys.
func (l *Limits) banRules() map[string]*BanRule {
	return map[string]*BanRule{
		"limits.auth_failures":   &l.AuthFailures,
		"limits.protocol_errors": &l.ProtocolErrors,
		"limits.flapping":        &l.Flapping,
		"limits.user_flapping":   &l.UserFlapping,
		"limits.takeovers":       &l.Takeovers,
	}
}

func (l *loader) banRules() {
	for path, rule := range l.cfg.Limits.banRules() {
		if rule.Max > maxOffences {
			l.fail(key(path, "max"), "wants at most %d", maxOffences)
		}
		for name, d := range map[string]time.Duration{"window": rule.Window, "ban": rule.Ban} {
			switch {
			case rule.Max > 0 && d == 0:
				l.fail(key(path, name), "0 contradicts max: max: 0 bans nobody")
			case d > maxBan:
				l.fail(key(path, name), "wants at most %s, which is a year", maxBan)
			}
		}
	}
}

func (l *loader) bans() {
	b := &l.cfg.Bans
	for list, values := range map[string][]string{"bans.exempt.users": b.Exempt.Users, "bans.exempt.client_ids": b.Exempt.ClientIDs} {
		for i, value := range values {
			if value == "" {
				l.fail(item(list, i), "is empty")
			}
		}
	}
	if b.File == "" {
		return
	}
	written := b.File
	b.File = l.cfg.resolve(written)
	if !isDirectory(filepath.Dir(b.File)) {
		l.fail("bans.file", "no such directory for %s", quote(written))
	}
	if isDirectory(b.File) {
		l.fail("bans.file", "wants a file, and %s is a directory", quote(written))
	}
}
