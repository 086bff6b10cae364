package authz

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// Review judges p by the rules of now. A subscription is still right if a rule
// allows it with its QoS or a lower one: the broker has granted one of them.
func (v *View) Review(now time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	var d Decision
	switch p.Type {
	case packets.SUBSCRIBE:
		return subscribe(p, func(filter []byte, qos packets.QoS) Decision {
			group, filter, _ := topics.Share(filter)
			return v.readUpTo(group, filter, qos)
		})
	case packets.PUBLISH:
		d = v.Publish(p.Topic, p.QoS(), p.Retain())
	case packets.CONNECT:
		d = v.will(p)
		if d.Allowed {
			v.retainWill(s, p)
		}
	default:
		return filters.Pass()
	}
	if !d.Allowed {
		return filters.Verdict{Action: filters.Disconnect, Reason: packets.NotAuthorized, Rule: d.Rule}
	}
	return filters.Pass()
}

// Limit lowers o to what some rule allows. It takes no account of denials and
// lowers only what is certain; to a client that may not publish at all, the
// limits of publishing say nothing.
func (v *View) Limit(o *filters.Offer) {
	var publish, subscribe, retain, wildcard bool
	var qos packets.QoS
	for _, r := range v.rules {
		if r.Deny {
			continue
		}
		if r.Rule.Publish {
			publish = true
			qos = max(qos, r.highestQoS())
			retain = retain || r.Retain == nil || *r.Retain
		}
		if r.Rule.Subscribe {
			subscribe = true
			wildcard = wildcard || r.hasWildcard()
		}
	}
	if publish {
		o.MaximumQoS = min(o.MaximumQoS, qos)
		o.Retain = o.Retain && retain
	}
	o.Wildcard = o.Wildcard && wildcard
	o.Shared = o.Shared && subscribe
}

func (r *rule) highestQoS() packets.QoS {
	for q := packets.QoS(2); q > 0; q-- {
		if r.qos[q] {
			return q
		}
	}
	return 0
}

func (r viewRule) hasWildcard() bool {
	for _, t := range r.topics {
		if t.glob || !topics.ValidName(t.text) {
			return true
		}
	}
	return false
}
