package authz

import (
	"cmp"
	"slices"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// What a decision names when no rule made it.
const (
	noRule     = "no rule matches"
	atDelivery = "subscribe: filter"
)

// Decision is an answer and the rule it rests on.
type Decision struct {
	Allowed  bool
	Rule     string
	Narrowed []string // what a subscription is narrowed to; nil: it is allowed as it is
}

// View is a Policy as it applies to one session. It is a filters.Filter for
// what the client sends, which one goroutine uses; the other methods only read.
type View struct {
	policy *Policy
	own    []viewRule // of the client's proof; they come first
	closed bool       // and no others
	loose  []viewRule // in order
	trees  []*tree
	offer  offer
	vary   bool // decisions about messages that look alike may differ

	last    lastDecision
	who     *publisher // the session, once it has set a retained message
	witness *witness   // nil: nobody records
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
func (p *Policy) Open(s *filters.Session) filters.Filter {
	v := p.View(s)
	v.witness = p.recorder.witness(s)
	return v
}

// View returns the rules that apply to s.
func (p *Policy) View(s *filters.Session) *View {
	v, who := &View{policy: p}, subjectOf(s)
	var own []*rule
	own, v.closed = ownRules(s.Proof())
	v.own = v.apply(own, who)
	if v.closed {
		return v
	}
	var loose []*rule
	for _, c := range p.index.of(who) {
		loose = append(loose, c.loose...)
		if c.tree != nil {
			v.trees = append(v.trees, c.tree)
			v.offer.join(c.offer)
			v.vary = v.vary || c.timed
		}
	}
	slices.SortFunc(loose, func(a, b *rule) int { return cmp.Compare(a.order, b.order) })
	v.loose = v.apply(loose, who)
	return v
}

// apply fills in the topics of rules. Those that are void for the client are left
// out.
func (v *View) apply(rules []*rule, who subject) []viewRule {
	applied := make([]viewRule, 0, len(rules))
	for _, r := range rules {
		if topics := r.topicsFor(who); len(topics) > 0 {
			applied = append(applied, viewRule{r, topics})
			v.offer.add(r, topics)
			v.vary = v.vary || r.conditional()
		}
	}
	return applied
}

// decide returns the decision of the first rule that holds for q.
func (v *View) decide(q *query) Decision {
	r := v.find(q)
	if r == nil {
		return Decision{Rule: noRule}
	}
	r.use()
	return Decision{Allowed: !r.Deny, Rule: r.label}
}

func (v *View) find(q *query) *rule {
	if r := q.first(v.own); r != nil || v.closed {
		return r
	}
	s := search{query: q, found: q.first(v.loose)}
	for _, t := range v.trees {
		s.first(t)
	}
	return s.found
}

// first returns the first of rules that holds, nil if there is none.
func (q *query) first(rules []viewRule) *rule {
	for i := range rules {
		r := &rules[i]
		if q.concerns(r.rule) != "" {
			continue
		}
		for j := range r.topics {
			if q.about(r.rule, &r.topics[j]) {
				return r.rule
			}
		}
	}
	return nil
}

// Publish decides about a message that the client sends, or its Will.
func (v *View) Publish(now time.Time, m Message) Decision {
	return v.decide(&query{action: publishing, topic: m.Topic, message: m, qos: m.QoS, now: now})
}

// Receive decides about a message that the broker delivers.
func (v *View) Receive(now time.Time, m Message) Decision {
	return v.decide(&query{action: receiving, topic: m.Topic, message: m, qos: m.QoS, now: now})
}

// Connect decides about a CONNECT whose session ends with the connection, with a
// Will or without.
func (v *View) Connect(now time.Time, clientID string, will bool) Decision {
	return v.Attempt(now, Attempt{ClientID: clientID, Will: will})
}

// Attempt decides about a CONNECT. What no rule speaks of is allowed: clients
// without any right may connect.
func (v *View) Attempt(now time.Time, a Attempt) Decision {
	d := v.decide(&query{action: connecting, topic: []byte(a.ClientID), now: now, attempt: a})
	if d.Rule == noRule {
		d.Allowed = true
	}
	return d
}

// Subscribe decides about a Topic Filter. Of a Shared Subscription it judges
// the filter within. An allowing rule must cover the filter, and so must a
// denying one: what it denies of a wider subscription is not delivered. But it
// needs only to overlap a Shared Subscription, whose group would lose what is
// not delivered to one of it [MQTT-4.8.2-6].
func (v *View) Subscribe(now time.Time, filter []byte, qos packets.QoS) Decision {
	group, filter, shared := topics.Share(filter)
	if v.policy.grants(shared) {
		return Decision{Allowed: true, Rule: atDelivery}
	}
	d := v.read(now, group, filter, qos)
	if !d.Allowed && v.policy.narrows() {
		if part := v.narrow(now, group, filter, qos); part.Allowed || d.Rule == noRule {
			return part
		}
	}
	return d
}

// narrows reports whether the allowed part of a subscription is granted.
func (p *Policy) narrows() bool { return p != nil && p.options.Narrow && !p.options.Monitor }

// grants reports whether every subscription is granted and deliveries judged.
func (p *Policy) grants(shared bool) bool { return p != nil && p.options.FilterDeliveries && !shared }

func (v *View) read(now time.Time, group, filter []byte, qos packets.QoS) Decision {
	return v.decide(&query{action: subscribing, topic: filter, group: group, qos: qos, now: now})
}

// readUpTo is read for a subscription that may have qos or a lower one.
func (v *View) readUpTo(now time.Time, group, filter []byte, qos packets.QoS) Decision {
	var d Decision
	for q := packets.QoS(0); q <= qos && !d.Allowed; q++ {
		d = v.read(now, group, filter, q)
	}
	return d
}
