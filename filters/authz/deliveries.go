package authz

import (
	"bytes"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// Deliveries returns the filter of what the broker delivers.
func (p *Policy) Deliveries() filters.Filter { return deliveries{p} }

type deliveries struct{ *Policy }

// Open returns the filter for s.
func (d deliveries) Open(s *filters.Session) filters.Filter {
	return &deliveryView{policy: d.Policy, view: d.View(s)}
}

// deliveryView is a View of what one session receives.
type deliveryView struct {
	policy *Policy
	view   *View
	last   lastPublish
}

// Filter judges a PUBLISH from the broker; all else passes.
func (d *deliveryView) Filter(_ time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type != packets.PUBLISH {
		return filters.Pass()
	}
	decision := d.receive(p)
	if decision.Allowed && p.Retain() && d.policy.retained != nil {
		decision = d.policy.retained.judge(d.policy, p)
	}
	if !decision.Allowed {
		return filters.Withhold(decision.Rule)
	}
	return filters.Pass()
}

// receive is View.Receive with a memory, as publish.
func (d *deliveryView) receive(p *packets.Packet) Decision {
	l := &d.last
	if l.topic != nil && l.qos == p.QoS() && bytes.Equal(l.topic, p.Topic) {
		return l.decision
	}
	decision := d.view.Receive(p.Topic, p.QoS())
	if len(p.Topic) <= maxRemembered {
		*l = lastPublish{topic: append(l.topic[:0], p.Topic...), qos: p.QoS(), decision: decision}
	}
	return decision
}
