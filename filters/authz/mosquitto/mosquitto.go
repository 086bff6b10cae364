// Package mosquitto reads Mosquitto's access control: an acl_file, and the JSON of
// its dynamic security plugin. Both become rules of package authz, which then
// decide as Mosquitto does, in the order in which it asks.
//
// What a file means is what Mosquitto 2.1 makes of it; where older ones differ,
// and where the proxy does on purpose, docs/authorization-mosquitto.md says so.
// Nobody's right to unsubscribe is judged.
//
// It fails closed: what Mosquitto would refuse is an error, and so is what it
// would take and nobody can have meant. What Mosquitto leaves out in silence is
// left out with a warning.
package mosquitto

import (
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
)

// reserved are the rules that Mosquitto applies before any of a file: only the
// state of bridges is published below $SYS, and $share is in subscriptions only.
func reserved(name string) []authz.Rule {
	return []authz.Rule{
		{
			Place: name + ": $SYS is the broker's", Exact: true, Deny: true, Publish: true,
			Topics: []authz.Topic{{Pattern: "$SYS*", Kind: authz.Glob, Except: "$SYS/broker/connection/+/state"}},
		},
		{
			Place: name + ": no message is about $share", Exact: true, Deny: true, Publish: true, Receive: true,
			Topics: []authz.Topic{{Pattern: "$share*", Kind: authz.Glob}},
		},
	}
}

// placeholders are those of Mosquitto and of templates.
var placeholders = map[string]string{"%c": "${clientid}", "%u": "${username}"}

// template returns the template for a filter in which a placeholder that is a
// whole level stands for the client's value. All else is text.
func template(filter string) string {
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if p, ok := placeholders[level]; ok {
			levels[i] = p
		} else {
			levels[i] = filters.Escape(level)
		}
	}
	return strings.Join(levels, "/")
}

// partly returns a placeholder in filter that is not a whole level; "" if there
// is none.
func partly(filter string) string {
	for level := range strings.SplitSeq(filter, "/") {
		for _, p := range []string{"%c", "%u"} {
			if level != p && strings.Contains(level, p) {
				return p
			}
		}
	}
	return ""
}
