package authz

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// Deliveries returns the filter of what the broker sends: it withholds each
// PUBLISH that the client may not receive, and each retained message whose
// publisher may not publish it any more. Other packets pass.
func (p *Policy) Deliveries() filters.Filter { return deliveries{p} }

type deliveries struct{ policy *Policy }

// Filter makes deliveries a filters.Filter, as Policy.Filter does for Policy.
func (d deliveries) Filter(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	return d.policy.Filter(now, s, p)
}

// Open returns the filter of what is delivered to s.
func (d deliveries) Open(s *filters.Session) filters.Filter {
	none := [3]bool{}
	return &delivery{
		policy: d.policy,
		view:   d.policy.view(s, func(r *rule) bool { return r.receives != none }),
	}
}

// delivery judges what is delivered to one session. It has a View of its own,
// since the two directions are judged by two goroutines; the View has only the
// rules that speak of deliveries.
type delivery struct {
	policy *Policy
	view   *View
}

// Filter judges a packet from the broker.
func (d *delivery) Filter(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type != packets.PUBLISH {
		return filters.Pass()
	}
	decision := d.receive(p)
	if decision.Allowed && p.Retain() {
		decision = d.policy.retained.judge(d.policy, p.Topic)
	}
	if !decision.Allowed {
		return filters.Withhold(decision.Rule)
	}
	return filters.Pass()
}

// receive is Receive with a memory, as publish is for Publish.
func (d *delivery) receive(p *packets.Packet) Decision {
	last := &d.view.last
	if last.about(p) {
		return last.decision
	}
	decision := d.view.Receive(p.Topic, p.QoS())
	last.keep(p, decision)
	return decision
}
