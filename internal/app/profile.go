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
			a.shared.broker.Set(profileOf(text))
			for _, line := range Banner(text) {
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
	login := backend.Login{Username: p.Username}
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

// Banner says what is known of a broker, in lines: its profile, and which of the
// known defects of its version are shielded, and by what.
func Banner(text string) []string {
	lines := []string{fmt.Sprintf("%s: profile %s", text, profileOf(text).Name)}
	v, ok := strict.ParseVersion(text)
	if !ok {
		return append(lines, "no list of its known defects is kept")
	}
	var shielded []string
	for _, d := range strict.Defects() {
		if !d.Affects(v) {
			continue
		}
		by := make([]string, 0, len(d.Checks)+1)
		for _, c := range d.Checks {
			by = append(by, c.String())
		}
		if d.How != "" {
			by = append(by, d.How)
		}
		if d.Shield == strict.Whole {
			shielded = append(shielded, fmt.Sprintf("%s (%s)", d.ID, strings.Join(by, ", ")))
			continue
		}
		line := fmt.Sprintf("%s shielded: %s: %s", d.Shield, d.ID, d.What)
		if len(by) > 0 {
			line += " (" + strings.Join(by, ", ") + ")"
		}
		lines = append(lines, line)
	}
	if len(shielded) > 0 {
		lines = append(lines, "shielded: "+strings.Join(shielded, ", "))
	}
	return lines
}
