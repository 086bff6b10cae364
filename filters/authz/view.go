package authz

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// noRule is what a decision names when no rule matched.
const noRule = "no rule matches"

// Decision is an answer and the rule it rests on.
type Decision struct {
	Allowed bool
	Rule    string
}

// View is a Policy as it applies to one session. It is a filters.Filter for
// what the client sends, and used by one goroutine.
type View struct {
	rules    []viewRule
	last     lastPublish
	retained *Retained // nil: who sets retained messages is not remembered
}

// viewRule is a rule with its topics for the session.
type viewRule struct {
	*rule
	topics []topic
}

// Filter makes Policy a filters.Filter; a session asks its View instead. What
// is judged without one is refused.
func (p *Policy) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Verdict{Action: filters.Disconnect, Reason: packets.NotAuthorized, Rule: noRule}
}

// Open returns the View of s as a filters.Filter.
func (p *Policy) Open(s *filters.Session) filters.Filter { return p.View(s) }

// View returns the rules that apply to s.
func (p *Policy) View(s *filters.Session) *View {
	v, who := &View{retained: p.retained}, subjectOf(s)
	for i := range p.rules {
		r := &p.rules[i]
		if !r.appliesTo(who) {
			continue
		}
		if own := r.topicsFor(who); len(own) > 0 {
			v.rules = append(v.rules, viewRule{rule: r, topics: own})
		}
	}
	return v
}

// Publish decides about a message that the client sends, or a Will.
func (v *View) Publish(name []byte, qos packets.QoS, retain bool) Decision {
	for i := range v.rules {
		r := &v.rules[i]
		if !r.Rule.Publish || !r.qos[qos] || r.Retain != nil && *r.Retain != retain {
			continue
		}
		for _, t := range r.topics {
			if t.names(name) {
				return Decision{Allowed: !r.Deny, Rule: r.label}
			}
		}
	}
	return Decision{Rule: noRule}
}

// Subscribe decides about a Topic Filter. Of a Shared Subscription it judges
// the filter within. An allowing rule must cover the filter. A denying rule
// decides if it covers it too; what it denies of a wider subscription is kept
// back on delivery. That would take a message from a whole group
// [MQTT-4.8.2-6], so a Shared Subscription must not overlap it either.
func (v *View) Subscribe(filter []byte, qos packets.QoS) Decision {
	group, filter, shared := topics.Share(filter)
	return v.read(group, filter, qos, shared)
}

// read decides about a subscription. If it is whole, nothing of it may be
// denied.
func (v *View) read(group, filter []byte, qos packets.QoS, whole bool) Decision {
	for i := range v.rules {
		r := &v.rules[i]
		if !r.Rule.Subscribe || !r.qos[qos] {
			continue
		}
		for _, t := range r.topics {
			if t.covers(group, filter) || r.Deny && whole && t.overlaps(group, filter) {
				return Decision{Allowed: !r.Deny, Rule: r.label}
			}
		}
	}
	return Decision{Rule: noRule}
}

// Receive decides about a message that the broker delivers. The right to
// subscribe is that to receive too, and a rule about receiving comes in its
// place among the others.
func (v *View) Receive(name []byte, qos packets.QoS) Decision {
	for i := range v.rules {
		r := &v.rules[i]
		if !r.receives(qos) {
			continue
		}
		for _, t := range r.topics {
			if t.delivers(name, r.Deny) {
				return Decision{Allowed: !r.Deny, Rule: r.label}
			}
		}
	}
	return Decision{Rule: noRule}
}

// receives reports whether r speaks of deliveries with qos. The QoS of a rule
// about subscriptions is what may be asked for; messages come with any up to it.
func (r *rule) receives(qos packets.QoS) bool {
	if r.Rule.Receive {
		return r.qos[qos]
	}
	return r.Rule.Subscribe && (!r.Deny || len(r.QoS) == 0)
}
