package packets

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

var connects = []struct {
	name    string
	wire    string
	version Version
	want    Connect
}{
	{
		"CONNECT of 3.1", `10 * "MQIsdp" 03 02 003c "id"`, V31,
		Connect{Level: 3, CleanStart: true, KeepAlive: 60, ClientID: []byte("id")},
	},
	{
		"CONNECT of 3.1 with bits that it has no use for", `10 * "MQIsdp" 03 29 003c "id"`, V31,
		Connect{Level: 3, KeepAlive: 60, ClientID: []byte("id")},
	},
	{
		"CONNECT of a 3.1 bridge", `10 * "MQIsdp" 83 00 003c "id"`, V31,
		Connect{Level: 0x83, KeepAlive: 60, ClientID: []byte("id")},
	},
	{
		"CONNECT of 3.1.1", `10 * "MQTT" 04 00 0000 "id"`, V311,
		Connect{Level: 4, ClientID: []byte("id")},
	},
	{
		"CONNECT of a 3.1.1 bridge", `10 * "MQTT" 84 02 003c "id"`, V311,
		Connect{Level: 0x84, CleanStart: true, KeepAlive: 60, ClientID: []byte("id")},
	},
	{
		"CONNECT of 3.1.1 without an id", `10 * "MQTT" 04 02 003c ""`, V311,
		Connect{Level: 4, CleanStart: true, KeepAlive: 60, ClientID: []byte{}},
	},
	{
		"CONNECT with everything", `10 * "MQTT" 04 f6 003c "id" "w/t" "gone" "user" "pass"`, V311,
		Connect{
			Level: 4, CleanStart: true, KeepAlive: 60, ClientID: []byte("id"),
			Will:        &Will{QoS: 2, Retain: true, Topic: []byte("w/t"), Payload: []byte("gone")},
			HasUsername: true, Username: []byte("user"), HasPassword: true, Password: []byte("pass"),
		},
	},
	{
		"CONNECT with empty fields", `10 * "MQTT" 04 c6 003c "" "w" "" "" ""`, V311,
		Connect{
			Level: 4, CleanStart: true, KeepAlive: 60, ClientID: []byte{},
			Will:        &Will{Topic: []byte("w"), Payload: []byte{}},
			HasUsername: true, Username: []byte{}, HasPassword: true, Password: []byte{},
		},
	},
	{
		"CONNECT of 5.0", `10 * "MQTT" 05 00 003c {} ""`, V5,
		Connect{Level: 5, KeepAlive: 60, ClientID: []byte{}},
	},
	{
		"CONNECT of 5.0 with everything",
		`10 * "MQTT" 05 ee 003c {11 ffffffff 15 "m" 16 "d"} "id" {18 00000005 26 "k" "v"} "w/t" "gone\x00" "user" "\xff\x00"`, V5,
		Connect{
			Level: 5, CleanStart: true, KeepAlive: 60, Props: wire(`11 ffffffff 15 "m" 16 "d"`), ClientID: []byte("id"),
			Will: &Will{
				QoS: 1, Retain: true, Props: wire(`18 00000005 26 "k" "v"`),
				Topic: []byte("w/t"), Payload: []byte("gone\x00"),
			},
			HasUsername: true, Username: []byte("user"), HasPassword: true, Password: []byte("\xff\x00"),
		},
	},
	{
		"CONNECT of 5.0 with a password alone", `10 * "MQTT" 05 42 003c {} "id" "token"`, V5,
		Connect{Level: 5, CleanStart: true, KeepAlive: 60, ClientID: []byte("id"), HasPassword: true, Password: []byte("token")},
	},
}

func TestConnect(t *testing.T) {
	for _, test := range connects {
		t.Run(test.name, func(t *testing.T) {
			p, err := Parse(wire(test.wire), 0, Client)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Connect()
			if err != nil {
				t.Fatal(err)
			}
			if p.Version != test.version || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v %+v, want\n%v %+v", p.Version, got, test.version, test.want)
			}
		})
	}
}

// badConnects are CONNECTs with one thing wrong. The version is what the
// Reader has learned of the client nevertheless: a refusal is written in it.
var badConnects = []struct {
	name    string
	wire    string
	version Version
	err     Error
}{
	{"an empty body", `10 00`, 0, Error{Code: MalformedPacket, Spec: "MQTT-4.13.1-1"}},
	{"flags in the first byte", `12 * "MQTT" 04 02 003c "id"`, 0, Error{Code: ProtocolError, Spec: "MQTT-3.1.0-1"}},
	{"flags in the first byte of 5.0", `12 * "MQTT" 05 02 003c {} "id"`, 0, Error{Code: ProtocolError, Spec: "MQTT-3.1.0-1"}},
	{"another name", `10 * "MQTTX" 04 02 003c "id"`, 0, Error{Code: ProtocolError, Spec: "MQTT-3.1.2-1"}},
	{"another name in 5.0", `10 * "MQTX" 05 02 003c {} "id"`, 0, Error{Code: ProtocolError, Spec: "MQTT-3.1.2-1"}},
	{"the name in lower case", `10 * "mqtt" 04 02 003c "id"`, 0, Error{Code: ProtocolError, Spec: "MQTT-3.1.2-1"}},
	{"a name of 64 KiB", `10 * ffff` + strings.Repeat("00", 65535), 0, Error{Code: ProtocolError, Spec: "MQTT-3.1.2-1"}},
	{"level 0", `10 * "MQTT" 00 02 003c "id"`, 0, Error{Code: UnsupportedProtocolVersion, Spec: "MQTT-3.1.2-2"}},
	{"level 2", `10 * "MQIsdp" 02 02 003c "id"`, 2, Error{Code: UnsupportedProtocolVersion, Spec: "MQTT-3.1.2-2"}},
	{"level 6", `10 * "MQTT" 06 02 003c {} "id"`, 6, Error{Code: UnsupportedProtocolVersion, Spec: "MQTT-3.1.2-2"}},
	{"level 3 with the new name", `10 * "MQTT" 03 02 003c "id"`, V31, Error{Code: UnsupportedProtocolVersion, Spec: "MQTT-3.1.2-2"}},
	{"level 4 with the old name", `10 * "MQIsdp" 04 02 003c "id"`, V311, Error{Code: UnsupportedProtocolVersion, Spec: "MQTT-3.1.2-2"}},
	{"level 5 of a bridge", `10 * "MQTT" 85 02 003c {} "id"`, V5, Error{Code: UnsupportedProtocolVersion, Spec: "MQTT-3.1.2-2"}},
	{"the reserved flag", `10 * "MQTT" 04 03 003c "id"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-3.1.2-3"}},
	{"the reserved flag in 5.0", `10 * "MQTT" 05 03 003c {} "id"`, V5, Error{Code: MalformedPacket, Spec: "MQTT-3.1.2-3"}},
	{"Will QoS without Will", `10 * "MQTT" 04 0a 003c "id"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-3.1.2-11"}},
	{"Will QoS without Will in 5.0", `10 * "MQTT" 05 12 003c {} "id"`, V5, Error{Code: MalformedPacket, Spec: "MQTT-3.1.2-11"}},
	{"Will QoS 3", `10 * "MQTT" 05 1e 003c {} "id" {} "w" "m"`, V5, Error{Code: MalformedPacket, Spec: "MQTT-3.1.2-12"}},
	{"Will QoS 3 in 3.1", `10 * "MQIsdp" 03 1a 003c "id"`, V31, Error{Code: MalformedPacket, Spec: "MQTT-3.1.2-12"}},
	{"Will Retain without Will in 3.1.1", `10 * "MQTT" 04 22 003c "id"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-3.1.2-13"}},
	{"Will Retain without Will", `10 * "MQTT" 05 22 003c {} "id"`, V5, Error{Code: MalformedPacket, Spec: "MQTT-3.1.2-13"}},
	{"password without user", `10 * "MQTT" 04 42 003c "id" "pass"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-3.1.2-22"}},
	{"password without user in 3.1", `10 * "MQIsdp" 03 42 003c "id" "pass"`, V31, Error{Code: MalformedPacket, Spec: "MQTT-3.1.2-22"}},
	{"no id in 3.1", `10 * "MQIsdp" 03 02 003c ""`, V31, Error{Code: ClientIdentifierNotValid, Spec: "MQTT-3.1.3-8"}},
	{"no id for a session in 3.1.1", `10 * "MQTT" 04 00 003c ""`, V311, Error{Code: ClientIdentifierNotValid, Spec: "MQTT-3.1.3-8"}},
	{"an id with NUL", `10 * "MQTT" 04 02 003c "a\x00b"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-1.5.4-2"}},
	{"an id that is not UTF-8", `10 * "MQTT" 04 02 003c "a\xff"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-1.5.4-1"}},
	{"a user that is not UTF-8", `10 * "MQTT" 04 82 003c "id" "\xed\xa0\x80"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-1.5.4-1"}},
	{"a Will Topic that is not UTF-8", `10 * "MQTT" 04 06 003c "id" "\xc0\x80" "m"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-1.5.4-1"}},
	{"an empty Will Topic", `10 * "MQTT" 04 06 003c "id" "" "m"`, V311, Error{Code: TopicNameInvalid, Spec: "MQTT-4.7.0-1"}},
	{"a Will Topic with a wildcard", `10 * "MQTT" 05 06 003c {} "id" {} "a/#" "m"`, V5, Error{Code: TopicNameInvalid, Spec: "MQTT-4.7.0-1"}},
	{"a user that is announced and missing", `10 * "MQTT" 04 82 003c "id"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-4.13.1-1"}},
	{"the same in 3.1", `10 * "MQIsdp" 03 82 003c "id"`, V31, Error{Code: MalformedPacket, Spec: "MQTT-4.13.1-1"}},
	{"a password that is announced and missing", `10 * "MQTT" 04 c2 003c "id" "user"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-4.13.1-1"}},
	{"a Will that is announced and missing", `10 * "MQTT" 04 06 003c "id"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-4.13.1-1"}},
	{"a user that is not announced", `10 * "MQTT" 04 02 003c "id" "user"`, V311, Error{Code: MalformedPacket, Spec: "MQTT-4.13.1-1"}},
	{"no property length", `10 * "MQTT" 05 02 003c`, V5, Error{Code: MalformedPacket, Spec: "MQTT-4.13.1-1"}},
	{"data without a method", `10 * "MQTT" 05 02 003c {16 "d"} "id"`, V5, Error{Code: ProtocolError, Spec: "section 3.1.2.11.10"}},
	{"a property of the CONNECT in the Will", `10 * "MQTT" 05 06 003c {} "id" {21 0001} "w" "m"`, V5, Error{Code: MalformedPacket, Spec: "section 2.2.2.2"}},
	{"a property of the Will in the CONNECT", `10 * "MQTT" 05 06 003c {18 00000001} "id" {} "w" "m"`, V5, Error{Code: MalformedPacket, Spec: "section 2.2.2.2"}},
}

func TestBadConnect(t *testing.T) {
	for _, test := range badConnects {
		t.Run(test.name, func(t *testing.T) {
			b := wire(test.wire)
			_, err := Parse(b, 0, Client)
			broken(t, err, &test.err)
			r := NewReader(Client)
			if err := readAll(r, bytes.NewReader(b), nil); r.Version != test.version {
				t.Errorf("version %v after %v, want %v", r.Version, err, test.version)
			}
		})
	}
}
