package authz

import (
	"fmt"

	"github.com/mqttward/mqttward/filters"
)

// ownRules returns what the proof of an identity allows by itself, such as a
// token. These rules are asked before those of the configuration, which are not
// asked at all if closed is set. If one of them cannot be understood, the client
// may do nothing: it could be one that denies.
func ownRules(id *filters.Identity) (own []*rule, closed bool) {
	if id.Permissions == nil {
		return nil, false
	}
	for _, p := range id.Permissions.Rules {
		r, err := compile(Rule{
			Name: p.Name, Place: fmt.Sprintf("as %s vouches", id.Method),
			Deny: p.Deny, Publish: p.Publish, Subscribe: p.Subscribe,
			Topics: append(ParseTopics(p.Topics...), globs(p.Globs)...), QoS: p.QoS, Retain: p.Retain,
		})
		if err != nil {
			return nil, true
		}
		own = append(own, r)
	}
	return own, id.Permissions.Closed
}

func globs(patterns []string) []Topic {
	all := make([]Topic, len(patterns))
	for i, p := range patterns {
		all[i] = Topic{Pattern: filters.Escape(p), Kind: Glob}
	}
	return all
}
