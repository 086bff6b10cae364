package filters

import (
	"fmt"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

func TestDenyPublish(t *testing.T) {
	tests := []struct {
		version packets.Version
		qos     packets.QoS
		want    Action
		answer  string
	}{
		{packets.V31, 0, Drop, ""},
		{packets.V31, 1, Reply, "\x40\x02\x12\x34"}, // [MQTT-3.3.5-2] of 3.1.1
		{packets.V31, 2, Reply, "\x50\x02\x12\x34"},
		{packets.V311, 0, Drop, ""},
		{packets.V311, 1, Reply, "\x40\x02\x12\x34"},
		{packets.V311, 2, Reply, "\x50\x02\x12\x34"},
		{packets.V5, 0, Drop, ""},
		{packets.V5, 1, Reply, "\x40\x03\x12\x34\x87"},
		{packets.V5, 2, Reply, "\x50\x03\x12\x34\x87"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("MQTT %v QoS %d", tt.version, tt.qos), func(t *testing.T) {
			for _, flags := range []byte{0, 1} { // RETAIN changes nothing
				raw := publish(tt.version, tt.qos, 0x1234, "a")
				raw[0] |= flags
				s := &Session{Version: tt.version}
				v := Deny(s, parse(t, raw, tt.version, packets.Client), packets.NotAuthorized, "rule")
				if v.Action != tt.want || string(v.Packet) != tt.answer {
					t.Errorf("action %d with % x, want %d with % x", v.Action, v.Packet, tt.want, tt.answer)
				}
				if v.Rule != "rule" || v.Reason != packets.NotAuthorized {
					t.Errorf("rule %q, reason %v", v.Rule, v.Reason)
				}
			}
		})
	}
}

// TestDenyStreamed: a message is refused by its head.
func TestDenyStreamed(t *testing.T) {
	head := packets.AppendPublish(nil, packets.V5, 2, []byte("a"), 1, nil, nil, 1<<20)
	v := Deny(&Session{Version: packets.V5}, parse(t, head, packets.V5, packets.Client), packets.QuotaExceeded, "")
	if v.Action != Reply || string(v.Packet) != "\x40\x03\x00\x01\x97" {
		t.Errorf("%+v", v)
	}
}

func TestDenySubscribe(t *testing.T) {
	answers := map[packets.Version]string{
		packets.V31:  "\x90\x04\x00\x07\x01\x01", // granted, and never delivered
		packets.V311: "\x90\x04\x00\x07\x80\x80",
		packets.V5:   "\x90\x05\x00\x07\x00\x87\x87",
	}
	for v, want := range answers {
		s := &Session{Version: v}
		deny := judge(func(s *Session, p *packets.Packet) Verdict { return Deny(s, p, packets.NotAuthorized, "rule") })
		got := Chain{deny}.JudgeUp(time.Time{}, s, parse(t, subscribe(v, 7, "a", "b"), v, packets.Client))
		if got.Action != Reply || string(got.Packet) != want || rulesOf(got) != "rulerule" {
			t.Errorf("MQTT %v: %+v, want % x", v, got, want)
		}
		if len(s.flows.ids) > 0 {
			t.Errorf("MQTT %v: waits for a SUBACK that nobody sends", v)
		}
	}
}

// TestDenyOthers: what cannot be refused ends the session.
func TestDenyOthers(t *testing.T) {
	for _, v := range versions {
		connect := packets.AppendConnect(nil, v, &packets.Connect{
			Level: byte(v), CleanStart: true, ClientID: []byte("c"), Will: &packets.Will{QoS: 1, Topic: []byte("a")},
		})
		for _, p := range []*packets.Packet{
			parse(t, connect, 0, packets.Client),
			parse(t, []byte("\xc0\x00"), v, packets.Client),
			parse(t, pubrel(v, 1), v, packets.Client),
		} {
			got := Deny(&Session{Version: v}, p, packets.NotAuthorized, "rule")
			if got.Action != Disconnect || got.Reason != packets.NotAuthorized || got.Rule != "rule" || got.Packet != nil {
				t.Errorf("MQTT %v %v: %+v", v, p.Type, got)
			}
		}
	}
}

// TestDenyNeverAllows: no code makes a refusal an assent.
func TestDenyNeverAllows(t *testing.T) {
	const v = packets.V5
	for _, rc := range []packets.ReasonCode{packets.Success, packets.GrantedQoS1, packets.NoMatchingSubscribers} {
		tests := []struct {
			packet []byte
			want   Action
			answer string
		}{
			{publish(v, 1, 7, "a"), Reply, "\x40\x03\x00\x07\x80"},
			{publish(v, 2, 7, "a"), Reply, "\x50\x03\x00\x07\x80"},
			{subscribe(v, 7, "a"), Forward, ""}, // with a failure for each filter
			{pubrel(v, 7), Disconnect, ""},
		}
		for _, tt := range tests {
			got := Deny(&Session{Version: v}, parse(t, tt.packet, v, packets.Client), rc, "")
			if got.Action != tt.want || string(got.Packet) != tt.answer || got.Reason != packets.UnspecifiedError ||
				tt.want == Forward && (len(got.Filters) != 1 || got.Filters[0].Reason != packets.UnspecifiedError) {
				t.Errorf("% x denied with %v: %+v", tt.packet, rc, got)
			}
		}
	}
}

// TestRefusedQoS2 follows refused publishes of QoS 2 to their end.
func TestRefusedQoS2(t *testing.T) {
	for _, v := range []packets.Version{packets.V31, packets.V311} {
		dup := publish(v, 2, 7, "no/a")
		dup[0] |= 8
		play(t, Chain{guard}, v, []step{
			{say: "the PUBREL of an unknown flow is the broker's to answer", packet: pubrel(v, 7), want: Forward},
			{say: "PUBREC, as if it were stored", packet: publish(v, 2, 7, "no/a"), want: Reply, bytes: "\x50\x02\x00\x07"},
			{say: "the same again", packet: dup, want: Reply, bytes: "\x50\x02\x00\x07"},
			{say: "another flow's PUBREL passes", packet: pubrel(v, 8), want: Forward},
			{say: "PUBCOMP ends the flow", packet: pubrel(v, 7), want: Reply, bytes: "\x70\x02\x00\x07"},
			{say: "answered once", packet: pubrel(v, 7), want: Forward},
			{say: "the identifier is free", packet: publish(v, 2, 7, "a"), want: Forward},
			{say: "its flow is the broker's", packet: pubrel(v, 7), want: Forward},

			{say: "refused", packet: publish(v, 2, 9, "no/a"), want: Reply, bytes: "\x50\x02\x00\x09"},
			{say: "allowed under the same identifier", packet: publish(v, 2, 9, "a"), want: Forward},
			{say: "the broker has sent PUBREC and waits", packet: pubrel(v, 9), want: Forward},
		})
	}
	const v = packets.V5
	play(t, Chain{guard}, v, []step{
		{say: "a failure ends the flow", packet: publish(v, 2, 7, "no/a"), want: Reply, bytes: "\x50\x03\x00\x07\x87"},
		{say: "what comes then is new [MQTT-4.3.3-9]", packet: publish(v, 2, 7, "a"), want: Forward},
		{say: "and the broker's", packet: pubrel(v, 7), want: Forward},
	})
}

// TestRefusedSurvivesReload: the state is the session's, not the policy's.
func TestRefusedSurvivesReload(t *testing.T) {
	const v = packets.V311
	s := &Session{Version: v}
	before, after := Chain{guard}, Chain{says(Pass())}
	before.JudgeUp(time.Time{}, s, parse(t, publish(v, 2, 7, "no/a"), v, packets.Client))
	got := after.JudgeUp(time.Time{}, s, parse(t, pubrel(v, 7), v, packets.Client))
	if got.Action != Reply || string(got.Packet) != "\x70\x02\x00\x07" {
		t.Errorf("PUBREL after a reload: %+v", got)
	}
}
