package packets

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const everyCheck = ^Checks(0)

// lax is parse with a Reader that is lax.
func (c connection) lax(b []byte, lax Checks) (*Packet, error) {
	return parse(bytes.Clone(b), c.v, c.from, lax)
}

// offence is a packet that fails a check and, but for that, may be read.
type offence struct {
	name     string
	versions []Version // nil: a CONNECT
	from     []Role
	wire     string
	check    Check
}

var tolerated = []offence{
	{"length of two bytes for 0", all, client, `c0 8000`, CheckLength},
	{"length of four bytes for 0", all, client, `c0 80808000`, CheckLength},
	{"PUBLISH with a length of three bytes", v3, ends, `30 848000 "t" 'x'`, CheckLength},
	{"PUBLISH of 5.0 with a length of two bytes", v5, ends, `30 8500 "t" {} 'x'`, CheckLength},
	{"CONNECT with a length of two bytes", nil, client, `10 8e00 "MQTT" 04 02 003c "id"`, CheckLength},
	{"PUBACK with flags", all, ends, `41 02 0001`, CheckFlags},
	{"PUBREL without flags", all, ends, `60 02 0001`, CheckFlags},
	{"SUBSCRIBE without flags", v3, client, `80 * 0001 "a" 00`, CheckFlags},
	{"PINGREQ with flags", all, client, `cf 00`, CheckFlags},
	{"CONNACK with flags", v3, server, `22 02 0000`, CheckFlags},
	{"DUP with QoS 0", v3, ends, `38 * "t" 'x'`, CheckFlags},
	{"bytes behind CONNECT", nil, client, `10 * "MQTT" 04 02 003c "id" 00`, CheckBody},
	{"a user that is not announced", nil, client, `10 * "MQTT" 04 02 003c "id" "user"`, CheckBody},
	{"bytes behind CONNACK", v3, server, `20 03 0000 00`, CheckBody},
	{"bytes behind PUBACK", v3, ends, `40 04 0001 0000`, CheckBody},
	{"bytes behind the properties of PUBREC", v5, ends, `50 * 0001 00 {} 00`, CheckBody},
	{"codes in UNSUBACK", v3, server, `b0 03 0001 00`, CheckBody},
	{"PINGREQ with a body", all, client, `c0 01 00`, CheckBody},
	{"DISCONNECT with a body", v3, client, `e0 01 00`, CheckBody},
	{"DISCONNECT with bytes behind", v5, ends, `e0 * 00 {} 00`, CheckBody},
	{"reserved Connect Flag", nil, client, `10 * "MQTT" 04 03 003c "id"`, CheckConnect},
	{"Will QoS without a Will", nil, client, `10 * "MQTT" 04 0a 003c "id"`, CheckConnect},
	{"Will Retain without a Will", nil, client, `10 * "MQTT" 05 22 003c {} "id"`, CheckConnect},
	{"password without user name", nil, client, `10 * "MQTT" 04 42 003c "id" "pass"`, CheckConnect},
	{"all flags that have no use", nil, client, `10 * "MQTT" 04 73 003c "id" "pass"`, CheckConnect},
	{"an id that is not UTF-8", nil, client, `10 * "MQTT" 04 02 003c "a\xff"`, CheckUTF8},
	{"a user with NUL", nil, client, `10 * "MQTT" 04 82 003c "id" "a\x00"`, CheckUTF8},
	{"a Will Topic that is not UTF-8", nil, client, `10 * "MQTT" 04 06 003c "id" "\xc0\x80" "m"`, CheckUTF8},
	{"topic that is not UTF-8", v3, ends, `30 * "a\xed\xa0\x80" 'x'`, CheckUTF8},
	{"filter that is not UTF-8", v3, client, `82 * 0001 "a\xff/#" 00`, CheckUTF8},
	{"UNSUBSCRIBE that is not UTF-8", v5, client, `a2 * 0001 {} "\xc0"`, CheckUTF8},
	{"content type with NUL", v5, ends, `30 * "t" {03 "\x00"}`, CheckUTF8},
	{"user property that is not UTF-8", v5, ends, `30 * "t" {26 "\xff" "\xff"}`, CheckUTF8},
	{"Response Topic that is not UTF-8", v5, ends, `30 * "t" {08 "\xff"}`, CheckUTF8},
	{"options before 5.0", v3, client, `82 * 0001 "a" fe`, CheckFilter},
	{"reserved options", v5, client, `82 * 0001 {} "a" c1`, CheckFilter},
	{"No Local on a share", v5, client, `82 * 0001 {} "$share/g/a" 04`, CheckFilter},
	{"property twice", v5, ends, `30 * "t" {01 01 01 00}`, CheckProperties},
	{"property out of range", v5, ends, `30 * "t" {01 02}`, CheckProperties},
	{"Receive Maximum 0", nil, client, `10 * "MQTT" 05 02 003c {21 0000} "id"`, CheckProperties},
	{"Subscription Identifier 0", v5, client, `82 * 0001 {0b 00} "a" 00`, CheckProperties},
	{"property of another packet", v5, ends, `30 * "t" {21 0001}`, CheckProperties},
	{"property of the CONNECT in the Will", nil, client, `10 * "MQTT" 05 06 003c {} "id" {21 0001} "w" "m"`, CheckProperties},
	{"property of the other end", v5, server, `e0 * 00 {11 00000001}`, CheckProperties},
	{"Subscription Identifier from a client", v5, client, `30 * "t" {0b 01}`, CheckProperties},
	{"data without a method", nil, client, `10 * "MQTT" 05 02 003c {16 "d"} "id"`, CheckProperties},
	{"return code of CONNACK", v3, server, `20 02 00 06`, CheckProperties},
	{"reason of CONNACK", v5, server, `20 03 00 01 00`, CheckProperties},
	{"reason of PUBACK", v5, ends, `40 03 0001 01`, CheckProperties},
	{"reason of SUBACK", all, server, `90 * 0001 {} 03`, CheckProperties},
	{"reason of UNSUBACK", v5, server, `b0 * 0001 {} 01`, CheckProperties},
	{"reason of DISCONNECT", v5, ends, `e0 01 01`, CheckProperties},
	{"reason of AUTH", v5, ends, `f0 * 20 {15 "m"}`, CheckProperties},
}

// intolerable packets are refused by a Reader that is lax about everything.
var intolerable = []offence{
	{"another protocol", nil, client, `16 03 01`, CheckFirstPacket},
	{"CONNECT with flags", nil, client, `11 * "MQTT" 04 02 003c "id"`, CheckFirstPacket},
	{"length of five bytes", all, ends, `30 ffffffff 00`, CheckLength},
	{"an acknowledgement of 256 MiB", all, ends, `40 ffffff7f`, CheckLength},
	{"QoS 3", all, ends, `36 * "a" 0001 {}`, CheckFlags},
	{"topic past the end", all, ends, `30 03 0002 61`, CheckBody},
	{"half an identifier", all, ends, `50 01 00`, CheckBody},
	{"filter past the end", v3, client, `82 * 0001 "a" 00 0005 'b'`, CheckBody},
	{"properties past the end", v5, ends, `30 * "a" 03 01 01`, CheckBody},
	{"a user that is missing", nil, client, `10 * "MQTT" 04 82 003c "id"`, CheckBody},
	{"another name", nil, client, `10 * "MQTTX" 04 02 003c "id"`, CheckConnect},
	{"another level", nil, client, `10 * "MQTT" 06 02 003c "id"`, CheckConnect},
	{"Will QoS 3", nil, client, `10 * "MQTT" 04 1e 003c "id" "w" "m"`, CheckConnect},
	{"Will QoS 3 without a Will", nil, client, `10 * "MQTT" 04 1a 003c "id"`, CheckConnect},
	{"no client identifier", nil, client, `10 * "MQTT" 04 00 003c ""`, CheckConnect},
	{"second CONNECT", all, client, `10 * "MQTT" 04 02 003c "id"`, CheckConnect},
	{"reserved flags in CONNACK", all, server, `20 * 0200 {}`, CheckConnect},
	{"refusal with a session", all, server, `20 * 0101 {}`, CheckConnect},
	{"topic with a wildcard", all, ends, `30 * "a/+" {}`, CheckTopic},
	{"topic with a wildcard that is not UTF-8", all, ends, `30 * "\xff#" {}`, CheckTopic},
	{"topic with NUL", all, ends, `30 * "a\x00b" {}`, CheckTopic},
	{"no topic and no alias", all, ends, `30 * "" {}`, CheckTopic},
	{"Topic Alias 0", v5, ends, `30 * "a" {23 0000}`, CheckTopic},
	{"two Topic Aliases", v5, ends, `30 * "a" {23 0001 23 0002}`, CheckTopic},
	{"two Response Topics", v5, ends, `30 * "a" {08 "a" 08 "b"}`, CheckTopic},
	{"Response Topic with a wildcard", v5, ends, `30 * "a" {08 "#"}`, CheckTopic},
	{"Response Topic with NUL", v5, ends, `30 * "a" {08 "\x00"}`, CheckTopic},
	{"Will Topic with a wildcard", nil, client, `10 * "MQTT" 04 06 003c "id" "a/#" "m"`, CheckWill},
	{"Will Topic with NUL", nil, client, `10 * "MQTT" 04 06 003c "id" "a\x00" "m"`, CheckWill},
	{"no filter", v3, client, `82 02 0001`, CheckFilter},
	{"misplaced wildcard", v3, client, `82 * 0001 "a#" 00`, CheckFilter},
	{"filter with NUL", v3, client, `82 * 0001 "a\x00" 00`, CheckFilter},
	{"UNSUBSCRIBE from no filter", v3, client, `a2 * 0001 "a#"`, CheckFilter},
	{"SUBSCRIBE with QoS 3", v3, client, `82 * 0001 "a" 03`, CheckFilter},
	{"Retain Handling 3", v5, client, `82 * 0001 {} "a" 30`, CheckFilter},
	{"unknown property", v5, ends, `30 * "a" {04 00}`, CheckProperties},
	{"overlong Property Length", v5, ends, `30 * "a" 8000`, CheckProperties},
	{"overlong property", v5, client, `82 * 0001 {0b 8100} "a" 00`, CheckProperties},
	{"SUBACK without codes", v3, server, `90 02 0001`, CheckProperties},
	{"AUTH without method", v5, ends, `f0 * 18 {16 "d"}`, CheckProperties},
	{"empty AUTH", v5, client, `f0 00`, CheckProperties},
	{"reserved type", all, ends, `00 00`, CheckDirection},
	{"AUTH before 5.0", v3, ends, `f0 00`, CheckDirection},
	{"CONNACK from a client", all, client, `20 02 0000`, CheckDirection},
	{"SUBSCRIBE from a server", all, server, `82 * 0001 "a" 00`, CheckDirection},
	{"identifier 0", all, ends, `62 02 0000`, CheckFlow},
}

func eachOffence(list []offence, f func(name string, c connection, b []byte, check Check)) {
	for _, o := range list {
		versions := o.versions
		if versions == nil {
			versions = []Version{0}
		}
		for _, v := range versions {
			for _, from := range o.from {
				c := connection{v, from}
				notation := o.wire
				if v == V31 || v == V311 {
					notation = strings.Replace(notation, "{}", "", 1)
				}
				f(fmt.Sprintf("%s, %v", o.name, c), c, wire(notation), o.check)
			}
		}
	}
}

func tolerate(f func(name string, c connection, b []byte, check Check)) { eachOffence(tolerated, f) }

// failed asserts that err says that check failed.
func failed(t *testing.T, how string, err error, check Check) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Check != check {
		t.Errorf("%s: %v, want a failed %v", how, err, check)
	}
}

func TestLax(t *testing.T) {
	tolerate(func(name string, c connection, b []byte, check Check) {
		t.Run(name, func(t *testing.T) {
			only := Checks(0).With(check)
			_, err := c.parse(b)
			failed(t, "strict", err, check)
			_, err = c.lax(b, everyCheck&^only)
			failed(t, "lax about all the others", err, check)
			p, err := c.lax(b, only)
			if err != nil {
				t.Fatal(err)
			}
			if p.Broken != only || !bytes.Equal(p.Raw, b) {
				t.Errorf("%x broken, want %v; Raw %x", uint32(p.Broken), check, p.Raw)
			}
			checkLax(t, c, b)
		})
	})
}

func TestIntolerable(t *testing.T) {
	eachOffence(intolerable, func(name string, c connection, b []byte, check Check) {
		t.Run(name, func(t *testing.T) {
			p, err := c.lax(b, everyCheck)
			failed(t, "lax", err, check)
			if p != nil {
				t.Errorf("and a packet: %s", show(p))
			}
		})
	})
}

// TestCheckOfErrors shows that everything that can be wrong is of a check, and
// that it is tolerated, if it is, with that check and not without it.
func TestCheckOfErrors(t *testing.T) {
	eachWrong(func(name string, c connection, b []byte, _ *Error) {
		var e *Error
		if _, err := c.parse(b); !errors.As(err, &e) || e.Check == 0 {
			t.Errorf("%s: %v has no check", name, err)
			return
		}
		only := Checks(0).With(e.Check)
		if p, err := c.lax(b, only); err == nil && p.Broken != only {
			t.Errorf("%s: tolerated with %x broken, want %v", name, uint32(p.Broken), e.Check)
		}
		if _, err := c.lax(b, everyCheck&^only); err == nil {
			t.Errorf("%s: tolerated without %v", name, e.Check)
		}
	})
}

// TestLaxViews shows what is read of packets that break a rule.
func TestLaxViews(t *testing.T) {
	for _, test := range []struct {
		c    connection
		wire string
		want Packet
	}{
		{
			connection{V311, Client},
			`3a 8700 "a\xff" 0001 'x'`,
			Packet{Type: PUBLISH, Flags: 0xa, ID: 1, Topic: []byte("a\xff"), Payload: []byte("x"), Broken: 1<<2 | 1<<6},
		},
		{connection{V311, Client}, `4f 03 0001 00`, Packet{Type: PUBACK, Flags: 0xf, ID: 1, Broken: 1<<3 | 1<<4}},
		{
			connection{V5, Server},
			`90 * 0001 {21 0000} 03`,
			Packet{Type: SUBACK, ID: 1, Props: wire(`21 0000`), Payload: []byte{3}, Broken: 1 << 10},
		},
	} {
		p, err := test.c.lax(wire(test.wire), everyCheck)
		want := test.want
		want.Version, want.Raw = test.c.v, wire(test.wire)
		if err != nil || show(p) != show(&want) {
			t.Errorf("%s: %s, %v, want\n%s", test.wire, show(p), err, show(&want))
		}
	}
	p, err := connection{}.lax(wire(`10 * "MQTT" 04 63 003c "i\xff" "pass" 00`), everyCheck)
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Connect()
	if err != nil || string(c.ClientID) != "i\xff" || c.HasUsername || string(c.Password) != "pass" || c.Will != nil || p.Broken != 1<<4|1<<5|1<<6 {
		t.Errorf("%+v, %v, %x broken", c, err, uint32(p.Broken))
	}
}

// TestLaxStream shows that the Reader stays in step behind what it tolerates,
// and that nothing is broken about the packets that follow.
func TestLaxStream(t *testing.T) {
	r := NewReader(Client)
	r.Lax = everyCheck
	var got []string
	src := bytes.NewReader(wire(`10 8f00 "MQTT" 04 02 003c "id" 00 c0 01 00 c0 00 38 848000 "t" 'x' e0 00`))
	err := readAll(r, src, func(p *Packet) { got = append(got, fmt.Sprintf("%v %x", p.Type, uint32(p.Broken))) })
	if want := "CONNECT 14, PINGREQ 10, PINGREQ 0, PUBLISH c, DISCONNECT 0"; strings.Join(got, ", ") != want {
		t.Errorf("%q, %v, want %s", got, err, want)
	}
	r = NewReader(Client)
	r.Version, r.Lax, r.Max = V311, everyCheck, 8
	failed(t, "above Max", readAll(r, bytes.NewReader(wire(`30 868000 "t" 'xyz'`)), nil), CheckLength)
}

func TestReparse(t *testing.T) {
	publish := connection{V5, Client}
	p, err := publish.lax(wire(`38 * "t" {01 02}`), everyCheck)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, wire string
		check      Check // zero: accepted
		broken     Checks
	}{
		{"as it was", `38 * "t" {01 02}`, 0, p.Broken},
		{"with one rule broken", `30 * "other" {01 02}`, 0, 1 << CheckProperties},
		{"with none", `30 * "other" {}`, 0, 0},
		{"with another", `30 * "\xff" {}`, CheckUTF8, 0},
		{"of which there is more", `30 * "t" {} c000`, 0, 0}, // all of it is payload
		{"and a packet behind", `30 04 "t" {} c000`, CheckBody, 0},
		{"cut short", `30 04 0001`, CheckBody, 0},
	} {
		got, err := p.Reparse(wire(test.wire), Client)
		switch {
		case test.check != 0:
			failed(t, test.name, err, test.check)
		case err != nil || got.Broken != test.broken || got.Version != V5:
			t.Errorf("%s: %s, %v, want %x broken", test.name, show(got), err, uint32(test.broken))
		}
	}
	p, err = Parse(wire(`10 * "MQTT" 04 02 003c "id"`), 0, Client)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = p.Reparse(wire(`10 * "MQTT" 04 02 003c "other"`), Client); err != nil || p.Version != V311 {
		t.Errorf("CONNECT: %s, %v", show(p), err)
	}
}
