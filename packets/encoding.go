package packets

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

var (
	errUTF8     = tolerable(malformed(CheckUTF8, "MQTT-1.5.4-1", "ill-formed UTF-8"))
	errNUL      = tolerable(malformed(CheckUTF8, "MQTT-1.5.4-2", "string holds U+0000"))
	errVarint   = malformed(CheckLength, "MQTT-1.5.5-1", "length is encoded in more than four bytes")
	errOverlong = tolerable(malformed(CheckLength, "MQTT-1.5.5-1", "length is not encoded in the fewest bytes"))
)

// checkUTF8 accepts what MQTT 5.0 section 1.5.4 allows: well-formed UTF-8
// without surrogates and without U+0000. U+FEFF stays [MQTT-1.5.4-3].
func checkUTF8(s []byte) error {
	if !utf8.Valid(s) {
		return errUTF8
	}
	if bytes.IndexByte(s, 0) >= 0 {
		return errNUL
	}
	return nil
}

// consumeVarint decodes the Variable Byte Integer at the start of b and
// returns it with its size in bytes. Encodings that are longer than needed
// [MQTT-1.5.5-1] are errOverlong, since another parser may read them otherwise.
func consumeVarint(b []byte) (v, n int, err error) {
	for i := range 4 {
		if i >= len(b) {
			return 0, 0, ErrShort
		}
		c := b[i]
		v |= int(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return v, i + 1, errOverlong
			}
			return v, i + 1, nil
		}
	}
	return 0, 0, errVarint
}

// varintSize returns how many bytes AppendVarint adds for v.
func varintSize(v int) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<21:
		return 3
	}
	return 4
}

// AppendVarint appends v, 0 to 268,435,455, as a Variable Byte Integer.
func AppendVarint(dst []byte, v int) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v&0x7f)|0x80)
		v >>= 7
	}
	return append(dst, byte(v&0x7f))
}

func appendUint16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

// appendBinary appends Binary Data or a UTF-8 Encoded String: at most 65,535
// bytes.
func appendBinary(dst, v []byte) []byte {
	return append(appendUint16(dst, uint16(len(v))), v...) //nolint:gosec // G115: callers pass views of such fields
}
