package payload

import (
	"unicode/utf8"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// message is what checks look at.
type message struct {
	topic   []byte
	payload []byte // what is there of it
	size    int    // of all of it
	props   packets.Properties
}

func messageOf(p *packets.Packet) message {
	return message{p.Topic, p.Payload, len(p.Payload) + p.Rest, p.Props}
}

// declared reports whether the Payload Format Indicator says that the payload is
// UTF-8. A packet that was let through with two is held to either.
func (m *message) declared() bool {
	for id, v := range m.props.All() {
		if id == packets.PayloadFormatIndicator && len(v) == 1 && v[0] == 1 {
			return true
		}
	}
	return false
}

// Whole reports whether the payload of p has to be there to be judged: a check
// that matches looks inside, and none refuses or drops it for its length.
func (f *Filter) Whole(_ *filters.Session, p *packets.Packet) bool {
	if p.Type != packets.PUBLISH {
		return false
	}
	m := messageOf(p)
	whole := false
	for i := range f.checks {
		c := &f.checks[i]
		switch {
		case !c.applies(&m):
		case !c.tooLarge(&m):
			whole = whole || c.looks(&m)
		case c.Action != Report:
			return false
		}
	}
	return whole
}

// applies reports whether m is one of the messages that c is about.
func (c *Check) applies(m *message) bool {
	return c.matches(m.topic) && (c.Format != Declared || m.declared())
}

func (c *Check) tooLarge(m *message) bool { return c.MaxSize > 0 && m.size > c.MaxSize }

// looks reports whether c has to see the payload of m.
func (c *Check) looks(m *message) bool { return c.inside() && (m.size > 0 || !c.AllowEmpty) }

// judge applies the checks: first what the length alone tells.
func (f *Filter) judge(m *message) (out finding) {
	look := false
	for i := range f.checks {
		c := &f.checks[i]
		if !c.applies(m) {
			continue
		}
		if !c.tooLarge(m) {
			look = look || c.looks(m)
			continue
		}
		// MQTT 5.0 section 3.4.2.1: an administrative limit. Packet too large is no
		// code of PUBACK and PUBREC [MQTT-3.4.2-1], [MQTT-3.5.2-1].
		if out.add(c, packets.QuotaExceeded, "payload is larger than max_size"); out.final() {
			return out
		}
	}
	if look {
		f.inspect(m, &out)
	}
	return out
}

// inspect applies the checks that look inside.
func (f *Filter) inspect(m *message, out *finding) {
	doc := document{text: m.payload}
	for i := range f.checks {
		c := &f.checks[i]
		if !c.applies(m) || c.tooLarge(m) || !c.looks(m) {
			continue
		}
		if len(m.payload) < m.size { // with its topic and properties it is larger than packets.MaxWhole
			out.add(c, packets.QuotaExceeded, "packet is too large to look inside")
		} else if why := c.inspect(&doc); why != "" {
			out.add(c, packets.PayloadFormatInvalid, why)
		}
		if out.final() {
			return
		}
	}
}

// inspect says what is wrong with a payload; "" if nothing is.
func (c *Check) inspect(d *document) string {
	switch {
	case c.Schema != nil:
		return c.Schema.check(d)
	case c.Format == JSON:
		return d.form()
	case !utf8.Valid(d.text): // RFC 3629, and not section 1.5.4, which knows no U+0000
		return "payload is not UTF-8"
	}
	return ""
}
