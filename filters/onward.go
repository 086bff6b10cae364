package filters

import (
	"github.com/mqttward/mqttward/packets"
)

// onward is what goes on of a SUBSCRIBE or UNSUBSCRIBE, and how its answer
// becomes the client's.
type onward struct {
	subs    []packets.Subscription
	slots   []slot
	indexes []int          // those of slots
	at      map[string]int // where a filter stands in subs, to be sent once; nil: as often as the client did
	changed bool           // it does not go on as it came
}

// slot is the place of one of the client's filters in its request.
type slot struct {
	code   packets.ReasonCode // its answer, if nothing is sent for it
	most   packets.QoS        // that may be granted
	name   string             // the filter, if others stand for it
	from   int                // what is sent for it, in indexes
	behind int
}

// sent returns where what was sent for l stands in the broker's answer.
func (l slot) sent(indexes []int) []int { return indexes[l.from:l.behind] }

// answer adds a slot that is answered here.
func (o *onward) answer(rc packets.ReasonCode) {
	o.slots = append(o.slots, slot{code: rc})
	o.changed = true
}

// send adds a slot for which subs go on.
func (o *onward) send(l slot, subs ...packets.Subscription) {
	l.from = len(o.indexes)
	for _, sub := range subs {
		o.indexes = append(o.indexes, o.add(sub))
	}
	l.behind = len(o.indexes)
	o.slots = append(o.slots, l)
	o.changed = o.changed || l.name != ""
}

// add puts sub into the packet and returns where it stands. Of two for one filter
// the later one's options hold, as at the broker, with the QoS of the higher.
func (o *onward) add(sub packets.Subscription) int {
	if o.at != nil {
		if i, ok := o.at[string(sub.Filter)]; ok {
			o.subs[i].Options = raise(sub.Options, o.subs[i].Options.QoS())
			return i
		}
		o.at[string(sub.Filter)] = len(o.subs)
	}
	o.subs = append(o.subs, sub)
	return len(o.subs) - 1
}

func raise(o packets.SubscribeOptions, qos packets.QoS) packets.SubscribeOptions {
	return o&^3 | packets.SubscribeOptions(max(o.QoS(), qos))
}

// onward returns what goes on of p, and notes what the client is subscribed to
// from now on. The caller holds mu.
func (s *Session) onward(p *packets.Packet, judged []Judgement) *onward {
	o, i := &onward{}, 0
	for _, j := range judged {
		if j.Narrowed != nil {
			o.at = make(map[string]int)
		}
	}
	left := s.room(p)
	for filter, options := range p.Subscriptions() {
		var j Judgement
		if judged != nil {
			j.Reason = packets.NotAuthorized // a filter that nobody judged
			if i < len(judged) {
				j = judged[i]
			}
		}
		i++
		switch {
		case j.Reason != packets.Success:
			o.answer(refusal(p.Version, options, j.Reason))
		case p.Type == packets.SUBSCRIBE:
			s.subscribeOn(o, filter, options, j.Narrowed)
		default:
			s.unsubscribeOn(o, filter, &left)
		}
	}
	return o
}

func (s *Session) subscribeOn(o *onward, filter []byte, options packets.SubscribeOptions, as []string) {
	name := string(filter)
	s.subscriptions.want(name, as)
	l := slot{most: 2}
	if o.at != nil {
		l.most = options.QoS()
	}
	if as == nil {
		o.send(l, packets.Subscription{Filter: filter, Options: options})
		return
	}
	l.name = name
	subs := make([]packets.Subscription, len(as))
	for i, f := range as {
		subs[i] = packets.Subscription{Filter: []byte(f), Options: options}
		// Another one that it stands for has been granted more.
		if h := s.subscriptions.held[f]; h.granted && (h.own || h.others > 1) {
			subs[i].Options = raise(options, h.qos)
		}
	}
	o.send(l, subs...)
}

func (s *Session) unsubscribeOn(o *onward, filter []byte, left *room) {
	name := string(filter)
	free, rc := s.subscriptions.unwant(name)
	switch {
	case len(free) == 0:
		o.answer(rc)
	case len(free) == 1 && free[0] == name:
		o.send(slot{}, packets.Subscription{Filter: filter})
	case left.take(free):
		subs := make([]packets.Subscription, len(free))
		for i, f := range free {
			subs[i].Filter = []byte(f)
		}
		o.send(slot{name: name}, subs...)
	default: // they go in packets of ours
		s.subscriptions.discard(free...)
		o.answer(packets.Success)
	}
}

// refusal is the code that tells a client of version v that rc refused its
// filter.
func refusal(v packets.Version, o packets.SubscribeOptions, rc packets.ReasonCode) packets.ReasonCode {
	switch v {
	case packets.V5:
		return max(rc, packets.UnspecifiedError)
	case packets.V311:
		return packets.UnspecifiedError // its only failure, [MQTT-3.9.3-2] of 3.1.1
	default:
		// MQTT 3.1 has no failure code: the subscription is granted and nothing
		// is ever delivered for it.
		return packets.ReasonCode(o.QoS())
	}
}

// granted is the code of a SUBACK for what codes say of the filters that were sent
// for one of the client's: the lowest QoS granted, and a failure only if all
// failed. One that was granted in part delivers, so that it is no failure to the
// client; that it gets less than it has asked for is what narrowing means.
func (l slot) granted(indexes []int, codes []byte) packets.ReasonCode {
	out := packets.ReasonCode(codes[indexes[0]])
	for _, i := range indexes {
		rc := packets.ReasonCode(codes[i])
		if rc < packets.UnspecifiedError {
			out = min(out, rc)
		}
	}
	if l.most < 2 && out < packets.UnspecifiedError {
		out = min(out, packets.ReasonCode(l.most))
	}
	return out
}

// ended is the code of an UNSUBACK: the first failure, and that there was no
// subscription only if there was none at all.
func (l slot) ended(indexes []int, codes []byte) packets.ReasonCode {
	out := packets.ReasonCode(codes[indexes[0]])
	for _, i := range indexes {
		rc := packets.ReasonCode(codes[i])
		if rc >= packets.UnspecifiedError {
			return rc
		}
		out = min(out, rc)
	}
	return out
}
