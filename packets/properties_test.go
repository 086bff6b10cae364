package packets

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// carriers are packets with a place for properties, at the P.
var carriers = map[string]struct {
	c    connection
	wire string
}{
	"CONNECT":           {connection{0, Client}, `10 * "MQTT" 05 02 003c {P} "id"`},
	"Will":              {connection{0, Client}, `10 * "MQTT" 05 06 003c {} "id" {P} "w" "m"`},
	"CONNACK":           {connection{V5, Server}, `20 * 00 00 {P}`},
	"client PUBLISH":    {connection{V5, Client}, `30 * "a" {P} 'm'`},
	"server PUBLISH":    {connection{V5, Server}, `30 * "a" {P} 'm'`},
	"client PUBACK":     {connection{V5, Client}, `40 * 0001 00 {P}`},
	"server PUBREC":     {connection{V5, Server}, `50 * 0001 00 {P}`},
	"client PUBREL":     {connection{V5, Client}, `62 * 0001 00 {P}`},
	"server PUBCOMP":    {connection{V5, Server}, `70 * 0001 00 {P}`},
	"SUBSCRIBE":         {connection{V5, Client}, `82 * 0001 {P} "a" 00`},
	"SUBACK":            {connection{V5, Server}, `90 * 0001 {P} 00`},
	"UNSUBSCRIBE":       {connection{V5, Client}, `a2 * 0001 {P} "a"`},
	"UNSUBACK":          {connection{V5, Server}, `b0 * 0001 {P} 00`},
	"client DISCONNECT": {connection{V5, Client}, `e0 * 00 {P}`},
	"server DISCONNECT": {connection{V5, Server}, `e0 * 00 {P}`},
	"AUTH":              {connection{V5, Client}, `f0 * 18 {15 "m" P}`},
}

const (
	anyCarrier = "CONNECT, Will, CONNACK, client PUBLISH, server PUBLISH, client PUBACK, server PUBREC, client PUBREL, server PUBCOMP, " +
		"SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, client DISCONNECT, server DISCONNECT, AUTH"
	message  = "client PUBLISH, server PUBLISH, Will"
	answers  = "CONNACK, client PUBACK, server PUBREC, client PUBREL, server PUBCOMP, SUBACK, UNSUBACK, client DISCONNECT, server DISCONNECT, AUTH"
	bothWays = "CONNECT, CONNACK"
)

// propertyTests is table 2-4 of MQTT 5.0 with the ranges that the sections of
// the properties give. A value that is out of range is a Protocol Error.
var propertyTests = []struct {
	id    PropertyID
	value string // one that is right
	on    string
	wrong []string
}{
	{PayloadFormatIndicator, `01`, message, []string{`02`}},
	{MessageExpiryInterval, `00000000`, message, nil},
	{ContentType, `"t"`, message, nil},
	{ResponseTopic, `"a/b"`, message, nil},
	{CorrelationData, `"\x00\xff"`, message, nil},
	{SubscriptionIdentifier, `ffffff7f`, "server PUBLISH, SUBSCRIBE", []string{`00`}},
	{SessionExpiryInterval, `ffffffff`, "CONNECT, CONNACK, client DISCONNECT", nil},
	{AssignedClientIdentifier, `"id"`, "CONNACK", nil},
	{ServerKeepAlive, `0000`, "CONNACK", nil},
	{AuthenticationMethod, `"m"`, bothWays, nil}, // and AUTH, where the carrier has it already
	{RequestProblemInformation, `00`, "CONNECT", []string{`02`, `ff`}},
	{WillDelayInterval, `00000000`, "Will", nil},
	{RequestResponseInformation, `01`, "CONNECT", []string{`02`}},
	{ResponseInformation, `"r"`, "CONNACK", nil},
	{ServerReference, `"s"`, "CONNACK, server DISCONNECT", nil},
	{ReasonString, `"r"`, answers, nil},
	{ReceiveMaximum, `0001`, bothWays, []string{`0000`}},
	{TopicAliasMaximum, `0000`, bothWays, nil},
	{TopicAlias, `ffff`, "client PUBLISH, server PUBLISH", nil},
	{MaximumQoS, `01`, "CONNACK", []string{`02`}},
	{RetainAvailable, `00`, "CONNACK", []string{`02`}},
	{UserProperty, `"k" ""`, anyCarrier, nil},
	{MaximumPacketSize, `00000001`, bothWays, []string{`00000000`}},
	{WildcardSubscriptionAvailable, `00`, "CONNACK", []string{`02`}},
	{SubscriptionIdentifierAvailable, `00`, "CONNACK", []string{`02`}},
	{SharedSubscriptionAvailable, `00`, "CONNACK", []string{`02`}},
}

// with returns the error of the carrier's packet with the properties given.
func with(carrier, properties string) error {
	c := carriers[carrier]
	_, err := c.c.parse(wire(strings.Replace(c.wire, "P", properties, 1)))
	return err
}

func TestPropertyPlaces(t *testing.T) {
	// The two that a rule of their own keeps away.
	special := map[string]Error{
		"0b client PUBLISH":    {Code: ProtocolError, Spec: "MQTT-3.3.4-6"},
		"11 server DISCONNECT": {Code: ProtocolError, Spec: "MQTT-3.14.2-2"},
		"15 AUTH":              {Code: ProtocolError, Spec: "section 2.2.2.2"}, // a second one
	}
	for _, test := range propertyTests {
		for carrier := range carriers {
			err := with(carrier, fmt.Sprintf("%02x %s", byte(test.id), test.value))
			if slices.Contains(strings.Split(test.on, ", "), carrier) {
				if err != nil {
					t.Errorf("%02x on %s: %v", byte(test.id), carrier, err)
				}
				continue
			}
			want, ok := special[fmt.Sprintf("%02x %s", byte(test.id), carrier)]
			if !ok {
				want = Error{Code: MalformedPacket, Spec: "section 2.2.2.2"}
			}
			t.Run(fmt.Sprintf("%02x on %s", byte(test.id), carrier), func(t *testing.T) { broken(t, err, &want) })
		}
	}
}

func TestPropertyTwice(t *testing.T) {
	for _, test := range propertyTests {
		for carrier := range strings.SplitSeq(test.on, ", ") {
			one := fmt.Sprintf("%02x %s", byte(test.id), test.value)
			err := with(carrier, one+` 26 "k" "v" `+one)
			if test.id == UserProperty || test.id == SubscriptionIdentifier && carrier == "server PUBLISH" {
				if err != nil {
					t.Errorf("%02x twice on %s: %v", byte(test.id), carrier, err)
				}
				continue
			}
			t.Run(fmt.Sprintf("%02x on %s", byte(test.id), carrier), func(t *testing.T) {
				broken(t, err, &Error{Code: ProtocolError, Spec: "section 2.2.2.2"})
			})
		}
	}
}

func TestPropertyValues(t *testing.T) {
	for _, test := range propertyTests {
		carrier, _, _ := strings.Cut(test.on, ", ")
		for _, value := range test.wrong {
			t.Run(fmt.Sprintf("%02x %s", byte(test.id), value), func(t *testing.T) {
				broken(t, with(carrier, fmt.Sprintf("%02x %s", byte(test.id), value)), &Error{Code: ProtocolError, Spec: "section 2.2.2.2"})
			})
		}
		whole := wire(test.value)
		for n := range whole {
			t.Run(fmt.Sprintf("%02x cut at %d", byte(test.id), n), func(t *testing.T) {
				err := with(carrier, fmt.Sprintf("%02x %x", byte(test.id), whole[:n]))
				broken(t, err, &Error{Code: MalformedPacket, Spec: "MQTT-4.13.1-1"})
			})
		}
	}
	for _, test := range []struct {
		name, carrier, properties string
		code                      ReasonCode
		spec                      string
	}{
		{"alias 0", "client PUBLISH", `23 0000`, TopicAliasInvalid, "MQTT-3.3.2-8"},
		{"response topic with a wildcard", "client PUBLISH", `08 "a/+"`, TopicNameInvalid, "MQTT-3.3.2-14"},
		{"empty response topic", "Will", `08 ""`, TopicNameInvalid, "MQTT-3.3.2-14"},
		{"response topic that is not UTF-8", "client PUBLISH", `08 "\xff"`, MalformedPacket, "MQTT-1.5.4-1"},
		{"content type that is not UTF-8", "client PUBLISH", `03 "\xff"`, MalformedPacket, "MQTT-1.5.4-1"},
		{"content type with NUL", "client PUBLISH", `03 "\x00"`, MalformedPacket, "MQTT-1.5.4-2"},
		{"name that is not UTF-8", "SUBSCRIBE", `26 "\xff" "v"`, MalformedPacket, "MQTT-1.5.4-1"},
		{"value that is not UTF-8", "SUBSCRIBE", `26 "k" "\xff"`, MalformedPacket, "MQTT-1.5.4-1"},
		{"overlong identifier", "SUBSCRIBE", `0b 8100`, MalformedPacket, "MQTT-1.5.5-1"},
		{"identifier of five bytes", "SUBSCRIBE", `0b ffffffff01`, MalformedPacket, "MQTT-1.5.5-1"},
		{"unknown property", "CONNECT", `04 00`, MalformedPacket, "section 2.2.2.2"},
		{"property beyond the table", "CONNECT", `2b 00`, MalformedPacket, "section 2.2.2.2"},
		{"property 255", "CONNECT", `ff 00`, MalformedPacket, "section 2.2.2.2"},
		{"overlong property", "CONNECT", `a6 00 "k" "v"`, MalformedPacket, "section 2.2.2.2"},
		{"data without a method in CONNACK", "CONNACK", `16 "d"`, ProtocolError, "section 3.1.2.11.10"},
	} {
		t.Run(test.name, func(t *testing.T) {
			broken(t, with(test.carrier, test.properties), &Error{Code: test.code, Spec: test.spec})
		})
	}
}

func TestPropertyLength(t *testing.T) {
	for name, b := range map[string]string{
		"overlong":          `30 * "a" 8000`,
		"of five bytes":     `30 * "a" ffffffff7f`,
		"cut short":         `30 * "a" 80`,
		"past the end":      `30 * "a" 02 01`,
		"inside a property": `30 * "a" 02 02 00000000`,
	} {
		t.Run(name, func(t *testing.T) {
			want := Error{Code: MalformedPacket, Spec: "MQTT-4.13.1-1"}
			if name == "overlong" || name == "of five bytes" {
				want.Spec = "MQTT-1.5.5-1"
			}
			_, err := connection{V5, Client}.parse(wire(b))
			broken(t, err, &want)
		})
	}
}

func TestProperties(t *testing.T) {
	ps := Properties(wire(`02 0000003c 26 "k" "v" 23 0102 0b 8001 03 "type" 01 01 26 "k" "w"`))
	var got []string
	for id, v := range ps.All() {
		got = append(got, fmt.Sprintf("%02x %x", byte(id), v))
	}
	want := "02 0000003c, 26 00016b000176, 23 0102, 0b 8001, 03 74797065, 01 01, 26 00016b000177"
	if strings.Join(got, ", ") != want {
		t.Errorf("%q, want %s", got, want)
	}
	for range ps.All() {
		break
	}
	if v, ok := ps.Lookup(ContentType); !ok || string(v) != "type" {
		t.Errorf("content type %q, %v", v, ok)
	}
	if v, ok := ps.Lookup(UserProperty); !ok || !bytes.Equal(v, wire(`"k" "v"`)) {
		t.Errorf("first user property %x, %v", v, ok)
	}
	if v, ok := ps.Uint16(TopicAlias); !ok || v != 0x0102 {
		t.Errorf("alias %d, %v", v, ok)
	}
	if v, ok := ps.Uint32(MessageExpiryInterval); !ok || v != 60 {
		t.Errorf("expiry %d, %v", v, ok)
	}
	if _, ok := ps.Uint32(TopicAlias); ok {
		t.Error("two bytes taken for a Four Byte Integer")
	}
	if _, ok := ps.Uint32(WillDelayInterval); ok {
		t.Error("a delay that is not there")
	}
	if _, ok := ps.Lookup(ReasonString); ok {
		t.Error("a reason string that is not there")
	}
	if _, ok := ps.Uint16(PayloadFormatIndicator); ok {
		t.Error("a byte taken for a Two Byte Integer")
	}
	// Properties that nobody has validated end where they make no sense.
	if _, ok := Properties(wire(`ff 23 0001`)).Uint16(TopicAlias); ok {
		t.Error("an alias behind rubbish")
	}
	for id := range Properties(wire(`23 00`)).All() {
		t.Errorf("half an alias: %x", byte(id))
	}
}

func TestWithout(t *testing.T) {
	whole := wire(`11 0000003c 15 "m" 26 "k" "v" 16 0001 78 15 "n"`)
	for _, tt := range []struct {
		ids  []PropertyID
		want []byte
	}{
		{nil, whole},
		{[]PropertyID{ReasonString}, whole},
		{[]PropertyID{AuthenticationMethod}, wire(`11 0000003c 26 "k" "v" 16 0001 78`)},
		{[]PropertyID{AuthenticationMethod, AuthenticationData}, wire(`11 0000003c 26 "k" "v"`)},
		{[]PropertyID{SessionExpiryInterval, UserProperty, AuthenticationMethod, AuthenticationData}, nil},
	} {
		ps := Properties(whole)
		if got := ps.Without(tt.ids...); !bytes.Equal(got, tt.want) {
			t.Errorf("without %v: %x, want %x", tt.ids, []byte(got), tt.want)
		}
	}
	// What nobody has validated ends where it makes no sense.
	if got := Properties(wire(`15 "m" 11 00`)).Without(AuthenticationMethod); len(got) != 0 {
		t.Errorf("%x", []byte(got))
	}
}

func TestWith(t *testing.T) {
	ps := Properties(wire(`11 0000003c`))
	if got := ps.With(AuthenticationMethod, []byte("m")); !bytes.Equal(got, wire(`11 0000003c 15 "m"`)) {
		t.Errorf("%x", []byte(got))
	}
	if got := ps.WithUser("n", "v"); !bytes.Equal(got, wire(`11 0000003c 26 "n" "v"`)) {
		t.Errorf("% x", got)
	}
	if got := Properties(nil).With(AuthenticationData, nil); !bytes.Equal(got, wire(`16 0000`)) {
		t.Errorf("%x", []byte(got))
	}
}
