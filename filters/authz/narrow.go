package authz

import (
	"slices"
	"time"

	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// maxNarrowed bounds the parts of one Topic Filter that are subscribed to in its
// place: as many as the chain takes.
const maxNarrowed = 64

// narrow returns the parts of a subscription that rules allow, with the rule of
// the first; none if there are none, or too many.
func (v *View) narrow(now time.Time, group, filter []byte, qos packets.QoS) Decision {
	n := &narrowing{view: v, now: now, group: group, filter: filter, qos: qos}
	v.overlapping(n)
	switch {
	case len(n.parts) == 0:
		return Decision{Rule: noRule}
	case len(n.parts) > maxNarrowed:
		return Decision{Rule: "subscribe: narrow, and rules allow too many parts of it"}
	}
	if len(group) > 0 {
		for i, part := range n.parts {
			n.parts[i] = "$share/" + string(group) + "/" + part
		}
	}
	return Decision{Allowed: true, Rule: n.rule, Narrowed: n.parts}
}

// narrowing collects parts of a subscription.
type narrowing struct {
	view   *View
	now    time.Time
	group  []byte
	filter []byte
	qos    packets.QoS
	parts  []string
	rule   string
}

// add takes the part of the subscription in t, of an allowing rule, unless a rule
// before it denies that.
func (n *narrowing) add(r *rule, t *topic) {
	if r.Deny || !r.Subscribe || len(n.parts) > maxNarrowed || !n.filters(t) || !t.concerns(n.group) {
		return
	}
	part, ok := topics.Intersect(t.text, string(n.filter))
	if !ok || slices.Contains(n.parts, part) {
		return
	}
	d := n.view.read(n.now, n.group, []byte(part), n.qos)
	if !d.Allowed {
		return
	}
	if n.rule == "" {
		n.rule = d.Rule
	}
	n.parts = append(n.parts, part)
}

// filters reports whether t is a Topic Filter for such subscriptions.
func (n *narrowing) filters(t *topic) bool {
	switch t.kind {
	case Filter:
		return true
	case Literal:
		return topics.ValidName(t.text)
	case Verbatim:
		return len(n.group) == 0
	default:
		return false
	}
}

// overlapping hands n the topics that may have a part in its filter.
func (v *View) overlapping(n *narrowing) {
	for _, rules := range [][]viewRule{v.own, v.loose} {
		for i := range rules {
			for j := range rules[i].topics {
				n.add(rules[i].rule, &rules[i].topics[j])
			}
		}
		if v.closed {
			return
		}
	}
	q := &query{action: subscribing, topic: n.filter, group: n.group, qos: n.qos, now: n.now}
	for _, t := range v.trees {
		s := search{query: q, visit: func(e *entry) { n.add(e.rule, &e.topic) }}
		s.overlapping(&t.root, q.topic, true)
	}
}
