package strict

import (
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// properties bounds the User Properties of a packet [CVE-2021-41039].
func properties(f *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	ps := p.Props
	if p.Type == packets.CONNECT {
		c, err := p.Connect()
		if err != nil {
			return end(packets.MalformedPacket, "C10: "+err.Error())
		}
		ps = c.Props
	}
	if !f.tooMany(ps) {
		return pass()
	}
	return filters.Deny(s, p, packets.QuotaExceeded, "C10: limits.max_user_properties"), true
}

func (f *filter) tooMany(ps packets.Properties) bool {
	if len(ps) == 0 || f.Limits.UserProperties == 0 {
		return false
	}
	n := 0
	for id := range ps.All() {
		if id == packets.UserProperty {
			n++
		}
	}
	return n > f.Limits.UserProperties
}

// goodbye refuses a DISCONNECT that gives a session an expiry which had none
// (MQTT 5.0 section 3.14.2.2.2).
func goodbye(_ *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if expiry, ok := p.Props.Uint32(packets.SessionExpiryInterval); ok && expiry > 0 && s.Terms.SessionExpiry == 0 {
		return end(packets.ProtocolError, "C10: Session Expiry Interval for a session that had none")
	}
	return pass()
}

// problems refuses explanations to a client that asked for none
// [MQTT-3.1.2-29].
func problems(_ *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if !s.Terms.NoProblems || len(p.Props) == 0 {
		return pass()
	}
	for id := range p.Props.All() {
		if id == packets.ReasonString || id == packets.UserProperty {
			return end(packets.ProtocolError, "C19: Problem Information for a client that asked for none")
		}
	}
	return pass()
}
