package filters

import (
	"slices"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// Stage is what a Packet Identifier that the client has in use waits for.
type Stage uint8

// The stages. Those up to Withheld are of PUBLISHes.
const (
	Idle          Stage = iota // not in use
	AwaitPuback                // of the broker
	AwaitPubrec                // of the broker
	AwaitPubrel                // of the client
	AwaitPubcomp               // of the broker
	Refused                    // a PUBLISH that ended here and was acknowledged: its PUBREL is ours to answer
	Withheld                   // of what is kept: the broker has the PUBLISH and must never get its PUBREL
	AwaitSuback                // of the broker
	AwaitUnsuback              // of the broker
	Ours                       // an UNSUBSCRIBE of ours
)

// flow is a Packet Identifier in use.
type flow struct {
	stage   Stage
	retain  bool   // AwaitPubrec, AwaitPubrel: of the PUBLISH
	epoch   uint32 // and by which rules it was let go on
	topic   []byte // and its Topic Name
	request *request
	since   time.Time // its stage, as Unreleased has first seen it; zero: it has not
	earlier bool      // of an earlier connection: the client does not count it (section 4.9)
}

// flows are the Packet Identifiers that a client has in use. They are few, so a
// scan of two bytes each finds one faster than a map, and nothing is allocated
// for the next of them.
type flows struct {
	ids    []uint16
	list   []flow // as ids
	open   int    // PUBLISHes that count towards the Receive Maximum
	moving int    // of these, the ones that end without the client

	withheld int // PUBLISHes without PUBREL, which the broker counts too
}

func (t *flows) at(id uint16) *flow {
	if i := slices.Index(t.ids, id); i >= 0 {
		return &t.list[i]
	}
	return nil
}

// set puts id into a stage, and into use if it was not.
func (t *flows) set(id uint16, stage Stage) *flow {
	f := t.at(id)
	if f == nil {
		t.ids = append(t.ids, id)
		if n := len(t.list); n < cap(t.list) {
			t.list = t.list[:n+1] // with the buffer for the topic of one before
			f = &t.list[n]
			*f = flow{topic: f.topic[:0]}
		} else {
			t.list = append(t.list, flow{})
			f = &t.list[n]
		}
	}
	t.count(f, -1)
	if f.stage != stage { // a PUBLISH that is refused again gets no time for that
		f.stage, f.since = stage, time.Time{}
	}
	t.count(f, 1)
	return f
}

func (t *flows) count(f *flow, n int) {
	if f.stage < AwaitPuback || f.stage > Refused || f.earlier {
		return
	}
	t.open += n
	if f.stage == AwaitPuback || f.stage == AwaitPubcomp {
		t.moving += n
	}
}

// maxKeptTopic bounds the buffers that are kept for topics to come, in bytes.
const maxKeptTopic = 256

func (t *flows) end(id uint16) {
	i := slices.Index(t.ids, id)
	if i < 0 {
		return
	}
	t.count(&t.list[i], -1)
	last := len(t.ids) - 1
	t.ids[i], t.list[i], t.list[last] = t.ids[last], t.list[last], t.list[i]
	if f := &t.list[last]; cap(f.topic) > maxKeptTopic {
		f.topic = nil
	}
	t.list[last].request = nil
	t.ids, t.list = t.ids[:last], t.list[:last]
}

// publish notes a PUBLISH that is sent on.
func (t *flows) publish(p *packets.Packet, epoch uint32) {
	if p.QoS() == 1 {
		t.set(p.ID, AwaitPuback)
		return
	}
	f := t.set(p.ID, AwaitPubrec)
	f.topic, f.retain, f.epoch = append(f.topic[:0], p.Topic...), p.Retain(), epoch
}

// answered notes what the broker says to a PUBLISH or PUBREL.
func (t *flows) answered(p *packets.Packet) {
	f := t.at(p.ID)
	switch {
	case f == nil:
	case p.Type == packets.PUBACK && f.stage == AwaitPuback,
		p.Type == packets.PUBCOMP && f.stage == AwaitPubcomp,
		p.Type == packets.PUBREC && f.stage == AwaitPubrec && p.Reason >= packets.UnspecifiedError: // [MQTT-4.3.3-9]
		t.end(p.ID)
	case p.Type == packets.PUBREC && f.stage == AwaitPubrec:
		t.set(p.ID, AwaitPubrel)
	}
}

// free returns a Packet Identifier that is not in use: the highest, since
// clients count upwards.
func (t *flows) free() (uint16, bool) {
	var used [1 << 16 / 64]uint64
	for _, id := range t.ids {
		used[id/64] |= 1 << (id % 64)
	}
	for id := uint16(65535); id > 0; id-- {
		if used[id/64]>>(id%64)&1 == 0 {
			return id, true
		}
	}
	return 0, false
}

// Stage returns what the Packet Identifier id waits for in this connection.
func (s *Session) Stage(id uint16) Stage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flows.at(id); f != nil {
		return f.stage
	}
	return Idle
}

// released returns the flow of a PUBREL of the client, which ends it if the
// PUBLISH was refused, and reports whether its right has to be reviewed.
func (s *Session) released(id uint16) (f flow, review bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.flows.at(id); at != nil {
		f = *at // the bytes of its topic stay until this direction begins another flow
	}
	if f.stage == Refused {
		s.flows.end(id)
		s.freed()
	}
	atBroker := f.stage == AwaitPubrec || f.stage == AwaitPubrel
	return f, atBroker && f.epoch != s.epoch
}

// InFlight returns how many PUBLISHes of the client count towards its Receive
// Maximum, ours and the broker's to answer, and how many of these will end
// without another packet of the client. Of those of earlier connections, only what
// is above the Receive Maximum counts: a client that has lost what it knew of them
// goes on, and one that leaves some behind in each connection does not.
func (s *Session) InFlight() (open, moving int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open = s.flows.open + s.flows.withheld
	if most := s.Terms.ReceiveMaximum; most > 0 {
		open += max(0, len(s.kept)-most)
	}
	return open, s.flows.moving
}

// Judged says that the rules have changed: what they let go on earlier is
// judged again before it takes effect. It is called between two packets of the
// client.
func (s *Session) Judged() { s.epoch++ }

// Changed returns a channel that gets a value when the broker has answered
// something, for who has been told to Hold.
func (s *Session) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{}, 1)
	}
	return s.changed
}

// change wakes who waits for Changed. The caller holds mu.
func (s *Session) change() {
	s.freed()
	select {
	case s.changed <- struct{}{}: // nil: nobody has ever waited
	default:
	}
}

// Unreleased reports whether there are QoS 2 PUBLISHes that wait for the PUBREL of
// the client, and whether one has been seen here before as long as limit ago.
func (s *Session) Unreleased(now time.Time, limit time.Duration) (waiting, overdue bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.flows.list {
		f := &s.flows.list[i]
		switch {
		case f.stage != AwaitPubrel && f.stage != Refused:
		case f.since.IsZero():
			f.since, waiting = now, true
		default:
			waiting, overdue = true, overdue || now.Sub(f.since) >= limit
		}
	}
	return waiting, overdue
}

// Overdue reports whether the broker owes, since before t, an answer that a
// client or we ourselves cannot do without: to a SUBSCRIBE that went on in part,
// or to an UNSUBSCRIBE of ours.
func (s *Session) Overdue(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.flows.list, func(f flow) bool {
		return f.request != nil && f.request.ours() && f.request.since.Before(t)
	})
}

// Owed reports whether there is such an answer at all.
func (s *Session) Owed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owed > 0
}
