package mosquitto

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
)

// profile is the roles that are asked for some clients, each once, in order. That
// a role stands in it again further back changes nothing.
func (c *client) profile() (key string, roles []*role) {
	for _, r := range append(ordered(c.roles), ordered(c.groups)...) {
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
			key += strconv.Itoa(r.number) + " "
		}
	}
	return key, roles
}

// maxRules bounds the rules of one file.
const maxRules = 250_000

// rules returns all in the order in which Mosquitto asks them: clients with the
// same roles in the same order share theirs.
func (d *dynsec) rules() []authz.Rule {
	rules := reserved(d.name)
	var known []authz.Name
	users, profiles, keys := make(map[string][]authz.Name), make(map[string][]*role), []string(nil)
	for _, c := range d.order {
		rules = append(rules, d.login(c)...)
		if c.disabled {
			continue
		}
		known = append(known, authz.Exactly(c.name))
		key, roles := c.profile()
		if users[key] == nil {
			keys = append(keys, key)
			profiles[key] = roles
		}
		users[key] = append(users[key], authz.Exactly(c.name))
	}
	for _, key := range keys {
		if rules = d.grants(rules, profiles[key], authz.Subjects{Users: users[key]}); d.errs != nil {
			return nil
		}
	}
	nameless := authz.Subjects{Anonymous: true}
	rules = d.defaults(d.grants(rules, d.anonymous, nameless), nameless)
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

// grants appends the rules of roles, for who.
func (d *dynsec) grants(rules []authz.Rule, roles []*role, who authz.Subjects) []authz.Rule {
	for _, r := range roles {
		if len(rules)+len(r.rules) > maxRules {
			d.fail("clients", "need more than %d rules; give many clients the same roles, with %%u and %%c in their topics", maxRules)
			return nil
		}
		for _, rule := range r.rules {
			rule.Subjects = who
			rules = append(rules, rule)
		}
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
