package rewrite

import (
	"bytes"
	"math"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

const (
	maxString  = math.MaxUint16 // bytes of a string (MQTT 5.0 section 1.5.4)
	maxScratch = 1 << 10        // bytes that an idle session keeps for its next packet

	dollarRule  = "rewrite: names that begin with $ are the broker's own, and a tenant has none"
	longRule    = "rewrite: longer with the prefix than a name can be"
	largeRule   = "rewrite: larger with the prefix than the broker takes"
	outsideRule = "rewrite: outside of the client's topics"
	dollarBelow = "rewrite: a name that begins with $ for the client"
)

// Up returns the filter that makes the broker's names of the client's.
func (n *Namespaces) Up() filters.Filter { return opener{n, func() filters.Filter { return &up{} }} }

// Down returns the filter that makes the client's names of the broker's, and keeps
// from the client what is in no namespace of its.
func (n *Namespaces) Down() filters.Filter {
	return opener{n, func() filters.Filter { return &down{} }}
}

// opener opens the filter of one direction for sessions with a namespace.
type opener struct {
	namespaces *Namespaces
	open       func() filters.Filter
}

// Open returns a filter with buffers of its own. One without that refuses all is for
// a session that has no namespace though it should have one.
func (o opener) Open(s *filters.Session) filters.Filter {
	if o.namespaces.topics.separator != "" && s.Namespace.Topics == "" ||
		o.namespaces.clientIDs.separator != "" && s.Namespace.ClientIDs == "" {
		return o
	}
	return o.open()
}

// Filter ends the session: only what Open returns knows its names.
func (opener) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return refuse(packets.NotAuthorized, "rewrite: the session has no namespace")
}

// scratch is what the next packet is written to, and its properties.
type scratch struct {
	packet []byte
	props  packets.Properties
	name   []byte
}

// rewritten is the verdict with packet, whose buffer is kept for the next. That
// leaves the one allocation of the chain, which parses it again: BenchmarkNamespaces
// has 256 bytes for a PUBLISH rather than 488.
func (b *scratch) rewritten(packet []byte) filters.Verdict {
	b.packet = packet[:0]
	return filters.Verdict{Action: filters.Rewrite, Packet: packet}
}

// trim gives back what is large. Most of what comes is not.
func (b *scratch) trim() {
	if cap(b.packet) > maxScratch {
		b.packet = nil
	}
	if cap(b.props) > maxScratch {
		b.props = nil
	}
	if cap(b.name) > maxScratch {
		b.name = nil
	}
}

// up is the filter of what one client sends.
type up struct{ scratch }

// Filter judges a packet from the client.
func (f *up) Filter(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	defer f.trim()
	switch {
	case p.Type == packets.CONNECT:
		return f.connect(s, p)
	case s.Namespace.Topics == "":
		return filters.Pass()
	case p.Type == packets.PUBLISH:
		return f.publish(s, p)
	case p.Type == packets.SUBSCRIBE, p.Type == packets.UNSUBSCRIBE:
		return f.subscribe(s, p)
	default:
		return filters.Pass()
	}
}

// Name makes up a filters.Namer.
func (f *up) Name(s *filters.Session, topic []byte) []byte {
	f.name = append(append(f.name[:0], s.Namespace.Topics...), topic...)
	return f.name
}

// connect gives a CONNECT the broker's Client Identifier, and a Will the broker's
// topics.
func (f *up) connect(s *filters.Session, p *packets.Packet) filters.Verdict {
	c, err := p.Connect()
	if err != nil {
		return refuse(packets.MalformedPacket, err.Error())
	}
	ns := s.Namespace
	if c.ClientID = append([]byte(ns.ClientIDs), c.ClientID...); len(c.ClientID) > maxString {
		return refuse(packets.ClientIdentifierNotValid, longRule)
	}
	if w := c.Will; w != nil && ns.Topics != "" {
		if w.Topic[0] == '$' {
			return refuse(packets.TopicNameInvalid, dollarRule)
		}
		var fits bool
		w.Topic = append([]byte(ns.Topics), w.Topic...)
		if w.Props, fits = prefixed(nil, w.Props, ns.Topics); !fits || len(w.Topic) > maxString {
			return refuse(packets.TopicNameInvalid, longRule)
		}
	}
	return filters.Verdict{Action: filters.Rewrite, Packet: packets.AppendConnect(nil, p.Version, &c)}
}

// publish refuses what begins with $. A broker keeps such names from # and +
// [MQTT-4.7.2-1], but behind the prefix it does not know them for what they are; so
// there are none.
func (f *up) publish(s *filters.Session, p *packets.Packet) filters.Verdict {
	if len(p.Topic) == 0 || p.Topic[0] == '$' {
		return filters.Deny(s, p, packets.TopicNameInvalid, dollarRule)
	}
	topic, fits := f.Name(s, p.Topic), false
	if f.props, fits = prefixed(f.props[:0], p.Props, s.Namespace.Topics); !fits || len(topic) > maxString {
		return filters.Deny(s, p, packets.TopicNameInvalid, longRule)
	}
	b := packets.AppendPublish(f.packet, p.Version, p.Flags, topic, p.ID, f.props, p.Payload, p.Rest)
	size := len(b) + p.Rest
	if unnamed(p) { // who follows Topic Aliases leaves the name out again, or looks at the size itself
		size -= len(topic)
	}
	if most := s.Terms.PacketMaximum; most > 0 && size > most {
		return filters.Deny(s, p, packets.ImplementationSpecificError, largeRule)
	}
	return f.rewritten(b)
}

// unnamed reports whether p, a PUBLISH, came without a Topic Name.
func unnamed(p *packets.Packet) bool {
	at := 1
	for p.Raw[at] >= 0x80 { // Remaining Length
		at++
	}
	return p.Raw[at+1] == 0 && p.Raw[at+2] == 0
}

// prefixed appends to dst the properties ps with prefix in front of every Response
// Topic, and reports whether all of these fit.
func prefixed(dst, ps packets.Properties, prefix string) (_ packets.Properties, fits bool) {
	if len(ps) == 0 {
		return dst, true
	}
	fits = true
	dst = ps.Map(dst, packets.ResponseTopic, func(v []byte) ([]byte, bool) {
		if len(prefix)+len(v) > maxString {
			fits = false
			return nil, false
		}
		return append([]byte(prefix), v...), true
	})
	return dst, fits
}

// subscribe gives a SUBSCRIBE or UNSUBSCRIBE the broker's Topic Filters.
func (f *up) subscribe(s *filters.Session, p *packets.Packet) filters.Verdict {
	var subs []packets.Subscription
	for own, options := range p.Subscriptions() {
		filter := []byte(s.Namespace.Filter(string(own)))
		if !topics.ValidFilter(filter) { // too long
			return refuse(packets.TopicFilterInvalid, longRule)
		}
		subs = append(subs, packets.Subscription{Filter: filter, Options: options})
	}
	v := f.rewritten(appendRequest(f.packet, p, subs))
	if most := s.Terms.PacketMaximum; most > 0 && len(v.Packet) > most {
		for range subs {
			v.Filters = append(v.Filters, filters.Judgement{Reason: packets.ImplementationSpecificError, Rule: largeRule})
		}
	}
	return v
}

func appendRequest(dst []byte, p *packets.Packet, subs []packets.Subscription) []byte {
	if p.Type == packets.SUBSCRIBE {
		return packets.AppendSubscribe(dst, p.Version, p.ID, p.Props, subs)
	}
	names := make([][]byte, len(subs))
	for i, s := range subs {
		names[i] = s.Filter
	}
	return packets.AppendUnsubscribe(dst, p.Version, p.ID, p.Props, names)
}

// down is the filter of what one client gets.
type down struct{ scratch }

// Filter judges a packet from the broker.
func (f *down) Filter(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	defer f.trim()
	prefix := s.Namespace.Topics
	if p.Type != packets.PUBLISH || prefix == "" {
		return filters.Pass()
	}
	own, inside := bytes.CutPrefix(p.Topic, []byte(prefix))
	switch {
	case !inside || len(own) == 0:
		return filters.Withhold(outsideRule)
	case own[0] == '$': // of somebody else at the broker; # has found it
		return filters.Withhold(dollarBelow)
	}
	f.props = f.props[:0]
	if len(p.Props) > 0 {
		f.props = p.Props.Map(f.props, packets.ResponseTopic, func(v []byte) ([]byte, bool) {
			v, inside := bytes.CutPrefix(v, []byte(prefix))
			return v, inside && len(v) > 0
		})
	}
	return f.rewritten(packets.AppendPublish(f.packet, p.Version, p.Flags, own, p.ID, f.props, p.Payload, p.Rest))
}

var _ filters.Namer = (*up)(nil)
