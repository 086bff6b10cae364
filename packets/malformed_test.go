package packets

import (
	"fmt"
	"strings"
	"testing"
)

// wrong is bytes with one thing wrong, and the code and statement that the
// error has to name.
type wrong struct {
	name     string
	versions []Version
	from     []Role
	wire     string
	code     ReasonCode
	spec     string
}

var (
	client = []Role{Client}
	server = []Role{Server}
	later  = []Version{V311, V5} // than 3.1
)

var badHeaders = []wrong{
	{"reserved type", all, ends, `00 00`, MalformedPacket, "section 2.1.2"},
	{"AUTH before 5.0", v3, ends, `f0 00`, MalformedPacket, "section 2.1.2"},
	{"second CONNECT", all, client, `10 * "MQTT" 04 02 003c "id"`, ProtocolError, "MQTT-3.1.0-2"},
	{"CONNECT", all, server, `10 * "MQTT" 04 02 003c "id"`, ProtocolError, "section 2.1.2"},
	{"CONNACK", all, client, `20 02 0000`, ProtocolError, "section 2.1.2"},
	{"SUBSCRIBE", all, server, `82 * 0001 "a" 00`, ProtocolError, "section 2.1.2"},
	{"SUBACK", all, client, `90 03 0001 00`, ProtocolError, "section 2.1.2"},
	{"UNSUBSCRIBE", all, server, `a2 * 0001 "a"`, ProtocolError, "section 2.1.2"},
	{"UNSUBACK", all, client, `b0 02 0001`, ProtocolError, "section 2.1.2"},
	{"PINGREQ", all, server, `c0 00`, ProtocolError, "section 2.1.2"},
	{"PINGRESP", all, client, `d0 00`, ProtocolError, "section 2.1.2"},
	{"DISCONNECT before 5.0", v3, server, `e0 00`, ProtocolError, "section 2.1.2"},
	{"PUBACK with flags", all, ends, `41 02 0001`, MalformedPacket, "MQTT-2.1.3-1"},
	{"PUBREC with flags", all, ends, `52 02 0001`, MalformedPacket, "MQTT-2.1.3-1"},
	{"PUBREL without flags", all, ends, `60 02 0001`, MalformedPacket, "MQTT-2.1.3-1"},
	{"PUBREL with DUP", later, ends, `6a 02 0001`, MalformedPacket, "MQTT-2.1.3-1"},
	{"PUBREL with RETAIN", all, ends, `63 02 0001`, MalformedPacket, "MQTT-2.1.3-1"},
	{"PUBCOMP with flags", all, ends, `72 02 0001`, MalformedPacket, "MQTT-2.1.3-1"},
	{"SUBSCRIBE without flags", all, client, `80 * 0001 "a" 00`, MalformedPacket, "MQTT-2.1.3-1"},
	{"SUBSCRIBE with DUP", later, client, `8a * 0001 "a" 00`, MalformedPacket, "MQTT-2.1.3-1"},
	{"UNSUBSCRIBE without flags", all, client, `a0 * 0001 "a"`, MalformedPacket, "MQTT-2.1.3-1"},
	{"PINGREQ with flags", all, client, `c8 00`, MalformedPacket, "MQTT-2.1.3-1"},
	{"DISCONNECT with flags", all, client, `e1 00`, MalformedPacket, "MQTT-2.1.3-1"},
	{"CONNACK with flags", all, server, `29 02 0001`, MalformedPacket, "MQTT-2.1.3-1"},
	{"AUTH with flags", v5, ends, `f1 00`, MalformedPacket, "MQTT-2.1.3-1"},
	{"length of two bytes for 0", all, client, `c0 8000`, MalformedPacket, "MQTT-1.5.5-1"},
	{"length of four bytes for 127", all, ends, `30 ff808000`, MalformedPacket, "MQTT-1.5.5-1"},
	{"length of five bytes", all, ends, `30 ffffffff 01`, MalformedPacket, "MQTT-1.5.5-1"},
	{"an acknowledgement of 256 MiB", all, ends, `40 ffffff7f`, PacketTooLarge, "MQTT-3.2.2-15"},
	{"PUBLISH with QoS 3", all, ends, `36 * "a" 0001 {}`, MalformedPacket, "MQTT-3.3.1-4"},
	{"PUBLISH with DUP and QoS 0", all, ends, `38 * "a" {}`, MalformedPacket, "MQTT-3.3.1-2"},
}

var badBodies = []wrong{
	{"PUBLISH without topic", all, ends, `30 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"topic past the end", all, ends, `30 03 0002 61`, MalformedPacket, "MQTT-4.13.1-1"},
	{"empty topic", v3, ends, `30 * "" 'x'`, ProtocolError, "MQTT-4.7.3-1"},
	{"empty topic and no alias", v5, ends, `30 * "" {01 01} 'x'`, ProtocolError, "MQTT-4.7.3-1"},
	{"topic with +", all, ends, `30 * "a/+/b" {}`, TopicNameInvalid, "MQTT-3.3.2-2"},
	{"topic with #", all, ends, `30 * "a#" {}`, TopicNameInvalid, "MQTT-3.3.2-2"},
	{"topic with NUL", all, ends, `30 * "a\x00b" {}`, MalformedPacket, "MQTT-1.5.4-2"},
	{"topic with a lone byte", all, ends, `30 * "a\xffb" {}`, MalformedPacket, "MQTT-1.5.4-1"},
	{"topic with an overlong NUL", all, ends, `30 * "a\xc0\x80b" {}`, MalformedPacket, "MQTT-1.5.4-1"},
	{"topic with a surrogate", all, ends, `30 * "a\xed\xa0\x80b" {}`, MalformedPacket, "MQTT-1.5.4-1"},
	{"topic beyond U+10FFFF", all, ends, `30 * "a\xf4\x90\x80\x80b" {}`, MalformedPacket, "MQTT-1.5.4-1"},
	{"topic that ends in a character", all, ends, `30 * "a\xc3" {}`, MalformedPacket, "MQTT-1.5.4-1"},
	{"PUBLISH without identifier", all, ends, `32 04 0001 61 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"PUBLISH with identifier 0", all, ends, `34 * "a" 0000 {}`, ProtocolError, "MQTT-2.2.1-3"},
	{"PUBLISH without property length", v5, ends, `30 * "a"`, MalformedPacket, "MQTT-4.13.1-1"},
	{"PUBLISH with properties past the end", v5, ends, `30 * "a" 03 01 01`, MalformedPacket, "MQTT-4.13.1-1"},
	{"acknowledgement without identifier", all, ends, `40 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"half an identifier", all, ends, `50 01 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"identifier 0", all, ends, `62 02 0000`, ProtocolError, "MQTT-2.2.1-3"},
	{"PUBACK with a reason before 5.0", v3, ends, `40 03 0001 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"PUBACK with bytes behind", v5, ends, `40 * 0001 00 {} 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"SUBSCRIBE without filter", v3, client, `82 02 0001`, ProtocolError, "MQTT-3.8.3-2"},
	{"SUBSCRIBE of 5.0 without filter", v5, client, `82 * 0001 {}`, ProtocolError, "MQTT-3.8.3-2"},
	{"SUBSCRIBE of 5.0 with the identifier alone", v5, client, `82 02 0001`, MalformedPacket, "MQTT-4.13.1-1"},
	{"SUBSCRIBE without options", v3, client, `82 * 0001 "a"`, MalformedPacket, "MQTT-4.13.1-1"},
	{"SUBSCRIBE with identifier 0", v3, client, `82 * 0000 "a" 00`, ProtocolError, "MQTT-2.2.1-3"},
	{"second filter cut short", v3, client, `82 * 0001 "a" 00 0005 'b'`, MalformedPacket, "MQTT-4.13.1-1"},
	{"empty filter", v3, client, `82 * 0001 "" 00`, TopicFilterInvalid, "MQTT-4.7.1-1"},
	{"second filter is no filter", v3, client, `82 * 0001 "a" 00 "b/#/c" 00`, TopicFilterInvalid, "MQTT-4.7.1-1"},
	{"filter with + inside a level", v5, client, `82 * 0001 {} "b+" 00`, TopicFilterInvalid, "MQTT-4.7.1-1"},
	{"share without group", v5, client, `82 * 0001 {} "$share//b" 00`, TopicFilterInvalid, "MQTT-4.7.1-1"},
	{"filter that is not UTF-8", v3, client, `82 * 0001 "a\xff" 00`, MalformedPacket, "MQTT-1.5.4-1"},
	{"filter with NUL", v5, client, `82 * 0001 {} "a\x00" 00`, MalformedPacket, "MQTT-1.5.4-2"},
	{"SUBSCRIBE with QoS 3", v3, client, `82 * 0001 "a" 03`, ProtocolError, "section 3.8.3.1"},
	{"SUBSCRIBE of 5.0 with QoS 3", v5, client, `82 * 0001 {} "a" 03`, ProtocolError, "section 3.8.3.1"},
	{"options before 5.0", v3, client, `82 * 0001 "a" 04`, MalformedPacket, "MQTT-3.8.3-5"},
	{"reserved options", v5, client, `82 * 0001 {} "a" 40`, MalformedPacket, "MQTT-3.8.3-5"},
	{"Retain Handling 3", v5, client, `82 * 0001 {} "a" 30`, ProtocolError, "section 3.8.3.1"},
	{"No Local on a share", v5, client, `82 * 0001 {} "$share/g/a" 04`, ProtocolError, "MQTT-3.8.3-4"},
	{"UNSUBSCRIBE without filter", v3, client, `a2 02 0001`, ProtocolError, "MQTT-3.8.3-2"},
	{"UNSUBSCRIBE with identifier 0", v3, client, `a2 * 0000 "a"`, ProtocolError, "MQTT-2.2.1-3"},
	{"UNSUBSCRIBE from no filter", v3, client, `a2 * 0001 "a#"`, TopicFilterInvalid, "MQTT-4.7.1-1"},
	{"UNSUBSCRIBE that is not UTF-8", v5, client, `a2 * 0001 {} "\xc0"`, MalformedPacket, "MQTT-1.5.4-1"},
	{"SUBACK without codes", v3, server, `90 02 0001`, ProtocolError, "section 3.9.3"},
	{"SUBACK of 5.0 without codes", v5, server, `90 * 0001 {}`, ProtocolError, "section 3.9.3"},
	{"SUBACK with identifier 0", v3, server, `90 03 0000 00`, ProtocolError, "MQTT-2.2.1-3"},
	{"UNSUBACK with codes before 5.0", v3, server, `b0 03 0001 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"UNSUBACK without codes", v5, server, `b0 * 0001 {}`, ProtocolError, "section 3.9.3"},
	{"PINGREQ with a body", all, client, `c0 01 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"PINGRESP with a body", all, server, `d0 01 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"DISCONNECT with a body before 5.0", v3, client, `e0 01 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"DISCONNECT with bytes behind", v5, ends, `e0 * 00 {} 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"CONNACK cut short", all, server, `20 01 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"CONNACK without property length", v5, server, `20 02 0000`, MalformedPacket, "MQTT-4.13.1-1"},
	{"CONNACK with bytes behind", v3, server, `20 03 0000 00`, MalformedPacket, "MQTT-4.13.1-1"},
	{"CONNACK with reserved flags", all, server, `20 * 0200 {}`, MalformedPacket, "MQTT-3.2.2-1"},
	{"refusal with a session", all, server, `20 * 0101 {}`, ProtocolError, "MQTT-3.2.2-6"},
	{"AUTH from a client with nothing", v5, client, `f0 00`, ProtocolError, "MQTT-3.15.2-1"},
	{"AUTH without properties", v5, ends, `f0 01 18`, ProtocolError, "section 3.15.2.2.2"},
	{"AUTH without method", v5, ends, `f0 * 18 {1f "why"}`, ProtocolError, "section 3.15.2.2.2"},
}

// badValues has one of each kind; TestReasonCodes and the tests of properties
// try them all.
var badValues = []wrong{
	{"reason of CONNACK", v5, server, `20 03 00 01 00`, ProtocolError, "MQTT-3.2.2-8"},
	{"return code of CONNACK", v3, server, `20 02 00 06`, ProtocolError, "MQTT-3.2.2-8"},
	{"reason of PUBACK", v5, ends, `40 03 0001 01`, ProtocolError, "MQTT-3.4.2-1"},
	{"reason of PUBREC", v5, ends, `50 03 0001 92`, ProtocolError, "MQTT-3.5.2-1"},
	{"reason of PUBREL", v5, ends, `62 03 0001 10`, ProtocolError, "MQTT-3.6.2-1"},
	{"reason of PUBCOMP", v5, ends, `70 03 0001 80`, ProtocolError, "MQTT-3.7.2-1"},
	{"reason of SUBACK", v5, server, `90 * 0001 {} 00 03`, ProtocolError, "MQTT-3.9.3-2"},
	{"reason of SUBACK before 5.0", v3, server, `90 04 0001 00 03`, ProtocolError, "MQTT-3.9.3-2"},
	{"reason of UNSUBACK", v5, server, `b0 * 0001 {} 01`, ProtocolError, "MQTT-3.11.3-2"},
	{"reason of DISCONNECT", v5, ends, `e0 01 01`, ProtocolError, "MQTT-3.14.2-1"},
	{"a server's reason", v5, client, `40 03 0001 10`, ProtocolError, "MQTT-3.4.2-1"},
	{"unknown property", v5, ends, `30 * "a" {04 00}`, MalformedPacket, "section 2.2.2.2"},
	{"property of another packet", v5, ends, `30 * "a" {21 0001}`, MalformedPacket, "section 2.2.2.2"},
	{"property of the other end", v5, server, `e0 * 00 {11 00000001}`, ProtocolError, "MQTT-3.14.2-2"},
	{"Subscription Identifier from a client", v5, client, `30 * "a" {0b 01}`, ProtocolError, "MQTT-3.3.4-6"},
	{"property twice", v5, ends, `30 * "a" {01 01 01 01}`, ProtocolError, "section 2.2.2.2"},
	{"alias twice", v5, ends, `30 * "a" {23 0001 23 0001}`, ProtocolError, "section 2.2.2.2"},
	{"property out of range", v5, ends, `30 * "a" {01 02}`, ProtocolError, "section 2.2.2.2"},
	{"overlong property", v5, client, `82 * 0001 {0b 8100} "a" 00`, MalformedPacket, "MQTT-1.5.5-1"},
	{"alias 0", v5, ends, `30 * "a" {23 0000}`, TopicAliasInvalid, "MQTT-3.3.2-8"},
	{"Response Topic with a wildcard", v5, ends, `30 * "a" {08 "#"}`, TopicNameInvalid, "MQTT-3.3.2-14"},
	{"user property that is not UTF-8", v5, ends, `30 * "a" {26 "k" "\xff"}`, MalformedPacket, "MQTT-1.5.4-1"},
}

func eachWrong(f func(name string, c connection, b []byte, want *Error)) {
	for _, list := range [][]wrong{badHeaders, badBodies, badValues} {
		for _, w := range list {
			for _, v := range w.versions {
				for _, from := range w.from {
					c := connection{v, from}
					f(fmt.Sprintf("%s, %v", w.name, c), c, wire(w.wire), &Error{Code: w.code, Spec: w.spec})
				}
			}
		}
	}
	for _, w := range badConnects {
		f(w.name, connection{}, wire(w.wire), &w.err)
	}
}

func TestMalformed(t *testing.T) {
	eachWrong(func(name string, c connection, b []byte, want *Error) {
		t.Run(name, func(t *testing.T) {
			p, err := c.parse(b)
			broken(t, err, want)
			if p != nil {
				t.Errorf("and a packet: %s", show(p))
			}
		})
	})
}

// TestFirstByte shows that a client's first byte alone tells that it does not
// speak MQTT.
func TestFirstByte(t *testing.T) {
	for c := range 256 {
		b := []byte{byte(c)}
		r := NewReader(Client)
		r.Compact()
		if err := r.Fill(strings.NewReader(string(b))); err != nil {
			t.Fatal(err)
		}
		want := ErrNotConnect
		if c == 0x10 {
			want = ErrShort
		}
		if _, err := r.Next(); err != want {
			t.Errorf("%x: %v, want %v", b, err, want)
		}
	}
}

// TestReasonCodes tries all 256 codes on every packet that has one, against
// the tables of the specification written out once more.
func TestReasonCodes(t *testing.T) {
	const received = "00 80 83 87 90 91 97 99"
	tests := []struct {
		name  string
		c     connection
		wire  string // the code stands at the X
		legal string
		spec  string
	}{
		{"CONNACK", connection{V5, Server}, `20 03 00 X 00`, "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f", "MQTT-3.2.2-8"},
		{"CONNACK", connection{V31, Server}, `20 02 00 X`, "00 01 02 03 04 05", "MQTT-3.2.2-8"},
		{"CONNACK", connection{V311, Server}, `20 02 00 X`, "00 01 02 03 04 05", "MQTT-3.2.2-8"},
		{"PUBACK", connection{V5, Client}, `40 03 0001 X`, received, "MQTT-3.4.2-1"},
		{"PUBACK", connection{V5, Server}, `40 03 0001 X`, received + " 10", "MQTT-3.4.2-1"},
		{"PUBREC", connection{V5, Client}, `50 03 0001 X`, received, "MQTT-3.5.2-1"},
		{"PUBREC", connection{V5, Server}, `50 03 0001 X`, received + " 10", "MQTT-3.5.2-1"},
		{"PUBREL", connection{V5, Client}, `62 03 0001 X`, "00 92", "MQTT-3.6.2-1"},
		{"PUBREL", connection{V5, Server}, `62 03 0001 X`, "00 92", "MQTT-3.6.2-1"},
		{"PUBCOMP", connection{V5, Client}, `70 03 0001 X`, "00 92", "MQTT-3.7.2-1"},
		{"PUBCOMP", connection{V5, Server}, `70 03 0001 X`, "00 92", "MQTT-3.7.2-1"},
		{"SUBACK", connection{V31, Server}, `90 04 0001 00 X`, "00 01 02 80", "MQTT-3.9.3-2"},
		{"SUBACK", connection{V311, Server}, `90 04 0001 00 X`, "00 01 02 80", "MQTT-3.9.3-2"},
		{"SUBACK", connection{V5, Server}, `90 05 0001 00 00 X`, "00 01 02 80 83 87 8f 91 97 9e a1 a2", "MQTT-3.9.3-2"},
		{"UNSUBACK", connection{V5, Server}, `b0 05 0001 00 00 X`, "00 11 80 83 87 8f 91", "MQTT-3.11.3-2"},
		{"DISCONNECT", connection{V5, Client}, `e0 01 X`, "00 04 80 81 82 83 90 93 94 95 96 97 98 99", "MQTT-3.14.2-1"},
		{
			"DISCONNECT",
			connection{V5, Server},
			`e0 01 X`,
			"00 80 81 82 83 87 89 8b 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2", "MQTT-3.14.2-1",
		},
		{"AUTH", connection{V5, Client}, `f0 * X {15 "m"}`, "18 19", "MQTT-3.15.2-1"},
		{"AUTH", connection{V5, Server}, `f0 * X {15 "m"}`, "00 18", "MQTT-3.15.2-1"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s, %v", test.name, test.c), func(t *testing.T) {
			for code := range 256 {
				x := fmt.Sprintf("%02x", code)
				_, err := test.c.parse(wire(strings.Replace(test.wire, "X", x, 1)))
				if !strings.Contains(test.legal, x) {
					broken(t, err, &Error{Code: ProtocolError, Spec: test.spec})
				} else if err != nil {
					t.Errorf("%s: %v", x, err)
				}
			}
		})
	}
}
