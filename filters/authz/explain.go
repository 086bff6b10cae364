package authz

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets/topics"
)

// Step is a rule that was asked, and why it did not match; "" if it did.
type Step struct {
	Rule string
	Why  string
}

// Question is one that Explain answers.
type Question struct {
	Action  string // publish, will, subscribe or receive
	Message        // of a subscription, Topic is the Topic Filter and QoS the one that it asks for
}

// Explain decides as the Views of s do, and tells what became of each rule up to
// the one that decided. It walks them all: it is for people who ask, not for
// packets.
func (p *Policy) Explain(now time.Time, s *filters.Session, ask Question) (Decision, []Step) {
	v := p.View(s)
	q := &query{topic: ask.Topic, message: ask.Message, qos: ask.QoS, now: now}
	var d Decision
	switch ask.Action {
	case "publish", "will":
		q.action, q.message.Will = publishing, ask.Action == "will"
		d = v.Publish(now, q.message)
	case "receive":
		q.action = receiving
		d = v.Receive(now, ask.Message)
	case "subscribe":
		d = v.Subscribe(now, ask.Topic, ask.QoS)
		if d.Rule == atDelivery {
			return d, nil
		}
		q.action = subscribing
		q.group, q.topic, _ = topics.Share(ask.Topic)
	default:
		return Decision{Rule: "no such action: " + ask.Action}, nil
	}
	own, closed := ownRules(s.Proof())
	rules := own
	if !closed {
		rules = append(rules, p.rules...)
	}
	who := subjectOf(s)
	var steps []Step
	for _, r := range rules {
		why := q.misses(r, who)
		steps = append(steps, Step{Rule: r.label, Why: why})
		if why == "" {
			break
		}
	}
	return d, steps
}

// misses tells why r does not match; "" if it does.
func (q *query) misses(r *rule, who subject) string {
	if why := r.excludes(who); why != "" {
		return why
	}
	if why := q.concerns(r); why != "" {
		return why
	}
	own := r.topicsFor(who)
	if len(own) == 0 {
		return "has a placeholder for which the client has no safe value"
	}
	part := false
	for i := range own {
		if q.about(r, &own[i]) {
			return ""
		}
		part = part || q.action == subscribing && !r.Deny && own[i].kind == Filter && own[i].overlaps(q.group, q.topic)
	}
	if part {
		return "allows only a part of the filter"
	}
	return "about other topics"
}
