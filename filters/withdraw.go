package filters

import (
	"maps"
	"slices"
	"time"

	"github.com/mqttward/mqttward/packets"
)

const (
	// maxReviewed is how many filters are judged again at a time.
	maxReviewed = 64
	// maxUnsubscribed bounds the filters in an UNSUBSCRIBE of ours, and
	// maxUnsubscribe its bytes, but for one that is longer by itself.
	maxUnsubscribed = 64
	maxUnsubscribe  = 16 << 10
)

// Withdrawn is a subscription at the broker that has lost its right.
type Withdrawn struct {
	Filter string
	Rule   string
	Lost   []string // the filters of the client's that nothing is left of
}

// claim is a filter that the broker may have, and that is judged again.
type claim struct {
	filter string
	qos    packets.QoS
	turn   uint32
	rule   string // that refuses it
}

// ReviewSubscriptions judges by the rules of now what the session is subscribed
// to, and takes from it what has lost its right: Unsubscribe returns what tells
// the broker so. It may be called beside JudgeUp and JudgeDown, of a chain that
// was opened for it. A right that comes back later brings nothing back.
func (c Chain) ReviewSubscriptions(now time.Time, s *Session) []Withdrawn {
	return s.withdraw(c.refused(now, s, s.claims()))
}

// claims returns all that is held and wanted; what nobody wants is let go.
func (s *Session) claims() (all []claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.subscriptions
	for _, filter := range slices.Sorted(maps.Keys(t.held)) {
		if t.held[filter].wanted() {
			all = append(all, t.claim(filter))
		} else {
			t.discard(filter)
		}
	}
	return all
}

func (t *subscriptions) claim(filter string) claim {
	h := t.held[filter]
	if !h.granted || h.asked > 0 {
		return claim{filter: filter, qos: 2, turn: h.turn} // it may become any
	}
	return claim{filter: filter, qos: h.qos, turn: h.turn}
}

// stale returns what the session may be subscribed to of the refused filters of a
// SUBSCRIBE. One that is refused here leaves the broker's subscription as it was
// [MQTT-3.8.4-3].
func (s *Session) stale(p *packets.Packet, judged []Judgement) (stale []claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, i := &s.subscriptions, 0
	for filter := range p.Subscriptions() {
		refused := i < len(judged) && judged[i].Reason != packets.Success
		i++
		if !refused {
			continue
		}
		serving := t.serving(string(filter))
		for _, f := range serving {
			stale = append(stale, t.claim(f))
		}
		if serving == nil && t.partial && t.held[string(filter)] == nil {
			stale = append(stale, claim{filter: string(filter), qos: 2})
		}
	}
	return stale
}

// withdraw unsubscribes the session from what it has asked for again, has been
// refused, and has no right to any more.
func (c Chain) withdraw(now time.Time, s *Session, p *packets.Packet, judged []Judgement) {
	if gone := c.refused(now, s, s.stale(p, judged)); len(gone) > 0 {
		s.withdraw(gone)
		s.unsettled = true
	}
}

// refused returns those claims that the filters refuse by now. One that they would
// narrow is refused: the session holds all of it.
func (c Chain) refused(now time.Time, s *Session, claims []claim) (gone []claim) {
	for part := range slices.Chunk(claims, maxReviewed) {
		subs, size := make([]packets.Subscription, len(part)), 0
		for i, held := range part {
			subs[i] = packets.Subscription{Filter: []byte(held.filter), Options: packets.SubscribeOptions(held.qos)}
			size += 2 + len(held.filter) + 1
		}
		b := packets.AppendSubscribe(nil, s.Version, 1, nil, subs)
		v := Verdict{Reason: packets.NotAuthorized, Rule: "no filters"}
		if len(c) > 0 {
			v = c.review(now, s, &packets.Packet{Type: packets.SUBSCRIBE, Flags: 2, Version: s.Version, Raw: b, ID: 1, Payload: b[len(b)-size:]})
		}
		for i, held := range part {
			var ok bool
			if held.rule, ok = right(v, i); !ok {
				gone = append(gone, held)
			}
		}
	}
	return gone
}

// right reports whether v lets the whole of filter i go on, and the rule if not.
func right(v Verdict, i int) (rule string, ok bool) {
	switch {
	case v.Action < Rewrite:
		return v.Rule, false
	case v.Filters == nil:
		return "", true
	case i >= len(v.Filters):
		return "a filter that nobody judged", false
	}
	j := v.Filters[i]
	return j.Rule, j.Reason == packets.Success && j.Narrowed == nil
}

// withdraw takes from the session what is gone, unless it has been asked for again
// meanwhile: that has been judged by itself.
func (s *Session) withdraw(gone []claim) (list []Withdrawn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.subscriptions
	for _, g := range gone {
		switch h := t.held[g.filter]; {
		case h == nil && t.partial && len(t.unsent) < maxWaiting: // nobody knows whether it is there
			t.mark(g.filter)
		case h != nil && h.turn == g.turn && h.wanted():
			lost := t.withdraw(g.filter)
			slices.Sort(lost)
			list = append(list, Withdrawn{Filter: g.filter, Rule: g.rule, Lost: lost})
		}
	}
	return list
}

// Unsubscribe returns UNSUBSCRIBEs of ours for what the session has lost, whose
// answers JudgeDown keeps from the client. It has to be written before the next
// packet of the client is; what cannot go yet for want of a Packet Identifier goes
// when Due reports it.
func (s *Session) Unsubscribe(now time.Time) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unsubscribe(nil, now)
}

// Due reports whether something has changed for UNSUBSCRIBEs that could not go.
func (s *Session) Due() bool { return s.due.Load() }

// freed says that there may be a Packet Identifier, or something to unsubscribe
// from. The caller holds mu.
func (s *Session) freed() {
	if len(s.subscriptions.unsent) > 0 {
		s.due.Store(true)
	}
}

// unsubscribe appends the UNSUBSCRIBEs that can go. The caller holds mu.
func (s *Session) unsubscribe(dst []byte, now time.Time) []byte {
	s.due.Store(false)
	t := &s.subscriptions
	if len(t.unsent) == 0 {
		return dst
	}
	due := slices.Sorted(maps.Keys(t.unsent))
	due = slices.DeleteFunc(due, func(f string) bool {
		h := t.held[f]
		// The client has asked for it again; or the answer to a SUBSCRIBE, or to an
		// UNSUBSCRIBE, will tell.
		settled := h != nil && (h.wanted() || h.asked > 0 || h.leaving)
		if settled {
			delete(t.unsent, f)
		}
		return settled
	})
	for len(due) > 0 {
		id, ok := s.flows.free()
		n := s.fits(due)
		if !ok || s.waiting+n > maxWaiting {
			break
		}
		names := make([][]byte, n)
		for i, f := range due[:n] {
			names[i] = []byte(f)
		}
		s.ask(id, packets.UNSUBSCRIBE, &request{since: now, own: true, filters: due[:n]})
		dst = packets.AppendUnsubscribe(dst, s.Version, id, nil, names)
		due = due[n:]
	}
	return dst
}

// fits returns how many of the filters go into one UNSUBSCRIBE.
func (s *Session) fits(filters []string) int {
	left := maxUnsubscribe
	if most := s.Terms.PacketMaximum; most > 0 {
		left = min(left, most)
	}
	left -= 8 // the header, the Packet Identifier, no properties
	n := 0
	for n < min(len(filters), maxUnsubscribed) {
		if left -= 2 + len(filters[n]); left < 0 && n > 0 {
			break
		}
		n++
	}
	return n
}
