package packets

import (
	"bytes"
	"testing"
)

// reencode writes p with the Append functions. It returns nil for the types
// that the proxy never originates.
func reencode(p *Packet) []byte {
	switch p.Type {
	case CONNECT:
		c, err := p.Connect()
		if err != nil {
			panic(err)
		}
		return AppendConnect(nil, p.Version, &c)
	case CONNACK:
		rc := p.Reason
		if p.Version != V5 {
			rc = [...]ReasonCode{
				Success, UnsupportedProtocolVersion, ClientIdentifierNotValid,
				ServerUnavailable, BadUserNameOrPassword, NotAuthorized,
			}[rc]
		}
		return AppendConnack(nil, p.Version, p.SessionPresent, rc, p.Props)
	case PUBLISH:
		return AppendPublish(nil, p.Version, p.Flags, p.Topic, p.ID, p.Props, p.Payload, p.Rest)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return AppendAck(nil, p.Version, p.Type, p.ID, p.Reason)
	case SUBSCRIBE:
		var subs []Subscription
		for filter, o := range p.Subscriptions() {
			subs = append(subs, Subscription{filter, o})
		}
		return AppendSubscribe(nil, p.Version, p.ID, p.Props, subs)
	case SUBACK:
		return AppendSuback(nil, p.Version, p.ID, p.Props, codesOf(p))
	case UNSUBSCRIBE:
		var list [][]byte
		for filter := range p.Subscriptions() {
			list = append(list, filter)
		}
		return AppendUnsubscribe(nil, p.Version, p.ID, p.Props, list)
	case UNSUBACK:
		return AppendUnsuback(nil, p.Version, p.ID, p.Props, codesOf(p))
	case DISCONNECT:
		return AppendDisconnect(nil, p.Version, p.Reason)
	case AUTH:
		return AppendAuth(nil, p.Reason, p.Props)
	default:
		return nil
	}
}

func codesOf(p *Packet) (list []ReasonCode) {
	for _, c := range p.Payload {
		list = append(list, ReasonCode(c))
	}
	return list
}

// plain is the packet that reencode makes of one that says the same in more
// bytes or bits than are needed. It returns p itself if there is no such
// difference.
func plain(p *Packet) *Packet {
	q := *p
	q.Raw = bytes.Clone(p.Raw)
	switch {
	// The Append functions leave out the properties of acknowledgements and of
	// DISCONNECT, and with them the Reason Code if it is Success.
	case p.Version == V5 && (p.Type == DISCONNECT || p.Type >= PUBACK && p.Type <= PUBCOMP):
		id := 0
		if p.Type != DISCONNECT {
			id = 2
		}
		q.Props, q.Raw = nil, q.Raw[:2+id]
		if p.Reason != Success {
			q.Raw = append(q.Raw, byte(p.Reason))
		}
		q.Raw[1] = byte(len(q.Raw) - 2)
		if id > 0 {
			q.Raw[2], q.Raw[3] = byte(p.ID>>8), byte(p.ID)
		}
	// They never repeat a packet of MQTT 3.1 with DUP.
	case p.Version == V31 && (p.Type == SUBSCRIBE || p.Type == UNSUBSCRIBE || p.Type == PUBREL):
		q.Flags, q.Raw[0] = 2, q.Raw[0]&^8
	// Nor do they set the Connect Flags that MQTT 3.1 disregards.
	case p.Version == V31 && p.Type == CONNECT:
		flags := &q.Raw[len(q.Raw)-len(p.Payload)+9]
		if *flags &^= flagReserved; *flags&flagWill == 0 {
			*flags &^= 3<<3 | flagWillRetain
		}
		q.Payload = q.Raw[len(q.Raw)-len(p.Payload):]
	}
	return &q
}

// checkReencode asserts that reencode gives the bytes that p came in, or those
// of plain.
func checkReencode(t *testing.T, c connection, p *Packet) {
	t.Helper()
	b := reencode(p)
	if b == nil {
		return
	}
	want := plain(p)
	if !bytes.Equal(b, want.Raw) {
		t.Errorf("%x, written again\n%x, want\n%x", p.Raw, b, want.Raw)
	}
	again, err := c.parse(b)
	if err != nil || show(again) != show(want) {
		t.Errorf("%x, written again: %s, %v, want\n%s", p.Raw, show(again), err, show(want))
	}
}

func TestReencode(t *testing.T) {
	eachVector(func(name string, c connection, b []byte, _ *Packet) {
		p, err := c.parse(b)
		if err != nil {
			t.Fatal(err)
		}
		checkReencode(t, c, p)
	})
}

// TestAppendVarint tries the ends of each length.
func TestAppendVarint(t *testing.T) {
	for v, want := range map[int]string{
		0: "00", 127: "7f", 128: "8001", 16_383: "ff7f", 16_384: "808001",
		2_097_151: "ffff7f", 2_097_152: "80808001", 268_435_455: "ffffff7f",
	} {
		b := AppendVarint(nil, v)
		if !bytes.Equal(b, wire(want)) || varintSize(v) != len(b) {
			t.Errorf("%d: %x in %d bytes, want %s", v, b, varintSize(v), want)
		}
		if got, n, err := consumeVarint(b); got != v || n != len(b) || err != nil {
			t.Errorf("%x: %d in %d bytes, %v", b, got, n, err)
		}
	}
}

// TestAppendPublish leaves out what comes later and what the QoS has no place
// for.
func TestAppendPublish(t *testing.T) {
	for _, test := range []struct {
		v     Version
		flags byte
		rest  int
		want  string
	}{
		{V311, 0, 0, `30 05 "t" 'xy'`},
		{V311, 3, 0, `33 07 "t" 0102 'xy'`},
		{V5, 4, 0, `34 0a "t" 0102 {01 01} 'xy'`},
		{V5, 4, 1 << 20, `34 8a8040 "t" 0102 {01 01} 'xy'`},
	} {
		got := AppendPublish(nil, test.v, test.flags, []byte("t"), 0x0102, wire(`01 01`), []byte("xy"), test.rest)
		if !bytes.Equal(got, wire(test.want)) {
			t.Errorf("%x, want %s", got, test.want)
		}
	}
}

// TestAppendUnsuback leaves out the codes that MQTT 3.x has no place for.
func TestAppendUnsuback(t *testing.T) {
	codes := []ReasonCode{Success, NoSubscriptionExisted}
	for v, want := range map[Version]string{V31: `b0 02 0102`, V311: `b0 02 0102`, V5: `b0 * 0102 {26 "k" "v"} 0011`} {
		if got := AppendUnsuback(nil, v, 0x0102, wire(`26 "k" "v"`), codes); !bytes.Equal(got, wire(want)) {
			t.Errorf("%v: %x, want %s", v, got, want)
		}
	}
}

// TestConnackReturnCode shows what MQTT 3.x clients are told.
func TestConnackReturnCode(t *testing.T) {
	told := map[ReasonCode]byte{
		Success: 0, UnsupportedProtocolVersion: 1, ClientIdentifierNotValid: 2,
		ServerUnavailable: 3, ServerBusy: 3, ServerShuttingDown: 3, UseAnotherServer: 3, ServerMoved: 3,
		QuotaExceeded: 3, ConnectionRateExceeded: 3, UnspecifiedError: 3,
		BadUserNameOrPassword: 4, BadAuthenticationMethod: 4,
	}
	for rc := range 256 {
		want, ok := told[ReasonCode(rc)]
		if !ok {
			want = 5
		}
		got := AppendConnack(nil, V311, false, ReasonCode(rc), nil)
		if !bytes.Equal(got, []byte{0x20, 2, 0, want}) {
			t.Errorf("%v: %x, want return code %d", ReasonCode(rc), got, want)
		}
	}
}
