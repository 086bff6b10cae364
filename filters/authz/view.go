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
	rules []viewRule
	last  lastPublish
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
	v, who := &View{}, subjectOf(s)
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
// the filter within. An allowing rule must cover the filter; a denying rule
// needs only to overlap it, since what it denies would be delivered.
func (v *View) Subscribe(filter []byte, qos packets.QoS) Decision {
	group, filter, _ := topics.Share(filter)
	return v.read(group, filter, qos)
}

func (v *View) read(group, filter []byte, qos packets.QoS) Decision {
	for i := range v.rules {
		r := &v.rules[i]
		if !r.Rule.Subscribe || !r.qos[qos] {
			continue
		}
		for _, t := range r.topics {
			if r.Deny && t.overlaps(group, filter) || !r.Deny && t.covers(group, filter) {
				return Decision{Allowed: !r.Deny, Rule: r.label}
			}
		}
	}
	return Decision{Rule: noRule}
}
