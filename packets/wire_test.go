package packets

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// wire builds the bytes of a packet from a notation that shows its fields:
//
//	30 00ff     bytes in hexadecimal
//	"abc"       a UTF-8 Encoded String or Binary Data: two bytes of length, then abc
//	'abc'       abc alone
//	{ ... }     a property section: its length, then what is in the braces
//	*           the Remaining Length, of all that follows
//
// Between quotes \xff is the byte 255.
func wire(s string) []byte {
	b, rest := wireUntil(s, "")
	if rest != "" {
		panic("wire: what is " + rest)
	}
	return b
}

func wireUntil(s, end string) (b []byte, rest string) {
	for {
		s = strings.TrimLeft(s, " \n\t")
		if s == "" || strings.HasPrefix(s, end) && end != "" {
			return b, strings.TrimPrefix(s, end)
		}
		var inner []byte
		switch s[0] {
		case '*':
			inner, s = wireUntil(s[1:], end)
			return append(AppendVarint(b, len(inner)), inner...), s
		case '{':
			inner, s = wireUntil(s[1:], "}")
			b = append(AppendVarint(b, len(inner)), inner...)
		case '"':
			inner, s = quoted(s)
			b = appendBinary(b, inner)
		case '\'':
			inner, s = quoted(s)
			b = append(b, inner...)
		default:
			word := s[:strings.IndexAny(s+" ", " \n\t{}\"'*")]
			inner, err := hex.DecodeString(word)
			if err != nil || word == "" {
				panic("wire: " + s)
			}
			b, s = append(b, inner...), s[len(word):]
		}
	}
}

// quoted takes a quoted string off s.
func quoted(s string) (b []byte, rest string) {
	n := strings.IndexByte(s[1:], s[0]) + 1
	for i := 1; i < n; i++ {
		if strings.HasPrefix(s[i:], `\x`) {
			c, err := hex.DecodeString(s[i+2 : i+4])
			if err != nil {
				panic(err)
			}
			b, i = append(b, c...), i+3
			continue
		}
		b = append(b, s[i])
	}
	return b, s[n+1:]
}

func TestWire(t *testing.T) {
	got := wire(`10 * "MQ" 05 {21 0014 {}} 'a\xff' "" 00`)
	want := []byte{0x10, 15, 0, 2, 'M', 'Q', 5, 4, 0x21, 0, 20, 0, 'a', 0xff, 0, 0, 0}
	if !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

var (
	ends = []Role{Client, Server}
	all  = []Version{V31, V311, V5}
	v3   = []Version{V31, V311}
	v5   = []Version{V5}
)

// connection is what a Reader has to know to read a packet.
type connection struct {
	v    Version // zero: the packet is the first, a CONNECT
	from Role
}

func (c connection) String() string {
	return fmt.Sprintf("%v from %s", c.v, [...]string{"client", "server"}[c.from])
}

// parse is Parse of a private copy of b, so that Packets may be kept.
func (c connection) parse(b []byte) (*Packet, error) { return Parse(bytes.Clone(b), c.v, c.from) }

// show prints all that a caller sees of p, to be compared and read.
func show(p *Packet) string {
	if p == nil {
		return "no packet"
	}
	return fmt.Sprintf("%v %v flags %x id %d topic %q props %x reason %x payload %x present %v size %d broken %x",
		p.Version, p.Type, p.Flags, p.ID, p.Topic, p.Props, byte(p.Reason), p.Payload, p.SessionPresent, p.Size(), uint32(p.Broken))
}

// broken asserts that err is an *Error with want's code and statement.
func broken(t *testing.T, err error, want *Error) {
	t.Helper()
	var got *Error
	switch {
	case !errors.As(err, &got):
		t.Errorf("error %v, want %v", err, want)
	case got.Code != want.Code || got.Spec != want.Spec:
		t.Errorf("error %v (%v), want %v [%s]", got, got.Code, want.Code, want.Spec)
	case got.Msg == "":
		t.Error("error without a message")
	}
}
