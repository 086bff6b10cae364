package mosquitto

import (
	"cmp"
	"errors"
	"slices"
	"strings"

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
