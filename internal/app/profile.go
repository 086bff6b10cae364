package app

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/strict"
	"github.com/mqttward/mqttward/proxy/backend"
)

const (
	probeTimeout = 5 * time.Second
	probeAgain   = time.Minute // after a probe that failed
)

// shield puts the profile of the broker in force: the configured one or, once the
// broker has said what it is, its own. What an earlier call has begun ends.
func (a *App) shield(b *built) {
	if a.stopProbe != nil {
		a.stopProbe()
	}
	if p, ok := strict.ParseProfile(b.config.BrokerProfile); ok {
		a.shared.broker.Set(p)
		a.logs.Log.Info("broker profile", "broker", "not asked: profile "+p.Name+" is configured")
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.stopProbe = cancel
	a.serving.Go(func() { a.probe(ctx, b) })
}

// probe asks the broker what it is until it says so.
func (a *App) probe(ctx context.Context, b *built) {
	for told := false; ; told = true {
		text, err := brokerVersion(ctx, b)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			p := profileOf(text)
			a.shared.broker.Set(p)
			for _, line := range Banner(text, b.means(p)) {
				a.logs.Log.Info("broker profile", "broker", line)
			}
			return
		case !told:
			a.logs.Log.Warn("the broker does not say what it is: its profile is legacy until it does", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(probeAgain):
		}
	}
}

// brokerVersion asks the broker of a configuration once.
func brokerVersion(ctx context.Context, b *built) (string, error) {
	login, err := probeLogin(b.config)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return b.broker.Version(ctx, login)
}

func probeLogin(cfg *configs.Config) (backend.Login, error) {
	p := cfg.Backends[0].Probe
	login := backend.Login{Username: p.Username, ProxyProtocol: proxyProtocol[cfg.Backends[0].ProxyProtocol]}
	if p.PasswordFile == "" {
		return login, nil
	}
	secret, err := os.ReadFile(p.PasswordFile)
	login.Password = bytes.TrimRight(secret, "\r\n")
	return login, err
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
