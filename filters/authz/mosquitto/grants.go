package mosquitto

import (
	"fmt"
	"slices"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
)

// asked returns the roles that are asked for the client, each once, in order. That
// a role stands in it again further back changes nothing.
func (c *client) asked() []*role {
	var roles []*role
	for _, r := range append(ordered(c.roles), ordered(c.groups)...) {
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles
}

// maxRules bounds the rules of one file.
const maxRules = 250_000

// rules returns all in an order in which each client finds its own as Mosquitto
// asks them.
func (d *dynsec) rules() []authz.Rule {
	rules := reserved(d.name)
	var known []authz.Name
	var lines []*line
	for i, c := range d.order {
		rules = append(rules, d.login(c)...)
		if c.disabled {
			continue
		}
		user := authz.Exactly(c.name)
		known = append(known, user)
		lines = append(lines, &line{i, user, c.asked()})
	}
	for _, t := range turns(lines, len(d.roles)) {
		rules = d.grants(rules, t.role, authz.Subjects{Users: t.users})
	}
	nameless := authz.Subjects{Anonymous: true}
	for _, r := range d.anonymous {
		rules = d.grants(rules, r, nameless)
	}
	rules = d.defaults(rules, nameless)
	if known != nil {
		rules = d.defaults(rules, authz.Subjects{Users: known})
	}
	return rules
}

// login returns the rules about who may connect as c: nobody if it is disabled,
// and only the client identifier that it is bound to.
func (d *dynsec) login(c *client) []authz.Rule {
	rule := func(key string, t authz.Topic) authz.Rule {
		return authz.Rule{
			Place:    fmt.Sprintf("%s, client %q, %s", d.name, c.name, key),
			Subjects: authz.Subjects{Users: []authz.Name{authz.Exactly(c.name)}}, Exact: true, Topics: []authz.Topic{t},
		}
	}
	var rules []authz.Rule
	if c.disabled {
		connect, act := rule("disabled", authz.Topic{Kind: authz.Every}), rule("disabled", authz.Topic{Kind: authz.Every})
		connect.Deny, connect.Connect = true, true
		act.Deny, act.Publish, act.Subscribe, act.Receive = true, true, true, true
		return append(rules, connect, act)
	}
	if c.id == nil {
		return nil
	}
	if *c.id != "" {
		own := rule("clientid", authz.Topic{Pattern: filters.Escape(*c.id), Kind: authz.Literal})
		own.Connect = true
		rules = append(rules, own)
	}
	others := rule("clientid", authz.Topic{Kind: authz.Every})
	others.Deny, others.Connect = true, true
	return append(rules, others)
}

// grants appends the rules of a role, for who.
func (d *dynsec) grants(rules []authz.Rule, r *role, who authz.Subjects) []authz.Rule {
	if len(rules)+len(r.rules) > maxRules {
		if d.errs == nil {
			d.fail("roles", "need more than %d rules; give clients their roles in the same order, with %%u and %%c in the topics", maxRules)
		}
		return rules
	}
	for _, rule := range r.rules {
		rule.Subjects = who
		rules = append(rules, rule)
	}
	return rules
}

// defaults appends what is allowed where no role decides. That never extends to
// $CONTROL.
func (d *dynsec) defaults(rules []authz.Rule, who authz.Subjects) []authz.Rule {
	for i, action := range actions {
		if !d.allows[i] {
			continue
		}
		all := authz.Rule{Place: d.name + ", defaultACLAccess." + action.name, Subjects: who, Exact: true, Topics: []authz.Topic{{Kind: authz.Every}}}
		action.set(&all)
		control := all
		control.Deny, control.Topics = true, []authz.Topic{{Pattern: "$CONTROL*", Kind: authz.Glob}}
		rules = append(rules, control, all)
	}
	return rules
}
