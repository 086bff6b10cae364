// Package learn proposes rules from what the clients of a monitoring instance
// did: few rules that allow all of it and little else.
//
// A level of a topic that is the name of whoever uses it, and differs from one to
// the other, becomes a placeholder. What all known members of a group do is allowed
// to the group, and what single clients do to them. What no rule can say, it
// leaves to the reader: Replay tells what a proposal does not allow.
package learn

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
)

// Rule is a rule as the configuration has it, and how much it stands for.
type Rule struct {
	Groups    []string `yaml:"groups,omitempty,flow"`
	Users     []string `yaml:"users,omitempty,flow"`
	Anonymous bool     `yaml:"anonymous,omitempty"`
	Allow     []string `yaml:"allow,flow"`
	Topics    []string `yaml:"topics"`
	Retain    *bool    `yaml:"retain,omitempty"`

	Packets uint64 `yaml:"-"` // that it would have allowed
	Clients int    `yaml:"-"` // users who sent or received them

	retained [2]bool // what was published: not, and so
}

// minEverybody is how many users, all that there are, must use a topic with their
// name in it before it is allowed to whoever has one.
const minEverybody = 3

// entry is one thing that was done, with who did it.
type entry struct {
	action, topic string
	users         map[string]uint64 // packets of each
	retained      [2]bool           // not, and so
}

// Propose returns rules that allow acts.
func Propose(acts []authz.Act) []Rule {
	know := observe(acts)
	entries := know.entries(acts, func(a authz.Act) bool { return a.Action != "receive" })
	rules := know.rules(entries)
	missing := Replay(rules, acts) // what came by subscriptions that nobody saw begin
	if len(missing) > 0 {
		entries = append(entries, know.entries(missing, func(authz.Act) bool { return true })...)
		rules = know.rules(entries)
	}
	return rules
}

// crowd is who was seen.
type crowd struct {
	members map[string][]string // users by group, in order
	users   map[string]bool
}

func observe(acts []authz.Act) *crowd {
	c := &crowd{members: map[string][]string{}, users: map[string]bool{}}
	for _, a := range acts {
		c.users[a.User] = true
		for _, g := range a.Groups {
			if !slices.Contains(c.members[g], a.User) && a.User != "" {
				c.members[g] = append(c.members[g], a.User)
			}
		}
	}
	return c
}

// entries gathers the wanted acts by what was done.
func (c *crowd) entries(acts []authz.Act, wanted func(authz.Act) bool) []*entry {
	vary := varying{}
	for _, a := range acts {
		vary.add(template(a), strings.Split(a.Topic, "/"))
	}
	found := map[[2]string]*entry{}
	for _, a := range acts {
		if !wanted(a) {
			continue
		}
		topic := pattern(vary.spell(template(a), strings.Split(a.Topic, "/")))
		key := [2]string{a.Action, topic}
		e := found[key]
		if e == nil {
			e = &entry{action: a.Action, topic: topic, users: map[string]uint64{}}
			found[key] = e
		}
		e.users[a.User] += a.Count
		e.retained[0] = e.retained[0] || !a.Retain
		e.retained[1] = e.retained[1] || a.Retain
	}
	return slices.Collect(maps.Values(found))
}

// varying holds the levels of the topics that are one template: what they have in
// common, and "" for a level in which they differ.
type varying map[string][]string

func (v varying) add(template, levels []string) {
	key := strings.Join(template, "/")
	common := v[key]
	if common == nil {
		v[key] = levels
		return
	}
	common = slices.Clone(common)
	for i, level := range levels {
		if common[i] != level {
			common[i] = ""
		}
	}
	v[key] = common
}

// spell takes out of a template the placeholders in whose place all topics have the
// same.
func (v varying) spell(template, levels []string) []string {
	for i, common := range v[strings.Join(template, "/")] {
		if common != "" && common == levels[i] {
			template[i] = filters.Escape(common)
		}
	}
	return template
}

// pattern is a topic of a rule.
func pattern(levels []string) string {
	text := strings.Join(levels, "/")
	if strings.HasPrefix(text, "=") {
		return "=" + text // for what is written so is literal
	}
	return text
}

// template puts placeholders in the place of levels that are names of the client.
func template(a authz.Act) []string {
	levels := strings.Split(a.Topic, "/")
	from := 0
	if levels[0] == "$share" && len(levels) > 2 {
		from = 2
	}
	for i, level := range levels {
		levels[i] = filters.Escape(level)
		if i < from || !filters.TopicLevel(level) {
			continue
		}
		switch {
		case level == a.User:
			levels[i] = "${username}"
		case level == a.ClientID:
			levels[i] = "${clientid}"
		case level == a.Tenant:
			levels[i] = "${tenant}"
		case slices.Contains(a.Groups, level):
			levels[i] = "${group}"
		}
	}
	return levels
}

// rules makes rules of entries: those of the same clients, actions and retain are
// one.
func (c *crowd) rules(entries []*entry) []Rule {
	type about struct{ who, topic string }
	merged, actions := map[about]*Rule{}, map[about]map[string]bool{}
	for _, e := range entries {
		for _, who := range c.subjects(e) {
			key := about{who.key(), e.topic}
			r := merged[key]
			if r == nil {
				r = &Rule{Groups: who.groups, Users: who.users, Anonymous: who.anonymous, Topics: []string{e.topic}}
				merged[key], actions[key] = r, map[string]bool{}
			}
			actions[key][e.action] = true
			r.Clients = max(r.Clients, len(who.did))
			for _, n := range who.did {
				r.Packets += n
			}
			if e.action == "publish" || e.action == "will" {
				r.noteRetained(e.retained)
			}
		}
	}
	together := map[string]*Rule{}
	for key, r := range merged {
		r.Allow = allow(actions[key])
		k := strings.Join([]string{key.who, strings.Join(r.Allow, " "), retainKey(r.Retain)}, "\x00")
		if t := together[k]; t != nil {
			t.Topics = append(t.Topics, r.Topics...)
			t.Packets += r.Packets
			t.Clients = max(t.Clients, r.Clients)
			continue
		}
		together[k] = r
	}
	rules := make([]Rule, 0, len(together))
	for _, r := range together {
		r.Topics = shorten(r.Topics)
		rules = append(rules, *r)
	}
	slices.SortFunc(rules, func(a, b Rule) int {
		return cmp.Or(slices.Compare(a.Groups, b.Groups), slices.Compare(a.Users, b.Users), slices.Compare(a.Topics, b.Topics), slices.Compare(a.Allow, b.Allow))
	})
	return rules
}

// noteRetained makes the rule speak of one value of retain only, if there was one.
func (r *Rule) noteRetained(seen [2]bool) {
	r.retained[0] = r.retained[0] || seen[0]
	r.retained[1] = r.retained[1] || seen[1]
	r.Retain = nil
	if r.retained[0] != r.retained[1] {
		r.Retain = &r.retained[1]
	}
}

func retainKey(retain *bool) string {
	switch {
	case retain == nil:
		return ""
	case *retain:
		return "retained"
	}
	return "not"
}

// allow lists actions in the order of the documentation. To publish is to leave
// a Will, too, and to subscribe is to receive.
func allow(actions map[string]bool) []string {
	var list []string
	for _, a := range []string{"publish", "will", "subscribe", "receive"} {
		if !actions[a] || a == "will" && actions["publish"] || a == "receive" && actions["subscribe"] {
			continue
		}
		list = append(list, a)
	}
	return list
}
