package filters

import (
	"time"

	"github.com/mqttward/mqttward/packets"
)

// maxWaiting bounds the Topic Filters of one client whose SUBSCRIBE or
// UNSUBSCRIBE the broker has not answered, as the client and as the broker
// counts them.
const maxWaiting = 4096

// request is a SUBSCRIBE or UNSUBSCRIBE that waits for the broker's answer.
type request struct {
	slots   []slot    // the client's filters, if they did not go on as they came; nil: they did
	indexes []int     // those of slots, in filters
	filters []string  // those that were sent on
	since   time.Time // when it was judged
	own     bool      // it is not the client's
}

// ours reports whether somebody depends on us for the answer.
func (r *request) ours() bool { return r.own || r.slots != nil }

func (r *request) size() int { return max(len(r.slots), len(r.filters)) }

// request sends on the filters of a SUBSCRIBE or UNSUBSCRIBE that v.Filters
// lets through, or what stands for them, under the same Packet Identifier
// [MQTT-3.8.4-2]. If none is left, it answers for the broker.
func (s *Session) request(now time.Time, p *packets.Packet, v Verdict) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flows.at(p.ID) != nil { // [MQTT-2.2.1-3]
		return Verdict{Action: Disconnect, Reason: packets.ProtocolError, Rule: "packet identifier in use"}
	}
	o := s.onward(p, v.Filters)
	s.unsettled = s.unsettled || len(s.subscriptions.unsent) > 0
	switch {
	case len(o.subs) == 0:
		return s.answer(p, v, o.slots)
	case s.waiting+max(len(o.slots), len(o.subs)) > maxWaiting:
		return Verdict{Action: Disconnect, Reason: packets.ReceiveMaximumExceeded, Rule: "subscriptions in flight"}
	}
	r := &request{since: now, filters: make([]string, len(o.subs))}
	for i, sub := range o.subs {
		r.filters[i] = string(sub.Filter)
	}
	if o.changed {
		r.slots, r.indexes = o.slots, o.indexes
		v.Action, v.Packet = Rewrite, appendRequest(p, o.subs)
	}
	s.ask(p.ID, p.Type, r)
	return v
}

// ask notes a request of type t that is sent to the broker. The caller holds mu.
func (s *Session) ask(id uint16, t packets.Type, r *request) {
	stage, note := AwaitSuback, s.subscriptions.ask
	if t == packets.UNSUBSCRIBE {
		stage, note = AwaitUnsuback, s.subscriptions.leave
	}
	if r.own {
		stage = Ours
	}
	for _, f := range r.filters {
		note(f)
	}
	s.flows.set(id, stage).request = r
	s.waiting += r.size()
	if r.ours() {
		s.owed++
	}
}

// answer is the answer to a request of which nothing goes on.
func (s *Session) answer(p *packets.Packet, v Verdict, slots []slot) Verdict {
	codes := make([]packets.ReasonCode, len(slots))
	for i, l := range slots {
		codes[i] = l.code
	}
	v.Action = Reply
	if p.Type == packets.SUBSCRIBE {
		v.Packet = packets.AppendSuback(nil, s.Version, p.ID, nil, codes)
	} else {
		v.Packet = packets.AppendUnsuback(nil, s.Version, p.ID, nil, codes)
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

// merge takes the broker's answer to a request, puts the codes that the client
// gets in the order of its request [MQTT-3.9.3-1], [MQTT-3.11.3-1], and keeps the
// answers to requests of ours from it.
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
	defer s.change()
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
	if counted && p.Type == packets.UNSUBACK && !r.own {
		s.subscriptions.restore(r, codes)
	}
	switch {
	case r.own:
		return Verdict{Action: Drop}
	case r.slots == nil || !counted:
		return v
	}
	v.Action = Rewrite
	if merged := r.merged(p.Type, codes); p.Type == packets.SUBACK {
		v.Packet = packets.AppendSuback(nil, s.Version, p.ID, p.Props, merged)
	} else {
		v.Packet = packets.AppendUnsuback(nil, s.Version, p.ID, p.Props, merged)
	}
	return v
}

// merged returns the codes for the client.
func (r *request) merged(answer packets.Type, codes []byte) []packets.ReasonCode {
	merged := make([]packets.ReasonCode, len(r.slots))
	for i, l := range r.slots {
		switch sent := l.sent(r.indexes); {
		case len(sent) == 0:
			merged[i] = l.code
		case answer == packets.SUBACK:
			merged[i] = l.granted(sent, codes)
		default:
			merged[i] = l.ended(sent, codes)
		}
	}
	return merged
}

// restore gives the client back what the broker has refused to end.
func (t *subscriptions) restore(r *request, codes []byte) {
	refused := func(i int) bool {
		return packets.ReasonCode(codes[i]) >= packets.UnspecifiedError && t.held[r.filters[i]] != nil
	}
	if r.slots == nil {
		for i, filter := range r.filters {
			if refused(i) {
				t.want(filter, nil)
			}
		}
		return
	}
	for _, l := range r.slots {
		var as []string
		for _, i := range l.sent(r.indexes) {
			switch {
			case !refused(i):
			case l.name == "":
				t.want(r.filters[i], nil)
			default:
				as = append(as, r.filters[i])
			}
		}
		if as != nil && t.serving(l.name) == nil {
			t.want(l.name, as)
		}
	}
}

var errAnswer = Verdict{Action: Disconnect, Reason: packets.ProtocolError, Rule: "the broker's answer does not fit the request"}
