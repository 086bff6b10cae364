package filters

import "github.com/mqttward/mqttward/packets"

const (
	// maxWaiting bounds the Topic Filters of one client whose SUBSCRIBE was sent
	// on in part and has no SUBACK yet.
	maxWaiting = 4096
	// slotOpen marks the code of a filter that the broker answers. It is not a
	// Reason Code.
	slotOpen packets.ReasonCode = 0xFF
)

// subscribe sends on the filters of a SUBSCRIBE that v.Filters lets through,
// under the same Packet Identifier [MQTT-3.8.4-2]. If none is left, it answers
// for the broker.
func (s *Session) subscribe(p *packets.Packet, v Verdict) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, used := s.pending[p.ID]; used { // [MQTT-2.2.1-3]
		return Verdict{Action: Disconnect, Reason: packets.ProtocolError, Rule: "packet identifier in use"}
	}
	if v.Filters == nil {
		return v
	}
	allowed, slots := split(p, v.Filters)
	switch {
	case len(allowed) == len(slots):
		return v
	case len(allowed) == 0:
		v.Action, v.Packet = Reply, packets.AppendSuback(nil, s.Version, p.ID, nil, slots)
		return v
	case s.waiting+len(slots) > maxWaiting:
		return Verdict{Action: Disconnect, Reason: packets.ReceiveMaximumExceeded, Rule: "subscriptions in flight"}
	}
	if s.pending == nil {
		s.pending = make(map[uint16][]packets.ReasonCode)
	}
	s.pending[p.ID] = slots
	s.waiting += len(slots)
	v.Action, v.Packet = Rewrite, packets.AppendSubscribe(nil, s.Version, p.ID, p.Props, allowed)
	return v
}

// split returns the subscriptions of p that are judged to go on, and for each
// of p's filters the refusal or slotOpen.
func split(p *packets.Packet, judged []Judgement) (allowed []packets.Subscription, slots []packets.ReasonCode) {
	for filter, options := range p.Subscriptions() {
		rc := packets.NotAuthorized // a filter that nobody judged
		if i := len(slots); i < len(judged) {
			rc = judged[i].Reason
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

// mergeSuback puts the refusals back among the broker's codes, in the order of
// the SUBSCRIBE [MQTT-3.9.3-1], one for each filter [MQTT-3.8.4-6].
func (s *Session) mergeSuback(p *packets.Packet, v Verdict) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots, ok := s.pending[p.ID]
	if !ok {
		return v
	}
	delete(s.pending, p.ID)
	s.waiting -= len(slots)
	codes := p.Payload
	for i, rc := range slots {
		if rc != slotOpen {
			continue
		}
		if len(codes) == 0 {
			return errSubackCount
		}
		slots[i] = packets.ReasonCode(codes[0])
		codes = codes[1:]
	}
	if len(codes) > 0 {
		return errSubackCount
	}
	v.Action, v.Packet = Rewrite, packets.AppendSuback(nil, s.Version, p.ID, p.Props, slots)
	return v
}

var errSubackCount = Verdict{Action: Disconnect, Reason: packets.ProtocolError, Rule: "SUBACK does not fit its SUBSCRIBE"}
