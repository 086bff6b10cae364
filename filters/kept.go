package filters

import (
	"slices"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// maxKept bounds the flows that are remembered from earlier connections of one
// client.
const maxKept = 1024

// kept is a QoS 2 PUBLISH of an earlier connection that has had no PUBREL, or one
// of this connection that never gets any. The broker has it still, whatever else
// the client uses its Packet Identifier for.
type kept struct {
	stage  Stage // AwaitPubrec to Withheld
	retain bool
	topic  []byte
}

// keep takes over what outlives the connection of from. The caller holds the mu
// of both.
func (s *Session) keep(from *Session) {
	s.unknown = s.unknown || from.unknown
	add := func(id uint16, k kept) {
		if len(s.kept) >= maxKept {
			s.unknown = true
			return
		}
		if s.kept == nil {
			s.kept = make(map[uint16]kept)
		}
		s.kept[id] = k
	}
	for i, f := range from.flows.list {
		if f.stage >= AwaitPubrec && f.stage <= Refused {
			add(from.flows.ids[i], kept{f.stage, f.retain, slices.Clone(f.topic)})
		}
	}
	for id, k := range from.kept {
		if _, newer := s.kept[id]; !newer {
			add(id, k)
		}
	}
}

// setKept changes what is kept of id; a zero k forgets it. It is called by who
// calls JudgeUp, who may so read it without mu.
func (s *Session) setKept(id uint16, k kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.stage == Idle {
		delete(s.kept, id)
		return
	}
	if s.kept == nil {
		s.kept = make(map[uint16]kept)
	}
	s.kept[id] = k
}

// withholdPubrel sees to it that the broker never gets the PUBREL of id.
func (s *Session) withholdPubrel(id uint16) {
	s.setKept(id, kept{stage: Withheld})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flows.end(id)
	s.freed()
	s.flows.withheld++
}

// revive makes a flow of an earlier connection, if id is one, one of this.
func (s *Session) revive(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.kept[id]; !ok {
		return
	}
	delete(s.kept, id)
	if s.flows.at(id) == nil {
		s.flows.set(id, Idle).earlier = true
		s.flows.set(id, AwaitPubrel)
	}
}

// release judges a PUBREL, and reports whether it is ours to answer: that of a
// PUBLISH that was refused, and of one that has lost its right since it went on.
// The broker must not publish that one, so it never gets a PUBREL.
func (c Chain) release(now time.Time, s *Session, p *packets.Packet) (Verdict, bool) {
	f, review := s.released(p.ID)
	if f.stage < AwaitPubrec || f.stage > Refused { // not in this connection
		k, known := s.kept[p.ID]
		switch {
		case !known:
			return s.complete(p.ID), s.unknown // what has been forgotten may have lost its right
		case k.stage == Refused:
			s.setKept(p.ID, kept{})
		}
		f, review = flow{stage: k.stage, retain: k.retain, topic: k.topic}, true
	}
	switch {
	case f.stage == Refused, f.stage == Withheld:
		return s.complete(p.ID), true
	case !review:
		return Verdict{}, false
	}
	v := c.reviewPublish(now, s, p.ID, f.topic, f.retain)
	if v.Action >= Rewrite {
		s.revive(p.ID)
		return Verdict{}, false
	}
	s.withholdPubrel(p.ID)
	done := s.complete(p.ID)
	done.Reason, done.Rule = v.Reason, v.Rule
	return done, true
}

// complete answers a PUBREL for the broker.
func (s *Session) complete(id uint16) Verdict {
	return Verdict{Action: Reply, Packet: packets.AppendAck(nil, s.Version, packets.PUBCOMP, id, packets.Success)}
}

func (c Chain) reviewPublish(now time.Time, s *Session, id uint16, topic []byte, retain bool) Verdict {
	p := &packets.Packet{Type: packets.PUBLISH, Flags: 4, Version: s.Version, ID: id, Topic: topic}
	if retain {
		p.Flags |= 1
	}
	return c.review(now, s, p)
}

// barred refuses p, a PUBLISH, if the broker could take it for one that it has
// already and that must not be published.
func (c Chain) barred(now time.Time, s *Session, p *packets.Packet) (Verdict, bool) {
	if len(s.kept) == 0 || p.QoS() != 2 {
		return Verdict{}, false
	}
	k, known := s.kept[p.ID]
	switch {
	case !known:
		return Verdict{}, false
	case k.stage == Withheld:
		return Deny(s, p, packets.PacketIdentifierInUse, "packet identifier of a message that was withdrawn"), true
	case k.stage != Refused:
		if v := c.reviewPublish(now, s, p.ID, k.topic, k.retain); v.Action < Rewrite {
			s.withholdPubrel(p.ID)
			return Deny(s, p, v.Reason, v.Rule), true
		}
	}
	s.setKept(p.ID, kept{}) // p takes its place
	return Verdict{}, false
}
