package mosquitto

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets/topics"
)

// role is its rules, in the order in which they are asked, about nobody yet.
type role struct {
	number int
	rules  []authz.Rule
}

// kinds are the types of ACLs, in the order in which they are asked about one
// action.
var kinds = []struct {
	name    string
	literal bool
	set     func(*authz.Rule) // nil: about unsubscribing
}{
	{"subscribeLiteral", true, func(r *authz.Rule) { r.Subscribe = true }},
	{"subscribePattern", false, func(r *authz.Rule) { r.Subscribe = true }},
	{"publishClientSend", false, func(r *authz.Rule) { r.Publish = true }},
	{"publishClientReceive", false, func(r *authz.Rule) { r.Receive = true }},
	{"unsubscribeLiteral", true, nil},
	{"unsubscribePattern", false, nil},
}

func kindOf(name string) int {
	for i, k := range kinds {
		if lower(k.name) == lower(name) {
			return i
		}
	}
	return -1
}

// acl is an element of a role's acls.
type acl struct {
	kind     int
	topic    string
	priority int
	rule     authz.Rule
}

func (d *dynsec) readRoles(root node) {
	for _, n := range d.objects(root, "roles") {
		name, ok := d.required(n, "rolename")
		if !ok {
			continue
		}
		if d.roles[name] != nil {
			d.warn(n.path, "is left out: there is a role %q before it", name)
			continue
		}
		d.roles[name] = &role{number: len(d.roles), rules: d.readRole(n, fmt.Sprintf("%s, role %q", d.name, name))}
	}
}

func (d *dynsec) readRole(n node, place string) []authz.Rule {
	var rules []authz.Rule
	if !d.flag(n, "allowwildcardsubs", true) {
		rules = append(rules, authz.Rule{
			Place: place + ", allowwildcardsubs", Exact: true, Deny: true, Subscribe: true,
			Topics: []authz.Topic{{Kind: authz.Wildcards}},
		})
	}
	var acls []acl
	type identity struct {
		kind  int
		topic string
	}
	seen := make(map[identity]bool)
	for i, m := range d.objects(n, "acls") {
		a, ok := d.readACL(m)
		if !ok {
			continue
		}
		key := identity{a.kind, a.topic}
		if seen[key] {
			d.warn(m.path, "is left out: there is one of its type and topic before it")
			continue
		}
		seen[key] = true
		a.rule.Place = fmt.Sprintf("%s, acls[%d]", place, i)
		acls = append(acls, a)
	}
	slices.SortStableFunc(acls, func(a, b acl) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(b.priority, a.priority))
	})
	for _, a := range acls {
		if kinds[a.kind].set != nil {
			rules = append(rules, a.rule)
		}
	}
	return rules
}

// readACL returns false for what is left out.
func (d *dynsec) readACL(n node) (acl, bool) {
	typeName, ok := d.required(n, "acltype")
	if !ok {
		return acl{}, false
	}
	topic, ok := d.required(n, "topic")
	if !ok {
		return acl{}, false
	}
	a := acl{kind: kindOf(typeName), topic: topic, priority: d.priority(n, 0)}
	if a.kind < 0 {
		d.warn(n.path, "is left out: there is no acltype %q", shorten(typeName))
		return acl{}, false
	}
	a.rule = authz.Rule{Exact: true, Deny: !d.flag(n, "allow", false)}
	kind := kinds[a.kind]
	if kind.set == nil {
		d.keepsSubscriptions = d.keepsSubscriptions || a.rule.Deny
		return a, true
	}
	kind.set(&a.rule)
	t, ok := topicOf(topic, kind.literal)
	switch {
	case !ok && kind.literal:
		d.warn(n.path, "is left out: nothing can be subscribed to as %q", shorten(topic))
		return acl{}, false
	case !ok:
		d.fail(n.path+".topic", "no topic filter: %q", shorten(topic))
		return acl{}, false
	}
	if p := partly(topic); p != "" && !kind.literal {
		d.warn(n.path+".topic", "%s is text, as it is not a whole level", p)
	}
	a.rule.Topics = []authz.Topic{t}
	return a, true
}

// topicOf returns what an ACL is about. Subscriptions are compared as they are
// written, "$share/group/" too.
func topicOf(text string, literal bool) (authz.Topic, bool) {
	if !literal {
		return authz.Topic{Pattern: template(text), Kind: authz.Verbatim}, topics.ValidFilter(strings.TrimPrefix(text, "$share/"))
	}
	t := authz.Topic{Pattern: filters.Escape(text), Kind: authz.Literal}
	if _, _, shared := topics.Share(text); !shared {
		t.Share = authz.Unshared
	}
	return t, topics.ValidFilter(text)
}
