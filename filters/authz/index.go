package authz

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// index finds the rules that can be about a client. Rules with the same subjects
// are a class. A class that names its clients exactly is found by one of the
// names; all others are asked whether they apply.
type index struct {
	named map[name][]*class
	open  []*class
}

// name is a value of a client, and of which kind it is.
type name struct {
	kind  kind
	value string
}

type kind uint8

// The kinds by which classes are found, in the order in which they are tried.
const (
	byUser kind = iota
	byClientID
	byCert
	byGroup
	byTenant
)

// class is the rules with the same subjects.
type class struct {
	rules []*rule  // in order
	left  Subjects // what is to be asked of a client that was found by its name: nothing of those names
	loose []*rule  // those that are not in tree
	tree  *tree    // nil: all are few
	offer offer    // of what is in tree
	timed bool     // something in tree is conditional
}

// fewTopics is how many patterns are as fast to walk as to look up
// (BenchmarkRules).
const fewTopics = 8

// newIndex walks up to few topics of a class and looks more of them up.
func newIndex(rules []*rule, few int) index {
	x := index{named: make(map[name][]*class)}
	classes := make(map[string]*class)
	var order []*class
	for _, r := range rules {
		key := r.subjectsKey()
		c := classes[key]
		if c == nil {
			c = &class{}
			classes[key] = c
			order = append(order, c)
		}
		c.rules = append(c.rules, r)
	}
	for _, c := range order {
		c.plant(few)
		x.add(c)
	}
	return x
}

// plant puts the topics of the class into a tree, if they are many and the same
// for everybody.
func (c *class) plant(few int) {
	many := 0
	for _, r := range c.rules {
		many += len(r.fixed)
	}
	for _, r := range c.rules {
		if many <= few || r.fixed == nil || r.Connect {
			c.loose = append(c.loose, r)
			continue
		}
		if c.tree == nil {
			c.tree = &tree{}
		}
		c.tree.add(r)
		c.offer.add(r, r.fixed)
		c.timed = c.timed || r.conditional()
	}
}

// add registers c by the names of the first kind that are all exact.
func (x *index) add(c *class) {
	s := &c.rules[0].Subjects
	c.left = *s
	for k, list := range [][]Name{byUser: s.Users, byClientID: s.ClientIDs, byCert: s.Certs, byGroup: s.Groups, byTenant: s.Tenants} {
		k := kind(k)
		if len(list) == 0 || slices.ContainsFunc(list, func(n Name) bool { return !n.exact() }) || k == byUser && s.Anonymous {
			continue
		}
		for _, n := range list {
			x.register(name{k, n.text}, c)
			if plain := plainFingerprint(n.text); k == byCert && plain != "" {
				x.register(name{k, plain}, c) // beside its text, which may be a common name
			}
		}
		*[]*[]Name{&c.left.Users, &c.left.ClientIDs, &c.left.Certs, &c.left.Groups, &c.left.Tenants}[k] = nil
		return
	}
	x.open = append(x.open, c)
}

// register adds c, the last of all classes, to those of a name.
func (x *index) register(n name, c *class) {
	if known := x.named[n]; len(known) == 0 || known[len(known)-1] != c {
		x.named[n] = append(known, c)
	}
}

// of returns the classes that apply to s, each once, by their first rules.
func (x *index) of(s subject) []*class {
	var found []*class
	add := func(classes []*class) {
		for _, c := range classes {
			if c.left.exclude(s) == "" && c.rules[0].excludesMore(s) == "" {
				found = append(found, c)
			}
		}
	}
	add(x.open)
	add(x.named[name{byUser, s.Identity.Username}])
	add(x.named[name{byClientID, s.ClientID}])
	add(x.named[name{byCert, s.commonName}])
	add(x.named[name{byCert, s.fingerprint}])
	for _, g := range s.Proof().Groups {
		add(x.named[name{byGroup, g}])
	}
	add(x.named[name{byTenant, s.Proof().Tenant}])
	slices.SortFunc(found, func(a, b *class) int { return cmp.Compare(a.rules[0].order, b.rules[0].order) })
	return slices.Compact(found) // by two groups, or by the two names of a certificate, some are found twice
}

// subjectsKey is the same for rules with the same subjects, and for no others:
// whatever a name holds, its length tells where it ends.
func (r *rule) subjectsKey() string {
	var b strings.Builder
	for _, all := range [][]Subjects{{r.Subjects}, r.Within, r.Without} {
		for i := range all {
			all[i].writeKey(&b)
		}
		b.WriteByte(3)
	}
	return b.String()
}

func (s *Subjects) writeKey(b *strings.Builder) {
	for _, list := range s.names() {
		for _, n := range list {
			b.WriteString(strconv.Itoa(len(n.text)))
			b.WriteByte(n.mark())
			b.WriteString(n.text)
		}
		b.WriteByte(1)
	}
	for _, p := range s.IPs {
		b.WriteString(p.String())
		b.WriteByte(0)
	}
	if s.Anonymous {
		b.WriteByte('a')
	}
	b.WriteByte(2)
}

// mark tells names with the same text apart.
func (n Name) mark() byte {
	switch {
	case n.re != nil:
		return 'r'
	case n.glob:
		return 'g'
	}
	return 'e'
}
