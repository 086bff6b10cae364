package proxy

import (
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// unsubscribedProperty is the name of the User Property that tells a client of MQTT
// 5.0 which of its subscriptions it has lost. The protocol has no packet for that.
const unsubscribedProperty = "mqttward-unsubscribed"

const (
	// maxNotices bounds what waits to be told to one client, in bytes.
	maxNotices = 8 << 10
	// noticeRoom is what a packet grows by, beside its properties: a Reason Code, and
	// longer lengths.
	noticeRoom = 8
	// smallestAck is the size of a PUBACK without any.
	smallestAck = 4
	// maxPacket is the size of the largest packet (MQTT 5.0 section 1.5.5).
	maxPacket = 1 + 4 + 268_435_455
)

// notices are what a client is still to be told, as User Properties of the next
// packets that go to it.
type notices struct {
	waiting atomic.Bool
	mu      sync.Mutex
	list    []packets.Properties
	size    int
}

// add tells of filters that the client has lost, as long as there is room, and if
// it takes packets of size most with the filter in them.
func (n *notices) add(lost []string, most int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, filter := range lost {
		p := packets.Properties(nil).WithUser(unsubscribedProperty, filter)
		if n.size+len(p) > maxNotices || len(p)+noticeRoom+smallestAck > most || !utf8.ValidString(filter) {
			continue
		}
		n.list = append(n.list, p)
		n.size += len(p)
	}
	n.waiting.Store(len(n.list) > 0)
}

// take returns the first notices that have no more than room bytes together.
func (n *notices) take(room int) (ps packets.Properties) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.list) > 0 && len(ps)+len(n.list[0]) <= room {
		ps = append(ps, n.list[0]...)
		n.size -= len(n.list[0])
		n.list = n.list[1:]
	}
	n.waiting.Store(len(n.list) > 0)
	return ps
}

// tell adds to a packet of the broker that goes on what the client is to be told.
func (c *conn) tell(pkt *packets.Packet, v filters.Verdict) filters.Verdict {
	switch v.Action {
	default:
		return v
	case filters.Forward:
	case filters.Rewrite:
		rewritten, err := pkt.Reparse(v.Packet, packets.Server)
		if err != nil {
			return v // which the pump finds too
		}
		pkt = rewritten
	}
	if b := c.withNotices(pkt); b != nil {
		v.Action, v.Packet = filters.Rewrite, b
	}
	return v
}

// tellReply adds it to an answer of ours.
func (c *conn) tellReply(v filters.Verdict) filters.Verdict {
	if pkt, err := packets.Parse(v.Packet, c.sess.Version, packets.Server); err == nil {
		if b := c.withNotices(pkt); b != nil {
			v.Packet = b
		}
	}
	return v
}

// withNotices returns pkt with notices, nil if it can or must carry none. Without
// Request Problem Information only a PUBLISH may [MQTT-3.1.2-29], and no packet may
// be larger than the client takes [MQTT-3.1.2-24].
func (c *conn) withNotices(pkt *packets.Packet) []byte {
	if c.sess.Terms.NoProblems && pkt.Type != packets.PUBLISH {
		return nil
	}
	switch pkt.Type {
	case packets.PUBLISH, packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP, packets.SUBACK, packets.UNSUBACK:
	default:
		return nil
	}
	size := pkt.Size() + noticeRoom
	if pkt.Type == packets.PUBLISH {
		size += len(pkt.Topic) // it may be named by an alias alone
	}
	more := c.notices.take(c.largest() - size)
	if more == nil {
		return nil
	}
	ps := append(slices.Clip(pkt.Props), more...)
	switch pkt.Type {
	case packets.PUBLISH:
		return packets.AppendPublish(nil, packets.V5, pkt.Flags, pkt.Topic, pkt.ID, ps, pkt.Payload, pkt.Rest)
	case packets.SUBACK:
		return packets.AppendSuback(nil, packets.V5, pkt.ID, ps, codesOf(pkt))
	case packets.UNSUBACK:
		return packets.AppendUnsuback(nil, packets.V5, pkt.ID, ps, codesOf(pkt))
	default:
		return packets.AppendAckWith(nil, pkt.Type, pkt.ID, pkt.Reason, ps)
	}
}

// largest is the size of the largest packet that the client takes.
func (c *conn) largest() int {
	if c.terms.clientMax == 0 {
		return maxPacket
	}
	return c.terms.clientMax
}

// codesOf returns the Reason Codes of a SUBACK or UNSUBACK.
func codesOf(p *packets.Packet) []packets.ReasonCode {
	codes := make([]packets.ReasonCode, len(p.Payload))
	for i, rc := range p.Payload {
		codes[i] = packets.ReasonCode(rc)
	}
	return codes
}
