package authz

import (
	"bytes"
	"strings"

	"github.com/mqttward/mqttward/packets"
)

// tree finds the rules whose topics may be about a topic name or filter, level
// by level. What it finds is more than what matches: each is verified. It does
// not change once it is planted.
type tree struct {
	root    node
	partial [3]bool // by QoS: a rule denies what overlaps a subscription; see takesPart
}

// node is a level of topics.
type node struct {
	least int32 // the lowest order of what is here or below
	parts bool  // a rule here or below may deny a subscription for a part of it; see takesPart
	next  map[string]*node
	plus  *node // the level "+"
	here  []entry
	below []entry // what may go on: "#", and patterns that have no levels
}

// entry is a topic of a rule.
type entry struct {
	rule  *rule
	topic topic
}

// add puts in a rule that comes behind all that are in already.
func (t *tree) add(r *rule) {
	for q := range r.qos {
		t.partial[q] = t.partial[q] || r.Subscribe && r.takesPart(false, packets.QoS(q))
	}
	for _, topic := range r.fixed {
		n := &t.root
		n.hold(r)
		levels, below := topic.levels()
		for _, level := range levels {
			n = n.child(level)
			n.hold(r)
		}
		if below {
			n.below = append(n.below, entry{r, topic})
		} else {
			n.here = append(n.here, entry{r, topic})
		}
	}
}

func (n *node) hold(r *rule) {
	if n.least == 0 {
		n.least = r.order
	}
	n.parts = n.parts || r.Subscribe && r.takesPart(true, 0)
}

func (n *node) child(level string) *node {
	if level == "+" {
		if n.plus == nil {
			n.plus = &node{}
		}
		return n.plus
	}
	if n.next == nil {
		n.next = make(map[string]*node)
	}
	if n.next[level] == nil {
		n.next[level] = &node{}
	}
	return n.next[level]
}

// levels returns the levels that every topic and filter which t is about begins
// with, and whether more may come.
func (t *topic) levels() (levels []string, below bool) {
	switch t.kind {
	case Every, Wildcards:
		return nil, true
	case Verbatim:
		if strings.HasPrefix(t.text, "$share/") {
			return nil, true // what is looked up are the levels behind the group
		}
		return levelsOf(t.text)
	case Glob, Wild, Levels:
		if t.kind == Wild && strings.HasPrefix(t.text, "$share/") {
			return nil, true // what is looked up are the levels behind the group
		}
		levels = strings.Split(t.text, "/")
		for i, level := range levels {
			if strings.ContainsAny(level, "*?+#") && (t.kind != Levels || level == "+" || level == "#") {
				return levels[:i], true
			}
		}
		return levels, true
	default:
		return levelsOf(t.text)
	}
}

func levelsOf(filter string) (levels []string, below bool) {
	text, below := strings.CutSuffix(filter, "#")
	if !below {
		return strings.Split(text, "/"), false
	}
	if text == "" {
		return nil, true
	}
	return strings.Split(strings.TrimSuffix(text, "/"), "/"), true
}

// search looks for the first rule that holds for a query.
type search struct {
	query *query
	found *rule        // so far; nil: none
	visit func(*entry) // unless nil, is given all there is instead
}

// try takes the first of entries, which are in order, that holds.
func (s *search) try(entries []entry) {
	for i := range entries {
		e := &entries[i]
		if s.visit != nil {
			s.visit(e)
			continue
		}
		if s.passed(e.rule.order) {
			return
		}
		if s.query.holds(e.rule, &e.topic) {
			s.found = e.rule
			return
		}
	}
}

// passed reports whether a rule before the one with this order was found.
func (s *search) passed(order int32) bool { return s.found != nil && s.found.order <= order }

// first makes s.found the first rule of t that holds, if it is before it.
func (s *search) first(t *tree) {
	q := s.query
	if q.action != subscribing {
		s.name(&t.root, q.topic, true)
		return
	}
	s.covering(&t.root, q.topic, true)
	if t.partial[q.qos] || len(q.group) > 0 {
		s.overlapping(&t.root, q.topic, true)
	}
}

// name walks what may match the levels of a topic name that are left.
func (s *search) name(n *node, left []byte, more bool) {
	if n == nil || s.passed(n.least) {
		return
	}
	s.try(n.below)
	if !more {
		s.try(n.here)
		return
	}
	level, left, more := bytes.Cut(left, slash)
	s.name(n.next[string(level)], left, more)
	s.name(n.plus, left, more)
}

// covering walks what may cover the levels of a filter that are left.
func (s *search) covering(n *node, left []byte, more bool) {
	if n == nil || s.passed(n.least) {
		return
	}
	s.try(n.below)
	if !more {
		s.try(n.here)
		return
	}
	level, left, more := bytes.Cut(left, slash)
	switch {
	case string(level) == "#":
		if n.plus != nil {
			s.try(n.plus.below) // "+/#" covers "#"
		}
		return
	case string(level) != "+":
		s.covering(n.next[string(level)], left, more)
	}
	s.covering(n.plus, left, more)
}

// overlapping walks what may overlap the levels of a filter that are left. Without
// a visitor, only rules that deny parts of a subscription can hold by that.
func (s *search) overlapping(n *node, left []byte, more bool) {
	if n == nil || s.passed(n.least) || s.visit == nil && !n.parts {
		return
	}
	s.try(n.below)
	if !more {
		s.try(n.here)
		return
	}
	level, left, more := bytes.Cut(left, slash)
	switch string(level) {
	case "#":
		s.all(n)
		return
	case "+":
		for _, child := range n.next {
			s.overlapping(child, left, more)
		}
	default:
		s.overlapping(n.next[string(level)], left, more)
	}
	s.overlapping(n.plus, left, more)
}

func (s *search) all(n *node) {
	if n == nil || s.passed(n.least) || s.visit == nil && !n.parts {
		return
	}
	s.try(n.here)
	s.try(n.below)
	for _, child := range n.next {
		s.all(child)
	}
	s.all(n.plus)
}

var slash = []byte{'/'}
