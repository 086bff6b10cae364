package authz

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// Review judges p by the rules of now. A subscription is still right if a rule
// allows it with its QoS or a lower one: the broker has granted one of them. The
// payload of a message is gone, and so is its size.
func (v *View) Review(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	var d Decision
	switch p.Type {
	case packets.SUBSCRIBE:
		return v.subscribe(p, func(filter []byte, qos packets.QoS) Decision {
			group, inner, shared := topics.Share(filter)
			if v.policy.grants(shared) {
				return Decision{Allowed: true, Rule: atDelivery}
			}
			return v.readUpTo(now, group, inner, qos)
		})
	case packets.PUBLISH:
		m := message(p)
		m.Size = -1
		d = v.Publish(now, m)
	case packets.CONNECT:
		c, err := p.Connect()
		if err != nil {
			return filters.Verdict{Action: filters.Disconnect, Reason: packets.NotAuthorized, Rule: err.Error()}
		}
		d = v.will(now, c.Will, true)
		if d.Allowed || v.policy.monitors() {
			v.retainWill(s, p)
		}
	default:
		return filters.Pass()
	}
	if !d.Allowed && !v.policy.monitors() {
		return filters.Verdict{Action: filters.Disconnect, Reason: packets.NotAuthorized, Rule: d.Rule}
	}
	return filters.Pass()
}

// offer is what some rule allows.
type offer struct {
	publish, subscribe, retain, wildcard bool
	qos                                  packets.QoS // at most, of what is published
}

// add takes account of r, with these topics.
func (o *offer) add(r *rule, topics []topic) {
	if r.Deny {
		return
	}
	if r.Publish {
		o.publish = true
		o.qos = max(o.qos, r.highestQoS())
		o.retain = o.retain || r.Retain == nil || *r.Retain
	}
	if r.Subscribe {
		o.subscribe = true
		for i := range topics {
			o.wildcard = o.wildcard || topics[i].wide()
		}
	}
}

func (o *offer) join(other offer) {
	o.publish = o.publish || other.publish
	o.subscribe = o.subscribe || other.subscribe
	o.retain = o.retain || other.retain
	o.wildcard = o.wildcard || other.wildcard
	o.qos = max(o.qos, other.qos)
}

func (r *rule) highestQoS() packets.QoS {
	for q := packets.QoS(2); q > 0; q-- {
		if r.qos[q] {
			return q
		}
	}
	return 0
}

// Limit lowers o to what some rule allows. It takes no account of denials and
// lowers only what is certain; to a client that may not publish at all, the
// limits of publishing say nothing.
func (v *View) Limit(o *filters.Offer) {
	if v.policy.monitors() {
		return
	}
	if v.offer.publish {
		o.MaximumQoS = min(o.MaximumQoS, v.offer.qos)
		o.Retain = o.Retain && v.offer.retain
	}
	o.Wildcard = o.Wildcard && (v.offer.wildcard || v.policy.grants(false) || v.policy.narrows() && v.offer.subscribe)
	o.Shared = o.Shared && v.offer.subscribe
}
