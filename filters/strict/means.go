package strict

import (
	"slices"
	"strings"

	"github.com/mqttward/mqttward/packets"
)

// Means are what a configuration gives the shields of defects.
type Means struct {
	Profile   Profile        // in force
	Relaxed   packets.Checks // not enforced
	Unlimited []string       // limits of the configuration that are 0, without "limits."
}

// With returns how far d is out of reach with m, and what m takes from its
// shield: "" if it takes nothing.
func (d Defect) With(m Means) (s Shield, missing string) {
	if d.Shield == Not {
		return Not, ""
	}
	if d.lacks != nil {
		if missing = d.lacks(m); missing != "" {
			return Not, missing
		}
	}
	var relaxed []string
	for _, c := range d.Checks {
		if m.Relaxed.Has(c) && !d.firm {
			relaxed = append(relaxed, c.String())
		}
	}
	switch len(relaxed) {
	case 0:
		return d.Shield, ""
	case len(d.Checks):
		s = Not
	default: // each check of a row meets a part of what triggers it
		s = Partly
	}
	return s, "strict relaxes " + strings.Join(relaxed, ", ")
}

// profile is what a shield lacks that only some profiles have.
func profile(has func(Profile) bool) func(Means) string {
	return func(m Means) string {
		if has(m.Profile) {
			return ""
		}
		return "the profile " + m.Profile.Name + " does not have it"
	}
}

// limit is what a shield lacks that a limit of the configuration is.
func limit(key string) func(Means) string {
	return func(m Means) string {
		if slices.Contains(m.Unlimited, key) {
			return "limits." + key + " is 0"
		}
		return ""
	}
}

// levels is what a shield against deep topics lacks: a limit, or a profile with
// one.
func levels(m Means) string {
	if m.Profile.MaxLevels > 0 {
		return ""
	}
	return limit("max_topic_levels")(m)
}
