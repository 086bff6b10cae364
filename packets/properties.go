package packets

import (
	"encoding/binary"
	"iter"
	"slices"
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

// With returns ps with a property behind the others whose value is a string or
// binary data of up to 65,535 bytes. It may use the room behind ps.
func (ps Properties) With(id PropertyID, v []byte) Properties {
	return appendBinary(append(ps, byte(id)), v)
}

// WithUser returns ps with a User Property behind the others. It may use the room
// behind ps.
func (ps Properties) WithUser(name, value string) Properties {
	return appendBinary(ps.With(UserProperty, []byte(name)), []byte(value))
}

// Without returns ps without the properties of these ids, ps itself if it has
// none of them.
func (ps Properties) Without(ids ...PropertyID) Properties {
	var rest Properties
	found := false
	for b := body(ps); len(b) > 0; {
		whole, id := b, PropertyID(b[0])
		b = b[1:]
		if _, err := b.value(id); err != nil {
			break // not validated; what is left is left out
		}
		if slices.Contains(ids, id) {
			found = true
			continue
		}
		rest = append(rest, whole[:len(whole)-len(b)]...)
	}
	if !found {
		return ps
	}
	return rest
}

// Map appends ps to dst. Of the string property id it appends the values that change
// returns, which have up to 65,535 bytes; false leaves one out.
func (ps Properties) Map(dst Properties, id PropertyID, change func(v []byte) ([]byte, bool)) Properties {
	for b := body(ps); len(b) > 0; {
		whole, have := b, PropertyID(b[0])
		b = b[1:]
		v, err := b.value(have)
		if err != nil {
			break // not validated; what is left is left out
		}
		if have != id {
			dst = append(dst, whole[:len(whole)-len(b)]...)
		} else if v, ok := change(v); ok {
			dst = dst.With(id, v)
		}
	}
	return dst
}

// Uint32 returns the value of the Four Byte Integer property id.
func (ps Properties) Uint32(id PropertyID) (uint32, bool) {
	v, ok := ps.Lookup(id)
	if !ok || len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// Uint16 returns the value of the Two Byte Integer property id.
func (ps Properties) Uint16(id PropertyID) (uint16, bool) {
	v, ok := ps.Lookup(id)
	if !ok || len(v) != 2 {
		return 0, false
	}
	return uint16(v[0])<<8 | uint16(v[1]), true
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
		if err != nil {
			return nil, inProperties(err)
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
	if err != nil {
		return nil, inProperties(err)
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

// inProperties translates an error of consumeVarint: the bytes do not come
// later, and the length is not that of the packet.
func inProperties(err error) error {
	if err == ErrShort { //nolint:errorlint // consumeVarint returns the bare value
		return errTruncated
	}
	return errPropertyVarint
}
