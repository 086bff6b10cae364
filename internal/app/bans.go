package app

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/ratelimit"
)

// bans is what the API does with bans.
type bans struct{ *App }

// List returns those in force.
func (b bans) List() []ratelimit.Ban { return b.shared.bans.List(time.Now()) }

// Ban puts a ban in force and ends the sessions that it is about, whose number it
// returns.
func (b bans) Ban(by string, ban ratelimit.Ban) (kicked int, err error) {
	if ban.Subject, err = ban.Canonical(); err != nil {
		return 0, err
	}
	if err := b.shared.bans.Put(time.Now(), ban); err != nil {
		return 0, err
	}
	kicked = b.server.Kick(by, b.banned(ban.Subject))
	b.logs.Audit.Info("banned", "by", by, subjectAttr(ban.Subject), "until", until(ban), "reason", Printable(ban.Reason), "sessions", kicked)
	return kicked, nil
}

// Unban lifts the ban of s and reports whether there was one.
func (b bans) Unban(by string, s ratelimit.Subject) bool {
	lifted := b.shared.bans.Lift(s)
	if lifted {
		b.logs.Audit.Info("ban lifted", "by", by, subjectAttr(s))
	}
	return lifted
}

// banned returns which sessions the ban of s is about. Who is exempt within a network
// is not.
func (b bans) banned(s ratelimit.Subject) func(proxy.ClientInfo) bool {
	now := time.Now()
	is := func(kind ratelimit.Kind, value string) bool {
		found, ok := b.shared.bans.Find(now, ratelimit.Subject{Kind: kind, Value: value})
		return ok && found.Subject == s
	}
	return func(c proxy.ClientInfo) bool {
		switch s.Kind {
		case ratelimit.Network:
			network, err := netip.ParsePrefix(s.Value)
			addr := c.Remote.Addr().Unmap().WithZone("")
			_, ok := b.shared.bans.FindAddr(now, addr)
			return err == nil && ok && network.Contains(addr)
		case ratelimit.User:
			return is(s.Kind, userName(c.Tenant, c.Username))
		case ratelimit.Client:
			return is(s.Kind, c.BrokerID)
		}
		return false
	}
}

// userName is how operators call a user: two tenants may have the same names.
func userName(tenant, username string) string {
	if tenant == "" {
		return username
	}
	return tenant + "/" + username
}

func subjectAttr(s ratelimit.Subject) slog.Attr {
	return slog.Group("", "kind", s.Kind, "value", Printable(s.Value))
}

// until is the end of a ban, for the log.
func until(ban ratelimit.Ban) string {
	if ban.Until.IsZero() {
		return "lifted"
	}
	return ban.Until.UTC().Format(time.RFC3339)
}
