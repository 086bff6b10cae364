package packets

import (
	"bytes"
	"errors"
	"testing"

	paho3 "github.com/eclipse/paho.mqtt.golang/packets"
)

// lax3 are the rules that paho.mqtt.golang's reader does not keep, and why.
// What breaks another rule it must refuse as we do.
var lax3 = map[error]string{
	errSender:                "does not know who sends",
	errTwice:                 "keeps no state",
	ErrNotConnect:            "keeps no state, and does not look at reserved flags",
	errFlags:                 "does not look at reserved flags",
	errQoS3:                  "takes QoS as it comes",
	errDup0:                  "takes DUP as it comes",
	errTrailing:              "leaves bytes behind the last field",
	errTruncated:             "takes strings that are longer than the packet",
	errUTF8:                  "does not look into strings",
	errNUL:                   "does not look into strings",
	errPacketID:              "takes Packet Identifier 0",
	errTopic:                 "does not look at topics",
	errNoTopic:               "does not look at topics",
	errWillTopic:             "does not look at topics",
	errFilter:                "does not look at filters",
	errNoFilter:              "takes an empty list",
	errNoCodes:               "takes an empty list",
	errOptions:               "takes the options as they come",
	errOptionValue:           "takes the options as they come",
	errWillQoS3:              "takes Will QoS as it comes",
	errWillQoS:               "takes Will QoS as it comes",
	errWillRetain:            "takes Will Retain as it comes",
	errClientID:              "takes an empty Client Identifier in MQTT 3.1",
	errAckFlags:              "skips reserved Connect Acknowledge Flags",
	errPresent:               "takes Session Present as it comes",
	reasonRules[CONNACK].err: "takes any return code",
	reasonRules[SUBACK].err:  "takes any return code",
}

// FuzzV3 compares with the reader of paho.mqtt.golang what is a packet of
// MQTT 3.1 and 3.1.1, and what is in it. There are three differences: lax3;
// that paho takes bit 0 of the Connect Flags for reserved in MQTT 3.1 too;
// and that it does not know the bridge bit of the Protocol Level.
func FuzzV3(f *testing.F) {
	eachSeed(func(b []byte, v, from byte) {
		if Version(v) != V5 {
			f.Add(b, v, from)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, v, from byte) {
		c := connection{v3[1-v&1], Role(from & 1)}
		if len(b) > 0 && Type(b[0]>>4) == CONNECT {
			c = connection{}
		}
		b, ok := onePacket(b)
		if !ok {
			return
		}
		ours, err := c.parse(b)
		theirs, theirErr := read3(b)
		switch {
		case c.v == 0 && version(b) == 5: // paho knows none
		case err == nil && theirErr == nil:
			compare3(t, ours, theirs)
		case err == nil && !refused3(ours):
			t.Errorf("%x: paho refuses it: %v", b, theirErr)
		case err != nil && theirErr == nil && lax3[err] == "":
			t.Errorf("%x: paho takes it: %v", b, err)
		}
	})
}

// TestLax3 shows that paho.mqtt.golang does take what lax3 says, each entry by
// one of the vectors.
func TestLax3(t *testing.T) {
	taken := map[error]bool{}
	eachWrong(func(_ string, c connection, b []byte, _ *Error) {
		b, ok := onePacket(b)
		if !ok || c.v == V5 || version(b) == 5 {
			return
		}
		if _, err := read3(b); err == nil {
			_, ours := c.parse(b)
			taken[ours] = true
		}
	})
	for err, why := range lax3 {
		if !taken[err] {
			t.Errorf("%q, and paho takes no vector that breaks it: %v", why, err)
		}
	}
}

// read3 reads with paho, whose CONNECT has checks of its own.
func read3(b []byte) (paho3.ControlPacket, error) {
	p, err := paho3.ReadPacket(bytes.NewReader(b))
	if c, ok := p.(*paho3.ConnectPacket); ok && err == nil {
		if code := c.Validate(); code != paho3.Accepted {
			return nil, errors.New(paho3.ConnackReturnCodes[code])
		}
	}
	return p, err
}

// refused3 reports whether paho is known to refuse p, a CONNECT.
func refused3(p *Packet) bool {
	if p.Type != CONNECT {
		return false
	}
	c, err := p.Connect()
	reserved := p.Payload[bytes.IndexByte(p.Payload, c.Level)+1]&flagReserved != 0
	return err == nil && (c.Level > 4 || p.Version == V31 && reserved)
}

// compare3 compares all fields of a packet.
func compare3(t *testing.T, p *Packet, theirs paho3.ControlPacket) {
	t.Helper()
	got := Packet{Type: p.Type}
	switch q := theirs.(type) {
	case *paho3.ConnectPacket:
		compareConnect3(t, p, q)
		return
	case *paho3.ConnackPacket:
		got.SessionPresent, got.Reason = q.SessionPresent, ReasonCode(q.ReturnCode)
	case *paho3.PublishPacket:
		got.Topic, got.ID, got.Payload = []byte(q.TopicName), q.MessageID, q.Payload
		if q.Qos != byte(p.QoS()) || q.Retain != p.Retain() || q.Dup != (p.Flags&8 != 0) {
			t.Errorf("flags %x, theirs %d %v %v", p.Flags, q.Qos, q.Retain, q.Dup)
		}
	case *paho3.SubscribePacket:
		got.ID = q.MessageID
		for i, topic := range q.Topics {
			got.Payload = append(appendBinary(got.Payload, []byte(topic)), q.Qoss[i])
		}
	case *paho3.SubackPacket:
		got.ID, got.Payload = q.MessageID, q.ReturnCodes
	case *paho3.UnsubscribePacket:
		got.ID = q.MessageID
		for _, topic := range q.Topics {
			got.Payload = appendBinary(got.Payload, []byte(topic))
		}
	default: // acknowledgements, which have an identifier, and packets without fields
		got.ID = theirs.Details().MessageID
	}
	want := *p
	want.Flags, want.Version, want.Raw = 0, 0, nil
	if show(&got) != show(&want) {
		t.Errorf("%x:\n%s, theirs\n%s", p.Raw, show(&want), show(&got))
	}
}

func compareConnect3(t *testing.T, p *Packet, q *paho3.ConnectPacket) {
	t.Helper()
	want, err := p.Connect()
	if err != nil {
		t.Fatal(err)
	}
	got := Connect{
		Level: q.ProtocolVersion, CleanStart: q.CleanSession, KeepAlive: q.Keepalive, ClientID: []byte(q.ClientIdentifier),
		HasUsername: q.UsernameFlag, HasPassword: q.PasswordFlag, Username: []byte(q.Username), Password: q.Password,
	}
	if q.WillFlag {
		got.Will = &Will{QoS: QoS(q.WillQos), Retain: q.WillRetain, Topic: []byte(q.WillTopic), Payload: q.WillMessage}
	}
	ours, theirs := AppendConnect(nil, p.Version, &want), AppendConnect(nil, p.Version, &got)
	if !bytes.Equal(ours, theirs) {
		t.Errorf("%x, theirs %x", ours, theirs)
	}
}
