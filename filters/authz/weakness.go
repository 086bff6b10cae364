package authz

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets/topics"
)

// Weaknesses returns what is allowed and is hardly meant, a line each: rules
// that never match, since those before them always do, and rules that give
// everything to everybody.
func (p *Policy) Weaknesses() []string {
	var found []string
	before := earlier{rules: make(map[string][]*rule), left: maxCompared}
	for _, r := range p.rules {
		if r.Connect {
			continue
		}
		if r.givesAll() {
			found = append(found, fmt.Sprintf("%s: allows everybody all topics (#)", r.label))
		}
		if by := before.hides(r); by != nil {
			found = append(found, fmt.Sprintf("%s: never decides: %s comes first and matches whatever it does", r.label, by.label))
		} else if why := r.void(); why != "" {
			found = append(found, fmt.Sprintf("%s: never matches: %s", r.label, why))
		}
		before.add(r)
	}
	return found
}

// givesAll reports whether the rule lets everybody do something on all topics.
func (r *rule) givesAll() bool {
	return !r.Deny && r.open() && slices.ContainsFunc(r.fixed, func(t topic) bool {
		return t.group == "" && (t.kind == Every || (t.kind == Filter || t.kind == Verbatim) && topics.Covers(t.text, "#") || (t.kind == Glob || t.kind == Wild) && t.text == "*" && t.also == "")
	})
}

// open reports whether the rule is about everybody.
func (r *rule) open() bool {
	if r.Without != nil {
		return false
	}
	all := func(n Name) bool { return n.text == "*" && n.glob }
	for _, s := range append([]Subjects{r.Subjects}, r.Within...) {
		if s.Anonymous && s.Users == nil {
			return false
		}
		for _, list := range s.names() {
			if list != nil && !slices.ContainsFunc(list, all) {
				return false
			}
		}
		if s.IPs != nil && !slices.ContainsFunc(s.IPs, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
			return false
		}
	}
	return true
}

// void tells why the rule can never match anything.
func (r *rule) void() string {
	for _, s := range append([]Subjects{r.Subjects}, r.Within...) {
		for _, list := range [][]Name{s.Users, s.ClientIDs} {
			unheard := func(n Name) bool { return n.exact() && !filters.PlainName(n.text) }
			if len(list) > 0 && !slices.ContainsFunc(list, func(n Name) bool { return !unheard(n) }) {
				return fmt.Sprintf("no client may have the name %q", list[0])
			}
		}
	}
	publishes := !r.Subscribe && !r.Receive
	if publishes && r.fixed != nil && !slices.ContainsFunc(r.fixed, func(t topic) bool { return !t.subscription() }) {
		return "its topics are of subscriptions, and nothing is published to those"
	}
	return ""
}

// earlier are the rules that stand before one, by their subjects.
type earlier struct {
	rules map[string][]*rule
	left  int // pairs of topics that may still be compared
}

// maxCompared bounds the pairs of topics that are compared, which grow with the
// square of the rules: a second's worth, since a reload waits for it. Behind that
// no hidden rules are found.
const maxCompared = 1 << 20

func (e *earlier) add(r *rule) {
	if e.left > 0 {
		key := r.subjectsKey()
		e.rules[key] = append(e.rules[key], r)
	}
}

// hides returns a rule that comes first wherever r would decide: of the same
// subjects, or of everybody.
func (e *earlier) hides(r *rule) *rule {
	for _, key := range []string{r.subjectsKey(), (&rule{}).subjectsKey()} {
		for _, other := range e.rules[key] {
			if e.left -= len(other.topics) * len(r.topics); e.left <= 0 {
				return nil
			}
			if other.shadows(r) {
				return other
			}
		}
	}
	return nil
}

// shadows reports whether r, which is about the same clients or more, matches
// whatever other does.
func (r *rule) shadows(other *rule) bool {
	switch {
	case r.conditional(), r.Exact != other.Exact, r.Widen != other.Widen,
		other.Publish && !r.Publish,
		other.Will && !r.Publish && !r.Will,
		other.Subscribe && !r.Subscribe,
		other.Receive && !r.Receive && !r.Subscribe,
		r.Retain != nil && (other.Retain == nil || *r.Retain != *other.Retain):
		return false
	}
	for q := range r.qos {
		if other.qos[q] && !r.qos[q] || other.receives[q] && !r.receives[q] {
			return false
		}
	}
	if r.fixed == nil { // without a value for one topic it may be void as a whole
		return slices.EqualFunc(r.topics, other.topics, func(a, b pattern) bool { return a.Topic == b.Topic })
	}
	for _, t := range other.topics {
		if !slices.ContainsFunc(r.topics, func(wide pattern) bool { return wide.holds(t) }) {
			return false
		}
	}
	return true
}

// holds reports whether p matches whatever other does, for every client.
func (p pattern) holds(other pattern) bool {
	if p.Topic == other.Topic || p.Kind == Every && p.Share == SharedOrNot && p.Except == "" {
		return true
	}
	if p.Except != "" || p.Kind != Filter || other.Kind != Filter && other.Kind != Literal || p.Share != SharedOrNot {
		return false
	}
	wide, ok := p.expand(sampleValue)
	if !ok || wide.group != "" {
		return false
	}
	// A value of a client is a level, or part of one, as any other that p does not
	// spell out: it cannot begin a topic with "$".
	narrow, ok := other.expand(func(string) (string, bool) { return unfilled, true })
	return ok && topics.Covers(wide.text, narrow.text)
}
