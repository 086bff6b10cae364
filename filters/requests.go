package filters

import (
	"time"

	"github.com/mqttward/mqttward/packets"
)

const (
	// maxWaiting bounds the Topic Filters of one client whose SUBSCRIBE or
	// UNSUBSCRIBE the broker has not answered.
	maxWaiting = 4096
	// slotOpen marks the code of a filter that the broker answers. It is not a
	// Reason Code.
	slotOpen packets.ReasonCode = 0xFF
)

// request is a SUBSCRIBE or UNSUBSCRIBE that waits for the broker's answer.
type request struct {
	slots   []packets.ReasonCode // sent on in part: a slot for each filter of the client's; nil: sent on as it came
	filters []string             // those that were sent on
	since   time.Time            // when it was judged
	own     bool                 // it is not the client's
}

// ours reports whether somebody depends on us for the answer.
func (r *request) ours() bool { return r.own || r.slots != nil }

func (r *request) size() int { return max(len(r.slots), len(r.filters)) }

// request sends on the filters of a SUBSCRIBE or UNSUBSCRIBE that v.Filters
// lets through, under the same Packet Identifier [MQTT-3.8.4-2]. If none is
// left, it answers for the broker.
func (s *Session) request(now time.Time, p *packets.Packet, v Verdict) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flows.at(p.ID) != nil { // [MQTT-2.2.1-3]
		return Verdict{Action: Disconnect, Reason: packets.ProtocolError, Rule: "packet identifier in use"}
	}
	allowed, slots := split(p, v.Filters)
	switch {
	case len(allowed) == 0:
		return s.answer(p, v, slots)
	case s.waiting+len(slots) > maxWaiting:
		return Verdict{Action: Disconnect, Reason: packets.ReceiveMaximumExceeded, Rule: "subscriptions in flight"}
	}
	r := &request{since: now}
	stage := AwaitUnsuback
	if p.Type == packets.SUBSCRIBE {
		stage = AwaitSuback
	}
	for _, a := range allowed {
		filter := string(a.Filter)
		r.filters = append(r.filters, filter)
		if stage == AwaitSuback {
			s.subscriptions.ask(filter)
		}
	}
	if len(allowed) < len(slots) {
		r.slots = slots
		v.Action, v.Packet = Rewrite, appendRequest(p, allowed)
	}
	s.ask(p.ID, stage, r)
	return v
}

// ask notes a request that is sent to the broker. The caller holds mu.
func (s *Session) ask(id uint16, stage Stage, r *request) {
	s.flows.set(id, stage).request = r
	s.waiting += r.size()
	if r.ours() {
		s.owed++
	}
}

// answer is the answer to a request of which nothing goes on.
func (s *Session) answer(p *packets.Packet, v Verdict, slots []packets.ReasonCode) Verdict {
	v.Action = Reply
	if p.Type == packets.SUBSCRIBE {
		v.Packet = packets.AppendSuback(nil, s.Version, p.ID, nil, slots)
	} else {
		v.Packet = packets.AppendUnsuback(nil, s.Version, p.ID, nil, slots)
	}
	return v
}

func appendRequest(p *packets.Packet, allowed []packets.Subscription) []byte {
	if p.Type == packets.SUBSCRIBE {
		return packets.AppendSubscribe(nil, p.Version, p.ID, p.Props, allowed)
	}
	names := make([][]byte, len(allowed))
	for i, a := range allowed {
		names[i] = a.Filter
	}
	return packets.AppendUnsubscribe(nil, p.Version, p.ID, p.Props, names)
}

// split returns the filters of p that are judged to go on, and for each of p's
// filters the refusal or slotOpen.
func split(p *packets.Packet, judged []Judgement) (allowed []packets.Subscription, slots []packets.ReasonCode) {
	for filter, options := range p.Subscriptions() {
		rc := packets.Success
		if judged != nil {
			rc = packets.NotAuthorized // a filter that nobody judged
			if i := len(slots); i < len(judged) {
				rc = judged[i].Reason
			}
		}
		if rc != packets.Success {
			slots = append(slots, refusal(p.Version, options, rc))
			continue
		}
		slots = append(slots, slotOpen)
		allowed = append(allowed, packets.Subscription{Filter: filter, Options: options})
	}
	return allowed, slots
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

// merge takes the broker's answer to a request, puts the refusals back among
// its codes in the order of the request [MQTT-3.9.3-1], [MQTT-3.11.3-1], and
// keeps the answers to requests of ours from the client.
func (s *Session) merge(p *packets.Packet, v Verdict) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flows.at(p.ID)
	if f == nil || f.request == nil {
		return v
	}
	r := f.request
	if (p.Type == packets.SUBACK) != (f.stage == AwaitSuback) {
		return errAnswer
	}
	s.flows.end(p.ID)
	s.waiting -= r.size()
	if r.ours() {
		s.owed--
	}
	s.change()
	codes := p.Payload // none in the UNSUBACK of MQTT 3.x
	counted := p.Version == packets.V5 || p.Type == packets.SUBACK
	if counted && len(codes) != len(r.filters) { // [MQTT-3.8.4-6], [MQTT-3.11.3-1]
		return errAnswer
	}
	for i, filter := range r.filters {
		rc := packets.Success
		if counted {
			rc = packets.ReasonCode(codes[i])
		}
		s.subscriptions.answered(p.Type, filter, rc)
	}
	switch {
	case r.own:
		return Verdict{Action: Drop}
	case r.slots == nil || !counted:
		return v
	}
	for i, rc := range r.slots {
		if rc == slotOpen {
			r.slots[i], codes = packets.ReasonCode(codes[0]), codes[1:]
		}
	}
	v.Action = Rewrite
	if p.Type == packets.SUBACK {
		v.Packet = packets.AppendSuback(nil, s.Version, p.ID, p.Props, r.slots)
	} else {
		v.Packet = packets.AppendUnsuback(nil, s.Version, p.ID, p.Props, r.slots)
	}
	return v
}

var errAnswer = Verdict{Action: Disconnect, Reason: packets.ProtocolError, Rule: "the broker's answer does not fit the request"}
