package app

import (
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/filters/authz/roles"
)

// rulesOf turns a rule of the configuration into those of the engine: one, or all
// that a role is made of.
func rulesOf(r configs.Rule, zone *time.Location) ([]authz.Rule, error) {
	rule, err := ruleOf(r, zone)
	switch {
	case err != nil:
		return nil, err
	case r.Role == "":
		return []authz.Rule{rule}, rule.Validate()
	}
	return roles.Expand(r.Role, rule, roles.Values(r.With))
}
