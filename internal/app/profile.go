package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/mqttward/mqttward/filters/strict"
	"github.com/mqttward/mqttward/proxy/backend"
)

const (
	probeTimeout = 5 * time.Second
	probeAgain   = time.Minute // after a probe that failed, and for servers that have come
)

// shield puts the profiles of the brokers in force: the configured one or, once the
// brokers of a backend have said what they are, their own. What an earlier call has
// begun ends.
func (a *App) shield(b *built) {
	if a.stopProbe != nil {
		a.stopProbe()
	}
	if p, ok := strict.ParseProfile(b.config.BrokerProfile); ok {
		for _, pool := range b.pools {
			a.shared.brokers.of(pool.Name()).Set(p)
		}
		a.logs.Log.Info("broker profile", "broker", "not asked: profile "+p.Name+" is configured")
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.stopProbe = cancel
	for _, pool := range b.pools {
		a.serving.Go(func() { a.probe(ctx, b, pool) })
	}
}

// probe asks each server of a backend what it is until it says so. A session may go to
// any of them, so it has the shields that all need together.
func (a *App) probe(ctx context.Context, b *built, pool *backend.Pool) {
	p := prober{
		built: b, log: a.logs.Log.With("backend", pool.Name()),
		told:  a.shared.brokers.recall(pool.Name()), // who says nothing now is as before the reload
		asked: map[string]bool{}, once: map[string]bool{},
	}
	for {
		servers := pool.Servers()
		for _, s := range servers {
			if !p.asked[s.Name()] && !s.Maintenance() {
				p.ask(ctx, s)
			}
		}
		if ctx.Err() != nil {
			return
		}
		a.shared.brokers.settle(pool.Name(), servers, p.told)
		select {
		case <-ctx.Done():
			return
		case <-time.After(probeAgain):
		}
	}
}

// prober keeps what servers have said.
type prober struct {
	built *built
	log   *slog.Logger
	told  map[string]strict.Profile // by the server
	asked map[string]bool           // servers that have said what they are since the reload
	once  map[string]bool           // lines that need not be logged again
}

func (p *prober) ask(ctx context.Context, s *backend.Server) {
	text, err := serverVersion(ctx, s)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		profile := profileOf(text)
		p.told[s.Name()], p.asked[s.Name()] = profile, true
		lines := Banner(text, p.built.means(profile))
		p.log.Info("broker profile", "server", s.Name(), "broker", lines[0])
		for _, line := range lines[1:] { // servers of one version need but one list
			if !p.once[line] {
				p.once[line] = true
				p.log.Info("broker profile", "broker", line)
			}
		}
	case !p.once[s.Name()]:
		p.once[s.Name()] = true
		p.log.Warn("the broker does not say what it is: its profile is legacy, or as it was, until it does", "server", s.Name(), "error", err)
	}
}

// together is what all servers need: of one that has not said what it is, that is the
// profile legacy.
func together(servers []*backend.Server, told map[string]strict.Profile) strict.Profile {
	var all []strict.Profile
	for _, s := range servers {
		p, ok := told[s.Name()]
		if !ok {
			p = profileOf("")
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return profileOf("")
	}
	return strict.Together(all)
}

// serverVersion asks a server once.
func serverVersion(ctx context.Context, s *backend.Server) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return s.Version(ctx)
}

// profileOf is the profile of a broker that says that it is text.
func profileOf(text string) strict.Profile {
	if v, ok := strict.ParseVersion(text); ok {
		return strict.ProfileOf(v)
	}
	p, _ := strict.ParseProfile("legacy")
	return p
}

// means is what the configuration gives the shields while p is in force.
func (b *built) means(p strict.Profile) strict.Means {
	m := strict.Means{Profile: p, Relaxed: checks(b.config.Strict.Log) | checks(b.config.Strict.Off)}
	l := &b.config.Limits
	for _, limit := range []struct {
		key  string
		none bool
	}{
		{"max_connections", l.MaxConnections == 0},
		{"max_inflight", l.MaxInflight == 0},
		{"max_keepalive", l.MaxKeepalive == 0},
		{"max_topic_levels", l.MaxTopicLevels == 0},
		{"max_user_properties", l.MaxUserProperties == 0},
	} {
		if limit.none {
			m.Unlimited = append(m.Unlimited, limit.key)
		}
	}
	return m
}

// profile is the profile in force in front of a broker that says that it is text.
func (b *built) profile(text string) strict.Profile {
	if p, ok := strict.ParseProfile(b.config.BrokerProfile); ok {
		return p
	}
	return profileOf(text)
}

// defect is a known defect of the broker, and what becomes of it here.
type defect struct {
	strict.Defect
	shield strict.Shield
	by     string // what shields it, or what is missing
}

// defectsOf returns the known defects of v, whose shields have these means.
func defectsOf(v strict.Version, m strict.Means) (list []defect) {
	for _, d := range strict.Defects() {
		if !d.Affects(v) {
			continue
		}
		shield, missing := d.With(m)
		if shield == strict.Not {
			list = append(list, defect{d, shield, missing})
			continue
		}
		var by []string
		for _, c := range d.Checks {
			by = append(by, c.String())
		}
		for _, more := range []string{d.How, missing} {
			if more != "" {
				by = append(by, more)
			}
		}
		list = append(list, defect{d, shield, strings.Join(by, ", ")})
	}
	return list
}

// line is d as a report has it.
func (d defect) line() string {
	shield := d.shield.String()
	if d.shield != strict.Whole {
		shield += " shielded"
	}
	line := fmt.Sprintf("%s: %s: %s", d.ID, shield, d.What)
	if d.by != "" {
		line += " (" + d.by + ")"
	}
	return line
}

// Banner says what is known of a broker, in lines: its profile and the number of
// its known defects, those that are not wholly shielded, and those that are, by
// what.
func Banner(text string, m strict.Means) []string {
	title := fmt.Sprintf("%s: profile %s", text, m.Profile.Name)
	v, ok := strict.ParseVersion(text)
	if !ok {
		return []string{title, "no list of its known defects is kept"}
	}
	list := defectsOf(v, m)
	var open, shielded []string
	for _, d := range list {
		if d.shield == strict.Whole {
			shielded = append(shielded, fmt.Sprintf("%s (%s)", d.ID, d.by))
			continue
		}
		open = append(open, d.line())
	}
	lines := []string{fmt.Sprintf("%s, %d of %d known defects shielded", title, len(shielded), len(list))}
	lines = append(lines, open...)
	if len(shielded) > 0 {
		lines = append(lines, "shielded: "+strings.Join(shielded, ", "))
	}
	return lines
}
