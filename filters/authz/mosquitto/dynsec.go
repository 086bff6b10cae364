package mosquitto

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
)

// ParseDynsec reads the file of Mosquitto's dynamic security plugin. name is what
// the places of its rules begin with, as `name, role "r", acls[3]`; errors, all
// of them joined, and warnings begin with a line or a path, as "roles[0].acls[3]: ".
//
// A client that the file does not name is nobody whom its rules are about.
// Passwords are for package authn/password.
func ParseDynsec(data []byte, name string) (rules []authz.Rule, warnings []string, err error) {
	root, err := parseJSON(data)
	if err != nil {
		return nil, nil, err
	}
	d := &dynsec{name: name, roles: make(map[string]*role), clients: make(map[string]*client)}
	d.readRoles(root)
	d.readClients(root)
	d.readGroups(root)
	d.readDefaults(root)
	d.doubtUnsubscribe()
	if d.errs == nil {
		rules = d.rules()
	}
	if d.errs != nil {
		return nil, d.warnings, errors.Join(d.errs...)
	}
	return rules, d.warnings, nil
}

// dynsec is what has been read of a file.
type dynsec struct {
	reader
	name      string
	roles     map[string]*role
	clients   map[string]*client
	order     []*client // as the file has them
	anonymous []*role   // of the group for clients without a user name
	allows    [3]bool   // by default, by action

	keepsSubscriptions bool // somebody may not unsubscribe, says the file
}

// The actions that a default stands for, as bits of a rule; see defaults.
var actions = [3]struct {
	name string
	set  func(*authz.Rule)
}{
	{"publishClientSend", func(r *authz.Rule) { r.Publish = true }},
	{"publishClientReceive", func(r *authz.Rule) { r.Receive = true }},
	{"subscribe", func(r *authz.Rule) { r.Subscribe = true }},
}

type client struct {
	name     string
	place    string
	id       *string // that it must have; nil: any
	disabled bool
	roles    []membership
	groups   []membership
}

// membership is of a client in a role or a group, or of a group in a role.
type membership struct {
	name     string
	roles    []*role // that come with it
	priority int
}

// ordered returns the roles of memberships in the order in which they are asked.
func ordered(list []membership) []*role {
	slices.SortFunc(list, func(a, b membership) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), strings.Compare(a.name, b.name))
	})
	var roles []*role
	for _, m := range list {
		roles = append(roles, m.roles...)
	}
	return roles
}

func (d *dynsec) readClients(root node) {
	for _, n := range d.objects(root, "clients") {
		name, ok := d.required(n, "username")
		if !ok {
			continue
		}
		if d.clients[name] != nil {
			d.warn(n.path, "is left out: there is a client %q before it", name)
			continue
		}
		c := &client{name: name, place: n.path, disabled: d.flag(n, "disabled", false), roles: d.memberships(n)}
		if id, bound := d.text(n, "clientid"); bound {
			c.id = &id
		}
		d.clients[name] = c
		d.order = append(d.order, c)
	}
}

// memberships returns those of a client or a group in roles. Of two in the same
// the first counts.
func (d *dynsec) memberships(n node) []membership {
	var list []membership
	for _, m := range d.objects(n, "roles") {
		name, ok := d.required(m, "rolename")
		switch {
		case !ok:
		case d.roles[name] == nil:
			d.warn(m.path, "is left out: there is no role %q", name)
		case slices.ContainsFunc(list, func(other membership) bool { return other.name == name }):
			d.warn(m.path, "is left out: the role %q stands before it", name)
		default:
			list = append(list, membership{name, []*role{d.roles[name]}, d.priority(m, -1)})
		}
	}
	return list
}

func (d *dynsec) readGroups(root node) {
	groups := make(map[string][]*role)
	for _, n := range d.objects(root, "groups") {
		name, ok := d.required(n, "groupname")
		if !ok {
			continue
		}
		if _, twice := groups[name]; twice {
			d.warn(n.path, "is left out: there is a group %q before it", name)
			continue
		}
		groups[name] = ordered(d.memberships(n))
		d.readMembers(n, name, groups[name])
	}
	name, ok := d.text(root, "anonymousGroup")
	if !ok {
		return
	}
	roles, known := groups[name]
	if !known {
		d.warn("anonymousGroup", "there is no group %q", name)
	}
	d.anonymous = roles
}

func (d *dynsec) readMembers(group node, name string, roles []*role) {
	for _, m := range d.objects(group, "clients") {
		username, ok := d.required(m, "username")
		if !ok {
			continue
		}
		c := d.clients[username]
		switch {
		case c == nil:
			d.warn(m.path, "is left out: there is no client %q", username)
		case slices.ContainsFunc(c.groups, func(other membership) bool { return other.name == name }):
			d.warn(m.path, "is left out: the client %q stands before it", username)
		default:
			c.groups = append(c.groups, membership{name, roles, d.priority(m, -1)})
		}
	}
}

func (d *dynsec) readDefaults(root node) {
	n := root.member("defaultACLAccess")
	if _, ok := n.value.(map[string]any); !ok && n.value != nil {
		d.fail(n.path, "is not an object")
	}
	for i, action := range actions {
		d.allows[i] = d.flag(n, action.name, false)
	}
	d.keepsSubscriptions = d.keepsSubscriptions || !d.flag(n, "unsubscribe", true)
}

func (d *dynsec) doubtUnsubscribe() {
	if d.keepsSubscriptions {
		d.warnings = append(d.warnings, "the right to unsubscribe is not judged: a client may always give up what it receives")
	}
}

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
