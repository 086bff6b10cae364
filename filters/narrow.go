package filters

import (
	"slices"

	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

const (
	// maxNarrowed bounds the filters that stand for one of the client's.
	maxNarrowed = 64
	// maxReplacements and maxReplacementBytes bound those of one packet.
	maxReplacements     = 1024
	maxReplacementBytes = 64 << 10
)

// room is what replacements may still add to a packet.
type room struct{ filters, bytes int }

// room returns what replacements may add to p, so that the broker takes it.
func (s *Session) room(p *packets.Packet) room {
	r := room{maxReplacements, maxReplacementBytes}
	if most := s.Terms.PacketMaximum; most > 0 {
		r.bytes = min(r.bytes, most-len(p.Raw)-1) // the Remaining Length may need a byte more
	}
	return r
}

// take takes the room of filters, if there is enough.
func (r *room) take(filters []string) bool {
	bytes := 0
	for _, f := range filters {
		bytes += 2 + len(f) + 1
	}
	if len(filters) > r.filters || bytes > r.bytes {
		return false
	}
	r.filters -= len(filters)
	r.bytes -= bytes
	return true
}

// narrow checks the replacements that judged names for the filters of p, and
// leaves out those that are not needed. A filter whose replacements are not as
// they must be is refused.
func (s *Session) narrow(p *packets.Packet, judged []Judgement) {
	if !slices.ContainsFunc(judged, func(j Judgement) bool { return j.Narrowed != nil }) {
		return
	}
	left, i := s.room(p), 0
	for filter := range p.Subscriptions() {
		if i == len(judged) {
			return
		}
		j := &judged[i]
		i++
		switch {
		case j.Narrowed == nil:
		case j.Reason != packets.Success:
			j.Narrowed = nil
		default:
			*j = narrowed(filter, *j, &left)
		}
	}
}

// narrowed is the judgement of a filter that j narrows.
func narrowed(filter []byte, j Judgement, left *room) Judgement {
	refuse := func(rc packets.ReasonCode, rule string) Judgement { return Judgement{Reason: rc, Rule: rule} }
	switch n := len(j.Narrowed); {
	case n == 0:
		return refuse(packets.NotAuthorized, "narrowed to nothing")
	case n > maxNarrowed:
		return refuse(packets.QuotaExceeded, "narrowed to more than 64 filters")
	case !left.take(j.Narrowed): // before they are compared with each other
		return refuse(packets.QuotaExceeded, "narrowed to more than goes into one packet")
	}
	for _, f := range j.Narrowed {
		if !topics.ValidFilter(f) || !within(filter, f) {
			return refuse(packets.ImplementationSpecificError, "narrowed to what was not asked for")
		}
	}
	j.Narrowed = widest(j.Narrowed)
	if len(j.Narrowed) == 1 && j.Narrowed[0] == string(filter) {
		j.Narrowed = nil
	}
	return j
}

// within reports whether wide covers narrow, in the same group of a Shared
// Subscription if it is one.
func within[W, N topics.Text](wide W, narrow N) bool {
	group, wide, shared := topics.Share(wide)
	other, narrow, too := topics.Share(narrow)
	return shared == too && string(group) == string(other) && topics.Covers(wide, narrow)
}

// widest returns the filters that are within no other, in their order. Of those
// that match the same, the first stays.
func widest(filters []string) []string {
	var out []string
	for i, f := range filters {
		if !slices.ContainsFunc(filters[:i], func(g string) bool { return within(g, f) }) &&
			!slices.ContainsFunc(filters[i+1:], func(g string) bool { return within(g, f) && !within(f, g) }) {
			out = append(out, f)
		}
	}
	return out
}
