package authz

import (
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// Review judges by the rules of now what an earlier View has let go on: a
// PUBLISH, the Will of a CONNECT, or the filters of subscriptions with the QoS
// that was granted. A subscription keeps its right if it may be had with any QoS
// up to that.
func (v *View) Review(_ *filters.Session, p *packets.Packet) filters.Verdict {
	var d Decision
	switch p.Type {
	case packets.PUBLISH:
		d = v.Publish(p.Topic, p.QoS(), p.Retain())
	case packets.CONNECT:
		d = v.will(p)
	case packets.SUBSCRIBE:
		return v.reviewSubscriptions(p)
	default:
		return filters.Pass()
	}
	if d.Allowed {
		return filters.Pass()
	}
	return filters.Verdict{Action: filters.Disconnect, Reason: packets.NotAuthorized, Rule: d.Rule}
}

func (v *View) reviewSubscriptions(p *packets.Packet) filters.Verdict {
	out := filters.Pass()
	for filter, options := range p.Subscriptions() {
		j := filters.Judgement{Reason: packets.NotAuthorized}
		for qos := range options.QoS() + 1 {
			d := v.Subscribe(filter, qos)
			j.Rule = d.Rule
			if d.Allowed {
				j = filters.Judgement{}
				break
			}
		}
		out.Filters = append(out.Filters, j)
	}
	return out
}

// Limit lowers o to what some rule of the view allows. A client that may not
// publish or subscribe at all is told nothing: each refusal will say why.
func (v *View) Limit(o *filters.Offer) {
	var publish, retain, subscribe, wildcard bool
	var most packets.QoS
	for i := range v.rules {
		r := &v.rules[i]
		if r.Deny {
			continue
		}
		if r.Rule.Publish {
			publish = true
			retain = retain || r.Retain == nil || *r.Retain
			for q, allowed := range r.qos {
				if allowed {
					most = max(most, packets.QoS(q)) //nolint:gosec // G115: 0 to 2
				}
			}
		}
		if r.Rule.Subscribe {
			subscribe = true
			for _, t := range r.topics {
				wildcard = wildcard || t.wild()
			}
		}
	}
	if publish {
		o.MaximumQoS = min(o.MaximumQoS, most)
		o.Retain = o.Retain && retain
	}
	if subscribe {
		o.Wildcard = o.Wildcard && wildcard
	}
}
