package filters

import (
	"slices"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// delivery is a Packet Identifier that the broker has in use, for a PUBLISH to
// the client.
type delivery struct {
	id    uint16
	await packets.Type // what is to come next: PUBACK, PUBREC, PUBREL or PUBCOMP
	ours  bool         // the client does not know of it: we finish the flow
	moved bool         // the client's acknowledgement is on its way to the broker
	over  bool         // and is the flow's end
}

// deliveries are the flows of the broker's PUBLISHes. They stand in the order
// in which they have to be acknowledged: PUBLISHes by their arrival
// [MQTT-4.6.0-2], [MQTT-4.6.0-3], PUBRELs by theirs [MQTT-4.6.0-4]. So an
// acknowledgement of ours waits for those of the client in front of it.
type deliveries struct {
	list []delivery
	ours int
}

func (d *deliveries) find(id uint16) int {
	return slices.IndexFunc(d.list, func(x delivery) bool { return x.id == id })
}

func (d *deliveries) remove(i int) {
	if d.list[i].ours {
		d.ours--
	}
	d.list = slices.Delete(d.list, i, i+1)
}

func (d *deliveries) add(x delivery) {
	if x.ours {
		d.ours++
	}
	d.list = append(d.list, x)
}

// publish notes a PUBLISH of QoS 1 or 2.
func (d *deliveries) publish(p *packets.Packet, ours bool) {
	if i := d.find(p.ID); i >= 0 {
		if x := d.list[i]; !x.ours && !x.moved && !ours {
			return // sent again: its place in the order stays
		}
		d.remove(i)
	}
	await := packets.PUBACK
	if p.QoS() == 2 {
		await = packets.PUBREC
	}
	d.add(delivery{id: p.ID, await: await, ours: ours})
}

// release notes a PUBREL, and reports whether its flow is ours.
func (d *deliveries) release(id uint16) bool {
	x := delivery{id: id}
	if i := d.find(id); i >= 0 {
		x.ours = d.list[i].ours
		if d.list[i].await == packets.PUBCOMP {
			return x.ours // sent again
		}
		d.remove(i)
	}
	x.await = packets.PUBCOMP
	d.add(x)
	return x.ours
}

// acknowledge notes the client's answer, and reports whether there was a
// question.
func (d *deliveries) acknowledge(p *packets.Packet) bool {
	i := d.find(p.ID)
	if i < 0 {
		return false
	}
	x := &d.list[i]
	if x.ours || x.moved || x.await != p.Type {
		return false
	}
	x.moved = true
	x.over = p.Type != packets.PUBREC || p.Reason >= packets.UnspecifiedError
	return true
}

// settle takes out what the client has acknowledged, now that the broker has
// been sent it.
func (d *deliveries) settle() {
	d.list = slices.DeleteFunc(d.list, func(x delivery) bool { return x.moved && x.over })
	for i := range d.list {
		if x := &d.list[i]; x.moved {
			x.moved, x.await = false, packets.PUBREL
		}
	}
}

// due appends the acknowledgements of ours that nothing stands in front of.
func (d *deliveries) due(dst []byte, v packets.Version) []byte {
	if d.ours == 0 {
		return dst
	}
	var blocked [packets.AUTH + 1]bool
	d.list = slices.DeleteFunc(d.list, func(x delivery) bool {
		if !x.ours {
			blocked[x.await] = true
			return false
		}
		if x.await == packets.PUBREL || x.await == packets.PUBREC || blocked[x.await] {
			return false
		}
		dst = packets.AppendAck(dst, v, x.await, x.id, packets.Success)
		d.ours--
		return true
	})
	clear(blocked[:])
	for i := range d.list {
		switch x := &d.list[i]; {
		case x.await != packets.PUBREC:
		case !x.ours:
			return dst
		default:
			dst = packets.AppendAck(dst, v, packets.PUBREC, x.id, packets.Success)
			x.await = packets.PUBREL
		}
	}
	return dst
}

// resume takes over the flows that the broker goes on with and the client does
// not know of.
func (d *deliveries) resume(from *deliveries) {
	for _, x := range from.list {
		if x.ours && (x.await == packets.PUBREL || x.await == packets.PUBCOMP) {
			d.add(delivery{id: x.id, await: packets.PUBREL, ours: true})
		}
	}
}

// Delivering reports whether the broker has id in use and the client, if it
// knows of it, has not answered yet, and how many of them there are.
func (s *Session) Delivering(id uint16) (used bool, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.deliveries.list {
		if x.moved {
			continue
		}
		n++
		used = used || x.id == id
	}
	return used, n
}

// Awaits reports whether the broker awaits the acknowledgement p of the client.
func (s *Session) Awaits(p *packets.Packet) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.deliveries.find(p.ID)
	if i < 0 {
		return false
	}
	x := s.deliveries.list[i]
	return !x.ours && !x.moved && x.await == p.Type
}

// withhold finishes the flow of a PUBLISH that the client does not get.
func (s *Session) withhold(p *packets.Packet, v Verdict) Verdict {
	v.Action = Drop
	if p.QoS() == 0 {
		return v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliveries.publish(p, true)
	return s.reply(v)
}

// reply makes v send the broker what is due. The caller holds mu.
func (s *Session) reply(v Verdict) Verdict {
	if b := s.deliveries.due(nil, s.Version); len(b) > 0 {
		v.Action, v.Packet = Reply, b
	}
	return v
}

// Settle returns what has to be sent to the broker behind the packets that have
// just been written to it: acknowledgements of ours that waited for the
// client's, and UNSUBSCRIBEs of ours. It is called by who calls JudgeUp.
func (s *Session) Settle(now time.Time) []byte {
	if !s.unsettled {
		return nil
	}
	s.unsettled = false
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliveries.settle()
	return s.unsubscribe(s.deliveries.due(nil, s.Version), now)
}
