package app

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/filters/authz/learn"
)

// The reports of a running instance about its rules.
const (
	reportUnused   = "acl/unused"
	reportObserved = "acl/observed"
)

// Observed is what a monitoring instance has seen its clients do.
type Observed struct {
	Acts []authz.Act `json:"acts"`
	Lost int64       `json:"lost"` // packets that are not in Acts, for want of room
}

// Clients counts who did something, by user name and client identifier.
func (o Observed) Clients() int {
	seen := map[[2]string]bool{}
	for _, a := range o.Acts {
		seen[[2]string{a.User, a.ClientID}] = true
	}
	return len(seen)
}

// reports are what the API tells about rules.
func (a *App) reports() map[string]func() any {
	return map[string]func() any{
		reportUnused: func() any {
			return append([]string{}, a.current.Load().authz.Unused()...) // a list, if it is empty too
		},
		reportObserved: func() any {
			acts, lost := a.shared.recorder.Acts()
			return Observed{Acts: append([]authz.Act{}, acts...), Lost: lost}
		},
	}
}

// UnusedRules asks the instance that runs with the configuration at path which of
// its rules have decided nothing since it was started.
func UnusedRules(ctx context.Context, path string, flags *pflag.FlagSet) (unused []string, err error) {
	remote, err := OpenRemote(path, flags)
	if err != nil {
		return nil, err
	}
	err = remote.Report(ctx, reportUnused, &unused)
	return unused, err
}

// ObservedActs asks the instance that runs with the configuration at path what
// its clients did.
func ObservedActs(ctx context.Context, path string, flags *pflag.FlagSet) (seen Observed, err error) {
	remote, err := OpenRemote(path, flags)
	if err != nil {
		return seen, err
	}
	err = remote.Report(ctx, reportObserved, &seen)
	return seen, err
}

// ReadObserved reads what was saved of an instance.
func ReadObserved(file string) (seen Observed, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return seen, err
	}
	if err := json.Unmarshal(data, &seen); err != nil {
		return seen, fmt.Errorf("%s: %w", file, err)
	}
	return seen, nil
}

// Learn proposes rules, as YAML, that allow what was seen, and returns what they
// do not allow after all.
func Learn(seen Observed) (proposal []byte, missing []authz.Act, err error) {
	rules := learn.Propose(seen.Acts)
	proposal, err = learn.YAML(rules)
	return proposal, learn.Replay(rules, seen.Acts), err
}
