package packets

import (
	"bytes"
	"strings"
	"testing"
)

// TestKnownAttacks holds the packets of published defects that must not get
// past the codec. In front of each connection's bytes stands what it attacks.
func TestKnownAttacks(t *testing.T) {
	first := connection{}
	tests := []struct {
		name string
		c    connection
		hex  string
		code ReasonCode
		spec string
	}{
		{"CVE-2017-7651, a body allocated from the header", first, "10ffffff7f", PacketTooLarge, "MQTT-3.2.2-15"},
		{"CVE-2023-0809, PUBLISH first", first, "3080808074", ProtocolError, "MQTT-3.1.0-1"},
		{"CVE-2023-0809, PUBREC first", first, "5080808074", ProtocolError, "MQTT-3.1.0-1"},
		{"CVE-2023-0809, PUBCOMP first", first, "7080808074", ProtocolError, "MQTT-3.1.0-1"},
		{"CVE-2023-0809, SUBACK first", first, "9080808074", ProtocolError, "MQTT-3.1.0-1"},
		{"CVE-2023-0809, UNSUBACK first", first, "b080808074", ProtocolError, "MQTT-3.1.0-1"},
		{"CVE-2023-0809, PINGRESP first", first, "d080808074", ProtocolError, "MQTT-3.1.0-1"},
		{"CVE-2023-0809, AUTH first", first, "f080808074", ProtocolError, "MQTT-3.1.0-1"},
		{"PUBACK first", first, "40020001", ProtocolError, "MQTT-3.1.0-1"},
		{"TLS on the plain port", first, "1603010200010001", ProtocolError, "MQTT-3.1.0-1"},
		{"HTTP", first, "474554202f20", ProtocolError, "MQTT-3.1.0-1"},
		{"an overlong Remaining Length", connection{V5, Client}, "c08000", MalformedPacket, "MQTT-1.5.5-1"},
		{"CVE-2017-7653, an overlong NUL", connection{V311, Client}, "3006000361c0806d", MalformedPacket, "MQTT-1.5.4-1"},
		{"CVE-2017-7653, 0xff", connection{V311, Client}, "3005000261ff6d", MalformedPacket, "MQTT-1.5.4-1"},
		{"CVE-2017-7653, beyond U+10FFFF", connection{V311, Client}, "3008000561f49080806d", MalformedPacket, "MQTT-1.5.4-1"},
		{"a client identifier that a C string cuts", first, "101500044d5154540402003c000976696374696d007a7a", MalformedPacket, "MQTT-1.5.4-2"},
		{
			"CVE-2021-34431, an empty Will Topic", first,
			"102700044d5154540506003c00001077696c6c2d3537333139312d7465737405180000000300000000", TopicNameInvalid, "MQTT-4.7.0-1",
		},
		{"CVE-2021-34432, neither topic nor alias", connection{V5, Client}, "3003000000", ProtocolError, "MQTT-4.7.3-1"},
		{"CVE-2021-28166, CONNACK from a client", connection{V5, Client}, "29020001", ProtocolError, "section 2.1.2"},
		{
			"CVE-2023-3592, a Will with a Reason String", first,
			"101b00044d5154540506003c00000161061f0003616263000177000178", MalformedPacket, "section 2.2.2.2",
		},
		{"CVE-2024-3935, a delivery to a filter", connection{V311, Server}, "320c00062b2b2b2b2b2b00040033", TopicNameInvalid, "MQTT-3.3.2-2"},
		{"CVE-2024-10525, SUBACK without codes", connection{V311, Server}, "90020001", ProtocolError, "section 3.9.3"},
		{"SUBSCRIBE without options", connection{V5, Client}, "8206000100000161", MalformedPacket, "MQTT-4.13.1-1"},
		{
			"a Remaining Length that ends in the flags", first,
			"100700044d51545404c2003c000b746573742d707974686f6e000561646d696e000870617373776f7264", MalformedPacket, "MQTT-4.13.1-1",
		},
		{"a second CONNECT", connection{V311, Client}, "100e00044d5154540402003c00027431", ProtocolError, "MQTT-3.1.0-2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(test.c.from)
			r.Version = test.c.v
			err := readAll(r, bytes.NewReader(wire(test.hex)), func(p *Packet) { t.Error(show(p)) })
			broken(t, err, &Error{Code: test.code, Spec: test.spec})
		})
	}
}

// TestKnownAttacksOfPolicy holds packets that are well formed. What attacks in
// them is for the filters, which must get to see it.
func TestKnownAttacksOfPolicy(t *testing.T) {
	deep := strings.Repeat("2f", 65535)
	tests := []struct {
		name string
		c    connection
		hex  string
		see  string
	}{
		{"CVE-2018-12543, a topic with $", connection{V311, Client}, "3007000424782f796d", `PUBLISH flags 0 id 0 topic "$x/y"`},
		{"CVE-2019-11779, 65535 levels", connection{V311, Client}, "32858004ffff" + deep + "00013132", "PUBLISH flags 2 id 1 "},
		{"CVE-2024-8376, a share", connection{V311, Client}, "821a000100152473686172652f73686172656e616d652f7465737401", "SUBSCRIBE flags 2 id 1 "},
		{"an alias bound by a denied PUBLISH", connection{V5, Client}, "3211000864656e6965642f7400010323000131", `topic "denied/t" props 230001`},
		{"the alias used", connection{V5, Client}, "3209000000020323000132", `id 2 topic "" props 230001`},
		{"QoS 2 without end", connection{V311, Client}, "340a0005746f70696300016d", `id 1 topic "topic"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := test.c.parse(wire(test.hex))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(show(p), test.see) {
				t.Errorf("%.200s, want %s", show(p), test.see)
			}
		})
	}
	for _, test := range []struct{ name, hex, id, user, topic string }{
		{"CVE-2017-7650, user #", "101600044d51545404c2003c000464657631000123000170", "dev1", "#", ""},
		{"CVE-2017-7650, user +/x", "101800044d51545404c2003c00046465763100032b2f78000170", "dev1", "+/x", ""},
		{
			"a Will to $CONTROL", "103000044d5154540406003c00027763001c24434f4e54524f4c2f64796e616d69632d73656375726974792f763100027b7d",
			"wc", "", "$CONTROL/dynamic-security/v1",
		},
		{
			"CVE-2019-11778, a Will after the session", "102000044d5154540506003c05110000000100027764051800000005000177000178",
			"wd", "", "w",
		},
		{"another's client identifier", "102600044d51545404c0003c000a676174657761792d3031000b73656e736f722d75736572000178", "gateway-01", "sensor-user", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := Parse(wire(test.hex), 0, Client)
			if err != nil {
				t.Fatal(err)
			}
			c, err := p.Connect()
			var topic string
			if c.Will != nil {
				topic = string(c.Will.Topic)
			}
			if err != nil || string(c.ClientID) != test.id || string(c.Username) != test.user || topic != test.topic {
				t.Errorf("id %q, user %q, Will %q, %v", c.ClientID, c.Username, topic, err)
			}
		})
	}
}

// TestUserProperties is CVE-2021-41039: time that grew with the square of the
// number of User Properties. Here they are read in one pass, and all of them.
func TestUserProperties(t *testing.T) {
	const n = 5001
	b := wire(`10 * "MQTT" 05 02 003c {` + strings.Repeat(`26 "key" "value" `, n) + `} "id"`)
	p, err := Parse(b, 0, Client)
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Connect()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for id, pair := range c.Props.All() {
		count++
		if id != UserProperty || string(pair) != "\x00\x03key\x00\x05value" {
			t.Fatalf("%x %q", byte(id), pair)
		}
	}
	if count != n {
		t.Errorf("%d properties, want %d", count, n)
	}
	// The limit on a CONNECT stops it before any of it is looked at.
	r := NewReader(Client)
	r.Max = 8 << 10
	broken(t, readAll(r, bytes.NewReader(b[:5]), nil), &Error{Code: PacketTooLarge, Spec: "MQTT-3.2.2-15"})
}
