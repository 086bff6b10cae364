package learn

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// subjects are whom a rule is for.
type subjects struct {
	groups    []string
	users     []string
	anonymous bool
	did       map[string]uint64 // packets of each user
}

func (s *subjects) key() string {
	anonymous := ""
	if s.anonymous {
		anonymous = "a"
	}
	return strings.Join([]string{strings.Join(s.groups, "\x01"), strings.Join(s.users, "\x01"), anonymous}, "\x00")
}

// subjects returns who did e: groups of which all known members did it, whoever
// has a name if all did, and else single users. Names with "*" are left out.
func (c *crowd) subjects(e *entry) (all []subjects) {
	left := maps.Clone(e.users)
	if n, ok := left[""]; ok {
		all = append(all, subjects{anonymous: true, did: map[string]uint64{"": n}})
		delete(left, "")
	}
	inGroups := subjects{did: map[string]uint64{}}
	for _, g := range c.widest() {
		if !c.allDid(g, e) || !slices.ContainsFunc(c.members[g], func(u string) bool { _, ok := left[u]; return ok }) {
			continue
		}
		inGroups.groups = append(inGroups.groups, g)
		for _, u := range c.members[g] {
			inGroups.did[u] = e.users[u]
			delete(left, u)
		}
	}
	if inGroups.groups != nil {
		slices.Sort(inGroups.groups)
		all = append(all, inGroups)
	}
	if strings.Contains(e.topic, "${username}") && len(left) >= minEverybody && len(left) == c.named() {
		return append(all, subjects{users: []string{"*"}, did: left})
	}
	maps.DeleteFunc(left, func(u string, _ uint64) bool { return globs(u) })
	if len(left) == 0 {
		return all
	}
	return append(all, subjects{users: slices.Sorted(maps.Keys(left)), did: left})
}

// globs reports whether a rule that gives name means others, too: who calls himself
// "*" is not to speak for everybody.
func globs(name string) bool { return strings.Contains(name, "*") }

// widest returns the groups with several members, those with most first.
func (c *crowd) widest() []string {
	var groups []string
	for g, members := range c.members {
		if len(members) > 1 && !globs(g) {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(c.members[b]), len(c.members[a])), cmp.Compare(a, b))
	})
	return groups
}

func (c *crowd) allDid(group string, e *entry) bool {
	return !slices.ContainsFunc(c.members[group], func(u string) bool { _, did := e.users[u]; return !did })
}

// named counts the users who have a name.
func (c *crowd) named() int {
	if c.users[""] {
		return len(c.users) - 1
	}
	return len(c.users)
}
