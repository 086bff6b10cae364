package packets

import (
	"bytes"
	"fmt"
	"testing"
)

// vector is a packet that is right in some versions and from some ends, with
// what a caller is to see of it. Type, Version and Raw are filled in.
type vector struct {
	name     string
	versions []Version
	from     []Role
	wire     string
	want     Packet
}

var vectors = []vector{
	{
		"PUBLISH QoS 0", v3, ends, `30 * "a/b" 'hello'`,
		Packet{Topic: []byte("a/b"), Payload: []byte("hello")},
	},
	{
		"PUBLISH QoS 1, retained", v3, ends, `33 * "a/b" 1234 'hello'`,
		Packet{Flags: 3, ID: 0x1234, Topic: []byte("a/b"), Payload: []byte("hello")},
	},
	{
		"PUBLISH QoS 2 again", v3, ends, `3c * "a/b" ffff 'hello'`,
		Packet{Flags: 12, ID: 0xffff, Topic: []byte("a/b"), Payload: []byte("hello")},
	},
	{
		"PUBLISH without payload", v3, ends, `30 * "$x/é\xef\xbb\xbf"`,
		Packet{Topic: []byte("$x/é\ufeff")}, // U+FEFF stays [MQTT-1.5.4-3]
	},
	{
		"PUBLISH of 5.0", v5, ends, `30 * "a/b" {} 'hello'`,
		Packet{Topic: []byte("a/b"), Payload: []byte("hello")},
	},
	{
		"PUBLISH with properties", v5, ends, `35 * "a/b" 0001 {01 01 08 "re" 26 "k" "v"} 'hello'`,
		Packet{Flags: 5, ID: 1, Topic: []byte("a/b"), Props: wire(`01 01 08 "re" 26 "k" "v"`), Payload: []byte("hello")},
	},
	{
		"PUBLISH with an alias alone", v5, ends, `32 * "" 0001 {23 0005} 'hello'`,
		Packet{Flags: 2, ID: 1, Props: wire(`23 0005`), Payload: []byte("hello")},
	},
	{"PUBACK", all, ends, `40 02 0001`, Packet{ID: 1}},
	{"PUBREC", all, ends, `50 02 0001`, Packet{ID: 1}},
	{"PUBREL", all, ends, `62 02 0001`, Packet{Flags: 2, ID: 1}},
	{"PUBREL again", []Version{V31}, ends, `6a 02 0001`, Packet{Flags: 10, ID: 1}},
	{"PUBCOMP", all, ends, `70 02 0001`, Packet{ID: 1}},
	{"PUBACK with a reason", v5, ends, `40 03 0001 87`, Packet{ID: 1, Reason: NotAuthorized}},
	{"PUBACK with no properties", v5, ends, `40 04 0001 87 00`, Packet{ID: 1, Reason: NotAuthorized}},
	{
		"PUBACK with properties", v5,
		[]Role{Server},
		`40 * 0001 10 {1f "none"}`,
		Packet{ID: 1, Reason: NoMatchingSubscribers, Props: wire(`1f "none"`)},
	},
	{"PUBREC with a reason", v5, ends, `50 03 0001 97`, Packet{ID: 1, Reason: QuotaExceeded}},
	{"PUBREL with a reason", v5, ends, `62 03 0001 92`, Packet{Flags: 2, ID: 1, Reason: PacketIdentifierNotFound}},
	{"PUBCOMP with a reason", v5, ends, `70 03 0001 92`, Packet{ID: 1, Reason: PacketIdentifierNotFound}},
	{
		"SUBSCRIBE", v3,
		[]Role{Client},
		`82 * 0001 "a/+" 01 "$share/g/b/#" 02`,
		Packet{Flags: 2, ID: 1, Payload: wire(`"a/+" 01 "$share/g/b/#" 02`)},
	},
	{
		"SUBSCRIBE again",
		[]Version{V31},
		[]Role{Client},
		`8a * 0001 "#" 00`,
		Packet{Flags: 10, ID: 1, Payload: wire(`"#" 00`)},
	},
	{
		"SUBSCRIBE of 5.0", v5,
		[]Role{Client},
		`82 * 0001 {0b ffffff7f} "a" 2e "$share/g/b" 1a`,
		Packet{Flags: 2, ID: 1, Props: wire(`0b ffffff7f`), Payload: wire(`"a" 2e "$share/g/b" 1a`)},
	},
	{"SUBACK", v3, []Role{Server}, `90 06 0001 00010280`, Packet{ID: 1, Payload: wire(`00010280`)}},
	{
		"SUBACK of 5.0", v5,
		[]Role{Server},
		`90 * 0001 {26 "k" "v"} 000102879ea2`,
		Packet{ID: 1, Props: wire(`26 "k" "v"`), Payload: wire(`000102879ea2`)},
	},
	{
		"UNSUBSCRIBE", v3,
		[]Role{Client},
		`a2 * 0001 "a/+" "b/#"`,
		Packet{Flags: 2, ID: 1, Payload: wire(`"a/+" "b/#"`)},
	},
	{
		"UNSUBSCRIBE again",
		[]Version{V31},
		[]Role{Client},
		`aa * 0001 "#"`,
		Packet{Flags: 10, ID: 1, Payload: wire(`"#"`)},
	},
	{
		"UNSUBSCRIBE of 5.0", v5,
		[]Role{Client},
		`a2 * 0001 {26 "k" "v"} "$share/g/b"`,
		Packet{Flags: 2, ID: 1, Props: wire(`26 "k" "v"`), Payload: wire(`"$share/g/b"`)},
	},
	{"UNSUBACK", v3, []Role{Server}, `b0 02 0001`, Packet{ID: 1}},
	{"UNSUBACK of 5.0", v5, []Role{Server}, `b0 * 0001 {} 001187`, Packet{ID: 1, Payload: wire(`001187`)}},
	{"PINGREQ", all, []Role{Client}, `c0 00`, Packet{}},
	{"PINGRESP", all, []Role{Server}, `d0 00`, Packet{}},
	{"DISCONNECT", all, []Role{Client}, `e0 00`, Packet{}},
	{"DISCONNECT of 5.0", v5, ends, `e0 00`, Packet{}},
	{"DISCONNECT with a Will", v5, []Role{Client}, `e0 01 04`, Packet{Reason: DisconnectWithWill}},
	{
		"DISCONNECT with an expiry", v5,
		[]Role{Client},
		`e0 * 00 {11 0000000a}`,
		Packet{Props: wire(`11 0000000a`)},
	},
	{
		"DISCONNECT with another server", v5,
		[]Role{Server},
		`e0 * 9c {1c "other:1883"}`,
		Packet{Reason: UseAnotherServer, Props: wire(`1c "other:1883"`)},
	},
	{"CONNACK", v3, []Role{Server}, `20 02 0000`, Packet{}},
	{"CONNACK with a session", v3, []Role{Server}, `20 02 0100`, Packet{SessionPresent: true}},
	{"CONNACK that refuses", v3, []Role{Server}, `20 02 0005`, Packet{Reason: 5}},
	{
		"CONNACK of 5.0", v5,
		[]Role{Server},
		`20 * 01 00 {21 000a 24 01 12 "you"}`,
		Packet{SessionPresent: true, Props: wire(`21 000a 24 01 12 "you"`)},
	},
	{"CONNACK of 5.0 that refuses", v5, []Role{Server}, `20 03 00 87 00`, Packet{Reason: NotAuthorized}},
	{
		"AUTH", v5, ends, `f0 * 18 {15 "SCRAM" 16 "data"}`,
		Packet{Reason: ContinueAuthentication, Props: wire(`15 "SCRAM" 16 "data"`)},
	},
	{
		"AUTH anew", v5,
		[]Role{Client},
		`f0 * 19 {15 "SCRAM"}`,
		Packet{Reason: ReAuthenticate, Props: wire(`15 "SCRAM"`)},
	},
	{"AUTH without anything", v5, []Role{Server}, `f0 00`, Packet{}},
}

// eachVector calls f for every vector in every version and from every end that
// it is right in, the CONNECTs included.
func eachVector(f func(name string, c connection, b []byte, want *Packet)) {
	for _, v := range vectors {
		for _, version := range v.versions {
			for _, from := range v.from {
				b, want := wire(v.wire), v.want
				want.Type, want.Version, want.Raw = Type(b[0]>>4), version, b
				c := connection{version, from}
				f(fmt.Sprintf("%s, %v", v.name, c), c, b, &want)
			}
		}
	}
	for _, v := range connects {
		b := wire(v.wire)
		want := Packet{Type: CONNECT, Version: v.version, Raw: b, Payload: b[2:]}
		f(v.name, connection{}, b, &want)
	}
}

func TestVectors(t *testing.T) {
	seen := map[Type]bool{}
	eachVector(func(name string, c connection, b []byte, want *Packet) {
		seen[want.Type] = true
		p, err := c.parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if show(p) != show(want) {
			t.Errorf("%s:\n%s, want\n%s", name, show(p), show(want))
		}
		if !bytes.Equal(p.Raw, b) || p.Rest != 0 {
			t.Errorf("%s: Raw %x and %d bytes to come", name, p.Raw, p.Rest)
		}
	})
	if len(seen) != 15 {
		t.Errorf("%d types seen, not all 15", len(seen))
	}
}

func TestFlags(t *testing.T) {
	for flags := range byte(16) {
		p := Packet{Type: PUBLISH, Flags: flags}
		if p.QoS() != QoS(flags>>1&3) || p.Retain() != (flags&1 == 1) {
			t.Errorf("flags %x: QoS %d, retain %v", flags, p.QoS(), p.Retain())
		}
	}
}

func TestSubscriptions(t *testing.T) {
	p, err := connection{V5, Client}.parse(wire(`82 * 0001 {} "a/+" 01 "b" 2a`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for filter, o := range p.Subscriptions() {
		got = append(got, fmt.Sprintf("%s %x %d", filter, byte(o), o.QoS()))
	}
	if want := "[a/+ 1 1 b 2a 2]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	for filter := range p.Subscriptions() {
		if string(filter) != "a/+" {
			t.Errorf("first filter %q", filter)
		}
		break
	}
	p, err = connection{V311, Client}.parse(wire(`a2 * 0001 "a/+" "b"`))
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for filter, o := range p.Subscriptions() {
		got = append(got, fmt.Sprintf("%s %x", filter, byte(o)))
	}
	if want := "[a/+ 0 b 0]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
