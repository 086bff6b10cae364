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
	v := d.policy.View(s)
	v.witness = d.policy.recorder.witness(s)
	return &delivery{v}
}

// delivery judges what is delivered to one session. It has a View of its own,
// since the two directions are judged by two goroutines.
type delivery struct{ view *View }

// Filter judges a packet from the broker.
func (d *delivery) Filter(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type != packets.PUBLISH {
		return filters.Pass()
	}
	decision := d.receive(now, p)
	if decision.Allowed && p.Retain() {
		policy := d.view.policy
		decision = policy.retained.judge(now, policy, s.Backend, p.Topic)
	}
	switch {
	case decision.Allowed:
		return filters.Pass()
	case d.view.policy.monitors():
		return filters.Verdict{Action: filters.Forward, Monitored: decision.Rule}
	}
	return filters.Withhold(decision.Rule)
}

// Passes reports whether p is a PUBLISH like the last one, which was allowed.
func (d *delivery) Passes(_ time.Time, _ *filters.Session, p *packets.Packet) bool {
	return p.Type == packets.PUBLISH && !p.Retain() && d.view.last.decision.Allowed && d.view.last.about(p)
}

// receive is Receive with a memory, as publish is for Publish.
func (d *delivery) receive(now time.Time, p *packets.Packet) Decision {
	last := &d.view.last
	if last.about(p) {
		return last.decision
	}
	decision := d.view.Receive(now, message(p))
	d.view.witness.note("receive", p.Topic, p.QoS(), false, decision)
	if !d.view.vary && d.view.witness == nil {
		last.keep(p, decision)
	}
	return decision
}
