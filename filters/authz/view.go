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
// what the client sends, which one goroutine uses; the other methods only read.
type View struct {
	rules    []viewRule
	last     lastDecision
	retained *Retained
	who      *publisher // the session, once it has set a retained message
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
	return p.view(s, func(*rule) bool { return true })
}

// view returns those of the rules that apply to s which are wanted.
func (p *Policy) view(s *filters.Session, want func(*rule) bool) *View {
	v, who := &View{retained: p.retained}, subjectOf(s)
	add := func(rules []rule) {
		for i := range rules {
			r := &rules[i]
			if !want(r) || !r.appliesTo(who) {
				continue
			}
			if own := r.topicsFor(who); len(own) > 0 {
				v.rules = append(v.rules, viewRule{rule: r, topics: own})
			}
		}
	}
	own, closed := ownRules(s.Proof())
	add(own)
	if !closed {
		add(p.rules)
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

// Receive decides about a message that the broker delivers.
func (v *View) Receive(name []byte, qos packets.QoS) Decision {
	for i := range v.rules {
		r := &v.rules[i]
		if !r.receives[qos] {
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

// Subscribe decides about a Topic Filter. Of a Shared Subscription it judges
// the filter within. An allowing rule must cover the filter, and so must a
// denying one: what it denies of a wider subscription is not delivered. But it
// needs only to overlap a Shared Subscription, whose group would lose what is
// not delivered to one of it [MQTT-4.8.2-6].
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
		// A rule that no delivery is judged by has to refuse the overlap here.
		whole := !r.Deny || len(group) == 0 && r.receives[qos]
		for _, t := range r.topics {
			if t.covers(group, filter) || !whole && t.overlaps(group, filter) {
				return Decision{Allowed: !r.Deny, Rule: r.label}
			}
		}
	}
	return Decision{Rule: noRule}
}

// readUpTo is read for a subscription that may have qos or a lower one.
func (v *View) readUpTo(group, filter []byte, qos packets.QoS) Decision {
	var d Decision
	for q := packets.QoS(0); q <= qos && !d.Allowed; q++ {
		d = v.read(group, filter, q)
	}
	return d
}
