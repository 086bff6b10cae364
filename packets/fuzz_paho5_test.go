package packets

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	paho5 "github.com/eclipse/paho.golang/packets"
)

// lax5 are the rules that paho.golang's reader does not keep, and why. What
// breaks another rule it must refuse as we do.
var lax5 = map[error]string{
	errSender:         "does not know who sends",
	errFlags:          "does not look at reserved flags",
	ErrNotConnect:     "does not look at reserved flags, those of CONNECT neither",
	errQoS3:           "takes QoS as it comes",
	errDup0:           "takes DUP as it comes",
	errTrailing:       "leaves bytes behind the last field",
	errTruncated:      "takes property sections that are longer than the packet, and ends an UNSUBSCRIBE or an identifier where the bytes end",
	errPropertyVarint: "takes overlong integers",
	errUTF8:           "does not look into strings",
	errNUL:            "does not look into strings",
	errPacketID:       "takes Packet Identifier 0",
	errTopic:          "does not look at topics",
	errNoTopic:        "does not look at topics",
	errWillTopic:      "does not look at topics",
	errResponseTopic:  "does not look at topics",
	errFilter:         "does not look at filters",
	errNoLocal:        "does not look at filters",
	errNoFilter:       "takes an empty list",
	errNoCodes:        "takes an empty list",
	errOptions:        "skips reserved options",
	errOptionValue:    "takes QoS and Retain Handling as they come",
	errReserved:       "skips reserved Connect Flags",
	errWillQoS3:       "takes Will QoS as it comes",
	errWillQoS:        "takes Will QoS as it comes",
	errWillRetain:     "takes Will Retain as it comes",
	errName:           "takes any protocol name",
	errAckFlags:       "skips reserved Connect Acknowledge Flags",
	errPresent:        "takes Session Present as it comes",
	errPropertyPlace:  "has one table for both ends, and one for CONNECT and Will",
	errClientSubID:    "has one table for both ends",
	errServerExpiry:   "has one table for both ends",
	errPropertyTwice:  "keeps the last",
	errTopicTwice:     "keeps the last",
	errPropertyRange:  "takes values as they come",
	errAliasZero:      "takes values as they come",
	errAuthData:       "asks for no method",
	errAuthMethod:     "asks for no method",
}

func init() {
	for i := range reasonRules {
		if err := reasonRules[i].err; err != nil {
			lax5[err] = "takes any Reason Code"
		}
	}
}

// FuzzPahoV5 compares with the reader of paho.golang what is a packet of MQTT
// 5.0, and what is in it. The differences are two: lax5, and that paho refuses
// a DISCONNECT without a Reason Code (section 3.14.2.1 allows it).
func FuzzPahoV5(f *testing.F) {
	eachSeed(func(b []byte, v, from byte) {
		if len(b) > 0 && (Version(v) == V5 || Type(b[0]>>4) == CONNECT) {
			f.Add(b, from)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, from byte) {
		c := connection{V5, Role(from & 1)}
		if len(b) > 0 && Type(b[0]>>4) == CONNECT {
			c = connection{}
		}
		b, ok := onePacket(b)
		if !ok {
			return
		}
		ours, err := c.parse(b)
		if c.v == 0 && version(b) != 5 {
			return // paho knows no other
		}
		theirs, theirErr := paho5.ReadPacket(bytes.NewReader(b))
		switch {
		case err == nil && theirErr == nil:
			compare5(t, ours, theirs.Content)
		case err == nil && (ours.Type != DISCONNECT || len(b) > 2):
			t.Errorf("%x: paho refuses it: %v", b, theirErr)
		case err != nil && theirErr == nil && lax5[err] == "":
			t.Errorf("%x: paho takes it: %v", b, err)
		}
	})
}

// TestLax5 shows that paho.golang does take what lax5 says, each entry by one
// of the vectors.
func TestLax5(t *testing.T) {
	taken := map[error]bool{}
	eachWrong(func(_ string, c connection, b []byte, _ *Error) {
		b, ok := onePacket(b)
		if !ok || c.v != V5 && c.v != 0 {
			return
		}
		if _, err := paho5.ReadPacket(bytes.NewReader(b)); err == nil {
			_, ours := c.parse(b)
			taken[ours] = true
		}
	})
	for err, why := range lax5 {
		if !taken[err] {
			t.Errorf("%q, and paho takes no vector that breaks it: %v", why, err)
		}
	}
}

// onePacket cuts b behind its first packet. It reports false if that is not
// whole or its length not well formed: ReadPacket would allocate what the
// length says.
func onePacket(b []byte) ([]byte, bool) {
	if len(b) == 0 {
		return nil, false
	}
	length, n, err := consumeVarint(b[1:])
	if err != nil || len(b)-1-n < length {
		return nil, false
	}
	return b[:1+n+length], true
}

// version returns the level that a CONNECT names, 0 if there is none.
func version(b []byte) byte {
	_, n, _ := consumeVarint(b[1:])
	content := body(b[1+n:])
	if _, err := content.binary(); err != nil {
		return 0
	}
	level, _ := content.byte()
	return level
}

// compare5 compares all fields of a packet.
func compare5(t *testing.T, p *Packet, theirs paho5.Packet) {
	t.Helper()
	got := Packet{Type: p.Type}
	props := &paho5.Properties{} // of a PINGREQ or PINGRESP, which has no fields
	switch q := theirs.(type) {
	case *paho5.Connect:
		compareConnect5(t, p, q)
		return
	case *paho5.Connack:
		got.SessionPresent, got.Reason, props = q.SessionPresent, ReasonCode(q.ReasonCode), q.Properties
	case *paho5.Publish:
		got.Topic, got.ID, got.Payload, props = []byte(q.Topic), q.PacketID, q.Payload, q.Properties
		if q.QoS != byte(p.QoS()) || q.Retain != p.Retain() || q.Duplicate != (p.Flags&8 != 0) {
			t.Errorf("flags %x, theirs %d %v %v", p.Flags, q.QoS, q.Retain, q.Duplicate)
		}
	case *paho5.Puback:
		got.ID, got.Reason, props = q.PacketID, ReasonCode(q.ReasonCode), q.Properties
	case *paho5.Pubrec:
		got.ID, got.Reason, props = q.PacketID, ReasonCode(q.ReasonCode), q.Properties
	case *paho5.Pubrel:
		got.ID, got.Reason, props = q.PacketID, ReasonCode(q.ReasonCode), q.Properties
	case *paho5.Pubcomp:
		got.ID, got.Reason, props = q.PacketID, ReasonCode(q.ReasonCode), q.Properties
	case *paho5.Subscribe:
		got.ID, props = q.PacketID, q.Properties
		for _, s := range q.Subscriptions {
			o := s.QoS | flag(s.NoLocal)<<2 | flag(s.RetainAsPublished)<<3 | s.RetainHandling<<4
			got.Payload = append(appendBinary(got.Payload, []byte(s.Topic)), o)
		}
	case *paho5.Suback:
		got.ID, got.Payload, props = q.PacketID, q.Reasons, q.Properties
	case *paho5.Unsubscribe:
		got.ID, props = q.PacketID, q.Properties
		for _, topic := range q.Topics {
			got.Payload = appendBinary(got.Payload, []byte(topic))
		}
	case *paho5.Unsuback:
		got.ID, got.Payload, props = q.PacketID, q.Reasons, q.Properties
	case *paho5.Disconnect:
		got.Reason, props = ReasonCode(q.ReasonCode), q.Properties
	case *paho5.Auth:
		got.Reason, props = ReasonCode(q.ReasonCode), q.Properties
	}
	want := *p
	want.Flags, want.Version, want.Raw, want.Props = 0, 0, nil, nil
	if show(&got) != show(&want) {
		t.Errorf("%x:\n%s, theirs\n%s", p.Raw, show(&want), show(&got))
	}
	compareProperties5(t, p.Props, props)
}

func compareConnect5(t *testing.T, p *Packet, q *paho5.Connect) {
	t.Helper()
	want, err := p.Connect()
	if err != nil {
		t.Fatal(err)
	}
	compareProperties5(t, want.Props, q.Properties)
	if want.Will != nil {
		compareProperties5(t, want.Will.Props, q.WillProperties)
	}
	got := Connect{
		Level: q.ProtocolVersion, CleanStart: q.CleanStart, KeepAlive: q.KeepAlive, ClientID: []byte(q.ClientID),
		Props: want.Props, HasUsername: q.UsernameFlag, HasPassword: q.PasswordFlag,
		Username: []byte(q.Username), Password: q.Password,
	}
	if q.WillFlag {
		got.Will = &Will{QoS: QoS(q.WillQOS), Retain: q.WillRetain, Topic: []byte(q.WillTopic), Payload: q.WillMessage}
		if want.Will != nil {
			got.Will.Props = want.Will.Props
		}
	}
	ours, theirs := AppendConnect(nil, V5, &want), AppendConnect(nil, V5, &got)
	if !bytes.Equal(ours, theirs) {
		t.Errorf("%x, theirs %x", ours, theirs)
	}
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// fields5 are paho's names of the properties.
var fields5 = map[PropertyID]string{
	PayloadFormatIndicator: "PayloadFormat", MessageExpiryInterval: "MessageExpiry", ContentType: "ContentType",
	ResponseTopic: "ResponseTopic", CorrelationData: "CorrelationData", SubscriptionIdentifier: "SubscriptionIdentifier",
	SessionExpiryInterval: "SessionExpiryInterval", AssignedClientIdentifier: "AssignedClientID",
	ServerKeepAlive: "ServerKeepAlive", AuthenticationMethod: "AuthMethod", AuthenticationData: "AuthData",
	RequestProblemInformation: "RequestProblemInfo", WillDelayInterval: "WillDelayInterval",
	RequestResponseInformation: "RequestResponseInfo", ResponseInformation: "ResponseInfo", ServerReference: "ServerReference",
	ReasonString: "ReasonString", ReceiveMaximum: "ReceiveMaximum", TopicAliasMaximum: "TopicAliasMaximum",
	TopicAlias: "TopicAlias", MaximumQoS: "MaximumQOS", RetainAvailable: "RetainAvailable", UserProperty: "User",
	MaximumPacketSize: "MaximumPacketSize", WildcardSubscriptionAvailable: "WildcardSubAvailable",
	SubscriptionIdentifierAvailable: "SubIDAvailable", SharedSubscriptionAvailable: "SharedSubAvailable",
}

// compareProperties5 checks that paho has exactly what we have. Of repeated
// Subscription Identifiers it keeps the last.
func compareProperties5(t *testing.T, ours Properties, theirs *paho5.Properties) {
	t.Helper()
	got, want := reflect.ValueOf(*theirs), reflect.New(reflect.TypeFor[paho5.Properties]()).Elem()
	for id, v := range ours.All() {
		field := want.FieldByName(fields5[id])
		switch field.Kind() {
		case reflect.String:
			field.SetString(string(v))
		case reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
			setNumber(field.Elem(), v)
		default:
			if id == CorrelationData || id == AuthenticationData {
				field.SetBytes(v)
				continue
			}
			pair := body(v)
			key, _ := pair.binary()
			value, _ := pair.binary()
			field.Set(reflect.Append(field, reflect.ValueOf(paho5.User{Key: string(key), Value: string(value)})))
		}
	}
	for i := range want.NumField() {
		g, w := got.Field(i), want.Field(i)
		empty := g.Kind() == reflect.Slice && g.Len() == 0 && w.Len() == 0
		if !empty && !reflect.DeepEqual(g.Interface(), w.Interface()) {
			t.Errorf("%x: %s is %v, theirs %v", ours, want.Type().Field(i).Name, w, g)
		}
	}
}

func setNumber(field reflect.Value, v []byte) {
	if field.Kind() == reflect.Int { // the Variable Byte Integer
		n, _, _ := consumeVarint(v)
		field.SetInt(int64(n))
		return
	}
	var b [8]byte
	copy(b[8-len(v):], v)
	field.SetUint(binary.BigEndian.Uint64(b[:]))
}
