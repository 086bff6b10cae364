package filters

import "github.com/mqttward/mqttward/packets"

// Deny returns the refusal of p, which the client sent, that MQTT provides for
// its type, the version and its QoS. A PUBLISH, SUBSCRIBE or UNSUBSCRIBE leaves
// the session as it is; other packets know no refusal and end it.
//
// rc tells MQTT 5.0 clients why. It has to be a failure that the answer may
// carry, as NotAuthorized and QuotaExceeded are [MQTT-3.4.2-1],
// [MQTT-3.5.2-1], [MQTT-3.9.3-2].
func Deny(s *Session, p *packets.Packet, rc packets.ReasonCode, rule string) Verdict {
	rc = max(rc, packets.UnspecifiedError) // no refusal reads as a success
	v := Verdict{Action: Disconnect, Reason: rc, Rule: rule}
	switch p.Type {
	case packets.PUBLISH:
		return s.denyPublish(p, v)
	case packets.SUBSCRIBE, packets.UNSUBSCRIBE:
		v.Action = Forward // the chain answers
		for range p.Subscriptions() {
			v.Filters = append(v.Filters, Judgement{Reason: rc, Rule: rule})
		}
		return v
	default:
		return v
	}
}

// Withhold is the verdict that keeps a PUBLISH of the broker from the client.
// The chain finishes its flow as the client would, with acknowledgements that
// are never negative: one on a Shared Subscription would take the message from
// the whole group [MQTT-4.8.2-6].
func Withhold(rule string) Verdict {
	return Verdict{Action: Drop, Reason: packets.NotAuthorized, Rule: rule}
}

// Absorb is the verdict that ends p, a PUBLISH of the client, here while the
// client takes it for delivered: it is acknowledged with success, and a QoS 2
// flow is finished as the broker would.
func Absorb(s *Session, p *packets.Packet, rule string) Verdict {
	v := Verdict{Action: Drop, Rule: rule}
	switch p.QoS() {
	case 0:
		return v
	case 1:
		v.Packet = packets.AppendAck(nil, s.Version, packets.PUBACK, p.ID, packets.Success)
	default:
		s.finish(p.ID)
		v.Packet = packets.AppendAck(nil, s.Version, packets.PUBREC, p.ID, packets.Success)
	}
	v.Action = Reply
	return v
}

// finish makes the PUBREL of id ours to answer.
func (s *Session) finish(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flows.set(id, Refused)
}

// denyPublish answers as the receiver of the message would. MQTT 3.x has no
// refusal: the positive acknowledgement is final and keeps the client from
// repeating itself [MQTT-3.3.5-2] of 3.1.1.
func (s *Session) denyPublish(p *packets.Packet, v Verdict) Verdict {
	switch p.QoS() {
	case 0:
		v.Action = Drop
		return v
	case 1:
		v.Action = Reply
		v.Packet = packets.AppendAck(nil, s.Version, packets.PUBACK, p.ID, v.Reason)
		return v
	}
	if s.Version != packets.V5 { // there the refusal ends the flow [MQTT-4.3.3-9]
		s.finish(p.ID)
	}
	v.Action = Reply
	v.Packet = packets.AppendAck(nil, s.Version, packets.PUBREC, p.ID, v.Reason)
	return v
}
