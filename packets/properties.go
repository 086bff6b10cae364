package packets

import (
	"encoding/binary"
	"iter"

	"github.com/mqttward/mqttward/packets/topics"
)

// Properties is the property section of an MQTT 5.0 packet without its
// length. Views that a Reader returns hold validated properties.
type Properties []byte

// All yields the properties in order. A value is the encoded one without a
// length prefix; a User Property's value is its encoded pair.
func (ps Properties) All() iter.Seq2[PropertyID, []byte] {
	return func(yield func(PropertyID, []byte) bool) {
		for b := body(ps); len(b) > 0; {
			id := PropertyID(b[0])
			b = b[1:]
			v, err := b.value(id)
			if err != nil || !yield(id, v) {
				return
			}
		}
	}
}

// Lookup returns the value of the first property id, as All yields it.
func (ps Properties) Lookup(id PropertyID) ([]byte, bool) {
	for b := body(ps); len(b) > 0; {
		have := PropertyID(b[0])
		b = b[1:]
		v, err := b.value(have)
		if err != nil {
			return nil, false
		}
		if have == id {
			return v, true
		}
	}
	return nil, false
}

// Uint16 returns the value of the Two Byte Integer property id.
func (ps Properties) Uint16(id PropertyID) (uint16, bool) {
	v, ok := ps.Lookup(id)
	if !ok || len(v) != 2 {
		return 0, false
	}
	return uint16(v[0])<<8 | uint16(v[1]), true
}

// Uint32 returns the value of the Four Byte Integer property id.
func (ps Properties) Uint32(id PropertyID) (uint32, bool) {
	v, ok := ps.Lookup(id)
	if !ok || len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// value takes the value of property id off b.
func (b *body) value(id PropertyID) ([]byte, error) {
	if int(id) >= len(properties) {
		return nil, errProperty
	}
	switch properties[id].kind {
	case kindFlag:
		return b.take(1)
	case kindUint16:
		return b.take(2)
	case kindUint32:
		return b.take(4)
	case kindVarint:
		_, n, err := consumeVarint(*b)
		if err == ErrShort { //nolint:errorlint // consumeVarint returns the bare value
			return nil, errTruncated
		}
		if err != nil {
			return nil, err
		}
		return b.take(n)
	case kindBinary, kindString, kindTopic:
		return b.binary()
	case kindPair:
		return b.pair()
	case kindNone:
	}
	return nil, errProperty
}

func (b *body) take(n int) ([]byte, error) {
	if len(*b) < n {
		return nil, errTruncated
	}
	v := (*b)[:n:n]
	*b = (*b)[n:]
	return v, nil
}

func (b *body) pair() ([]byte, error) {
	all := *b
	for range 2 {
		if _, err := b.binary(); err != nil {
			return nil, err
		}
	}
	n := len(all) - len(*b)
	return all[:n:n], nil
}

// properties takes the Property Length and the section behind it, which must
// be one that the carrier on allows.
func (p *Packet) properties(b *body, on carrier) (Properties, error) {
	n, size, err := consumeVarint(*b)
	if err == ErrShort { //nolint:errorlint // consumeVarint returns the bare value
		return nil, errTruncated
	}
	if err != nil {
		return nil, err
	}
	if len(*b)-size < n {
		return nil, errTruncated
	}
	ps := Properties((*b)[size : size+n : size+n])
	*b = (*b)[size+n:]
	if n == 0 {
		return nil, nil
	}
	return ps, p.checkProperties(ps, on)
}

var (
	errProperty      = malformed(CheckProperties, "section 2.2.2.2", "unknown property")
	errPropertyPlace = soft(malformed(CheckProperties, "section 2.2.2.2", "property is not allowed on this packet"))
	errClientSubID   = soft(protocolError(CheckProperties, "MQTT-3.3.4-6", "Subscription Identifier in a PUBLISH from a client"))
	errServerExpiry  = soft(protocolError(CheckProperties, "MQTT-3.14.2-2", "Session Expiry Interval in a DISCONNECT from a server"))
	errPropertyTwice = protocolError(CheckProperties, "section 2.2.2.2", "property appears twice") // two readings: either may count
	errPropertyRange = soft(protocolError(CheckProperties, "section 2.2.2.2", "property has a value outside its range"))
	errAliasZero     = &Error{Code: TopicAliasInvalid, Spec: "MQTT-3.3.2-8", Msg: "Topic Alias is zero", Check: CheckTopic}
	errResponseTopic = &Error{Code: TopicNameInvalid, Spec: "MQTT-3.3.2-14", Msg: "Response Topic is no Topic Name", Check: CheckTopic}
	errAuthData      = soft(protocolError(CheckProperties, "section 3.1.2.11.10", "Authentication Data without an Authentication Method"))
)

// checkProperties validates a property section: known, allowed on this
// carrier, once unless it may repeat, well-formed, in range.
func (p *Packet) checkProperties(ps Properties, on carrier) error {
	var seen uint64
	for b := body(ps); len(b) > 0; {
		id := PropertyID(b[0])
		b = b[1:]
		v, err := b.value(id)
		if err != nil {
			return err
		}
		row := &properties[id]
		if row.on&on == 0 {
			if err := p.tolerate(misplaced(id, on)); err != nil {
				return err
			}
		}
		if seen&(1<<id) != 0 && row.many&on == 0 {
			return errPropertyTwice
		}
		seen |= 1 << id
		if err := p.tolerate(checkValue(row.kind, v)); err != nil {
			return err
		}
		if row.nonZero && allZero(v) {
			if id == TopicAlias {
				return errAliasZero
			}
			if err := p.tolerate(errPropertyRange); err != nil {
				return err
			}
		}
	}
	if seen&(1<<AuthenticationData) != 0 && seen&(1<<AuthenticationMethod) == 0 {
		return p.tolerate(errAuthData)
	}
	return nil
}

// misplaced names the rule that keeps property id from this carrier.
func misplaced(id PropertyID, on carrier) error {
	switch {
	case id == SubscriptionIdentifier && on == onClientPublish:
		return errClientSubID
	case id == SessionExpiryInterval && on == onServerDisconnect:
		return errServerExpiry
	default:
		return errPropertyPlace
	}
}

func checkValue(kind propertyKind, v []byte) error {
	switch kind {
	case kindFlag:
		if v[0] > 1 {
			return errPropertyRange
		}
	case kindString:
		return checkUTF8(v)
	case kindTopic:
		if err := checkUTF8(v); err != nil {
			return err
		}
		if !topics.ValidName(v) {
			return errResponseTopic
		}
	case kindPair:
		b := body(v)
		for range 2 {
			if _, err := b.string(); err != nil {
				return err
			}
		}
	default:
	}
	return nil
}

func allZero(v []byte) bool {
	for _, c := range v {
		if c != 0 {
			return false
		}
	}
	return true
}
