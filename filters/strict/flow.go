package strict

import (
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

const (
	flagDup  = 1 << 3 // of a PUBLISH, and in MQTT 3.1 of what it calls for
	inUse    = "C12: packet identifier in use"
	tooMany  = "C12: limits.max_inflight"
	nobodys  = "C12: acknowledgement of nothing"
	repeated = "C12: sent again in the same connection"
)

// publishFlow judges the Packet Identifier of a PUBLISH, and how many are in
// flight [MQTT-3.3.4-9].
func publishFlow(_ *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if p.QoS() == 0 {
		return pass()
	}
	stage, again := s.Stage(p.ID), p.Flags&flagDup != 0
	switch {
	case stage == filters.Idle:
		return room(s)
	case stage == filters.Refused && p.QoS() == 2:
		return pass() // it is judged again, and answered as before
	case again && (stage == filters.AwaitPuback || stage == filters.AwaitPubrec):
		return filters.Verdict{Action: filters.Drop, Rule: repeated}, true // its answer is on the way
	case again && stage == filters.AwaitPubrel && p.QoS() == 2 && s.Version != packets.V5:
		b := packets.AppendAck(nil, s.Version, packets.PUBREC, p.ID, packets.Success)
		return filters.Verdict{Action: filters.Reply, Packet: b, Rule: repeated}, true
	case s.Version == packets.V5 && p.QoS() == 1:
		b := packets.AppendAck(nil, s.Version, packets.PUBACK, p.ID, packets.PacketIdentifierInUse)
		return filters.Verdict{Action: filters.Reply, Reason: packets.PacketIdentifierInUse, Packet: b, Rule: inUse}, true
	case s.Version == packets.V5:
		b := packets.AppendAck(nil, s.Version, packets.PUBREC, p.ID, packets.PacketIdentifierInUse)
		return filters.Verdict{Action: filters.Reply, Reason: packets.PacketIdentifierInUse, Packet: b, Rule: inUse}, true
	}
	return end(packets.ProtocolError, inUse)
}

// room judges one more PUBLISH in flight.
func room(s *filters.Session) (filters.Verdict, bool) {
	if open, _ := s.InFlight(); s.Terms.ReceiveMaximum == 0 || open < s.Terms.ReceiveMaximum {
		return pass()
	}
	return end(packets.ReceiveMaximumExceeded, tooMany)
}

// Hold makes a PUBLISH of MQTT 3.x wait for room, as long as the broker alone can
// make it: these clients are told no Receive Maximum.
func (f *filter) Hold(s *filters.Session, p *packets.Packet) bool {
	if f.down || s.Version == packets.V5 || s.Terms.ReceiveMaximum == 0 || f.Lax().Has(packets.CheckFlow) {
		return false
	}
	open, moving := s.InFlight()
	if open < s.Terms.ReceiveMaximum || moving == 0 {
		return false
	}
	return s.Stage(p.ID) == filters.Idle
}

// requestFlow judges the Packet Identifier of a SUBSCRIBE or UNSUBSCRIBE.
func requestFlow(_ *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	switch stage := s.Stage(p.ID); {
	case stage == filters.Idle:
		return pass()
	case p.Flags&flagDup != 0 && (stage == filters.AwaitSuback || stage == filters.AwaitUnsuback):
		return filters.Verdict{Action: filters.Drop, Rule: repeated}, true
	}
	return end(packets.ProtocolError, inUse)
}

// acknowledgement drops a PUBACK, PUBREC or PUBCOMP of the client that answers
// nothing: brokers have died of them.
func acknowledgement(_ *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if s.Awaits(p) {
		return pass()
	}
	return filters.Verdict{Action: filters.Drop, Rule: nobodys}, true
}

// release judges a PUBREL of an unknown flow. The broker, which may know more
// than we do, answers it, unless it does not bear that.
func release(f *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if s.Stage(p.ID) != filters.Idle || !f.Broker.Profile().LocalAcks {
		return pass()
	}
	b := packets.AppendAck(nil, s.Version, packets.PUBCOMP, p.ID, packets.PacketIdentifierNotFound)
	return filters.Verdict{Action: filters.Reply, Packet: b, Rule: nobodys}, true
}

// delivery judges the Packet Identifier of a PUBLISH of the broker, and how many
// it has in flight [MQTT-3.3.4-7].
func delivery(_ *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if p.QoS() == 0 {
		return pass()
	}
	used, n := s.Delivering(p.ID)
	switch {
	case used && p.Flags&flagDup == 0:
		return end(packets.ProtocolError, "C19: packet identifier in use by the broker")
	case !used && s.Terms.DeliveryMaximum > 0 && n >= s.Terms.DeliveryMaximum:
		return end(packets.ReceiveMaximumExceeded, "C19: the broker exceeds the client's Receive Maximum")
	}
	return pass()
}

// awaited is which answers of the broker a Packet Identifier of the client's
// waits for.
var awaited = [...]packets.Type{
	filters.AwaitPuback:   packets.PUBACK,
	filters.AwaitPubrec:   packets.PUBREC,
	filters.AwaitPubrel:   packets.PUBREC, // sent again
	filters.AwaitPubcomp:  packets.PUBCOMP,
	filters.AwaitSuback:   packets.SUBACK,
	filters.AwaitUnsuback: packets.UNSUBACK,
	filters.Ours:          packets.UNSUBACK,
}

// answer drops what answers nothing that the client has sent.
func answer(_ *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if awaited[s.Stage(p.ID)] == p.Type {
		return pass()
	}
	return filters.Verdict{Action: filters.Drop, Rule: "C19: the broker answers nothing"}, true
}
