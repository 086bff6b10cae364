package configs

import (
	"strings"
	"unicode"
)

func (l *loader) rules(listeners []string) {
	for i, r := range l.cfg.Authz.Rules {
		path := item("authz.rules", i)
		if strings.ContainsFunc(r.Name, unicode.IsControl) {
			l.fail(key(path, "name"), "holds a control character")
		}
		l.ruleLists(path, r)
		switch {
		case r.Allow != nil && r.Deny != nil:
			l.fail(path, "has both allow and deny: write two rules")
		case r.Allow == nil && r.Deny == nil && !l.unsure(key(path, "deny")):
			l.missing(key(path, "allow"), "is required, or deny is: the actions publish, subscribe, receive")
		}
		if r.Topics == nil {
			l.missing(key(path, "topics"), "is required; [\"#\"] is all topics")
		}
		for j, name := range r.Listeners {
			if !strings.Contains(name, "*") {
				l.refer(item(key(path, "listeners"), j), "listener", name, listeners)
			}
		}
	}
}

// ruleLists refuses empty lists. No subjects would mean everybody, which is
// the opposite of what an empty list says.
func (l *loader) ruleLists(path string, r Rule) {
	lists := []struct {
		name  string
		empty bool
	}{
		{"users", r.Users != nil && len(r.Users) == 0},
		{"client_ids", r.ClientIDs != nil && len(r.ClientIDs) == 0},
		{"ips", r.IPs != nil && len(r.IPs) == 0},
		{"listeners", r.Listeners != nil && len(r.Listeners) == 0},
		{"certs", r.Certs != nil && len(r.Certs) == 0},
		{"allow", r.Allow != nil && len(r.Allow) == 0},
		{"deny", r.Deny != nil && len(r.Deny) == 0},
		{"topics", r.Topics != nil && len(r.Topics) == 0},
		{"qos", r.QoS != nil && len(r.QoS) == 0},
	}
	for _, list := range lists {
		if list.empty {
			l.fail(key(path, list.name), "is an empty list: remove the key, or the rule")
		}
	}
}
