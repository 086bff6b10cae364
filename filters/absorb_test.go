package filters

import (
	"fmt"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// swallow absorbs what begins with "no/".
var swallow = judge(func(s *Session, p *packets.Packet) Verdict {
	if p.Type == packets.PUBLISH && string(p.Topic[:min(3, len(p.Topic))]) == "no/" {
		return Absorb(s, p, "swallowed")
	}
	return Pass()
})

// TestAbsorb acknowledges with success what goes nowhere.
func TestAbsorb(t *testing.T) {
	for _, v := range versions {
		for qos, want := range []struct {
			action Action
			answer string
		}{{Drop, ""}, {Reply, "\x40\x02\x00\x07"}, {Reply, "\x50\x02\x00\x07"}} {
			t.Run(fmt.Sprintf("MQTT %v QoS %d", v, qos), func(t *testing.T) {
				var id uint16
				if qos > 0 {
					id = 7
				}
				got := Absorb(&Session{Version: v}, parse(t, publish(v, packets.QoS(qos), id, "no/a"), v, packets.Client), "rule")
				if got.Action != want.action || string(got.Packet) != want.answer || got.Reason != packets.Success || got.Rule != "rule" {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

// TestAbsorbQoS2 follows the flow to its end, which the broker never sees.
func TestAbsorbQoS2(t *testing.T) {
	for _, v := range versions {
		dup := publish(v, 2, 7, "no/a")
		dup[0] |= 8
		play(t, Chain{swallow}, v, []step{
			{say: "PUBREC, as if it were stored", packet: publish(v, 2, 7, "no/a"), want: Reply, bytes: "\x50\x02\x00\x07"},
			{say: "the same again", packet: dup, want: Reply, bytes: "\x50\x02\x00\x07"},
			{say: "PUBCOMP ends the flow", packet: pubrel(v, 7), want: Reply, bytes: "\x70\x02\x00\x07"},
			{say: "answered once", packet: pubrel(v, 7), want: Forward},
			{say: "the identifier is free", packet: publish(v, 2, 7, "a"), want: Forward},
			{say: "its flow is the broker's", packet: pubrel(v, 7), want: Forward},
		})
	}
}

// greedy has to see the whole of what begins with "whole".
type greedy struct{ judge }

func (greedy) Whole(_ *Session, p *packets.Packet) bool {
	return string(p.Topic[:min(5, len(p.Topic))]) == "whole"
}

// TestGather asks for the rest before anybody judges, and for no more than may be
// in memory.
func TestGather(t *testing.T) {
	tests := []struct {
		topic         string
		payload, rest int
		want          Action
	}{
		{"whole/a", 10, 100, Gather},
		{"whole/a", 10, 0, Forward},
		{"whole/a", 0, packets.MaxWhole - 13, Gather},
		{"whole/a", 0, packets.MaxWhole - 12, Forward},
		{"other/a", 10, 100, Forward},
	}
	for _, tt := range tests {
		asked := 0
		count := judge(func(*Session, *packets.Packet) Verdict { asked++; return Pass() })
		head := packets.AppendPublish(nil, packets.V311, 0, []byte(tt.topic), 0, nil, make([]byte, tt.payload), tt.rest)
		p := parse(t, head, packets.V311, packets.Client)
		v := Chain{count, greedy{count}}.JudgeUp(time.Time{}, &Session{Version: packets.V311}, p)
		if v.Action != tt.want || (v.Action == Gather) != (asked == 0) {
			t.Errorf("%s with %d and %d to come, %d in all: action %d after %d judgements, want %d", tt.topic, tt.payload, tt.rest, p.Size(), v.Action, asked, tt.want)
		}
	}
}

// TestReported: a report goes on with the packet, and a refusal behind it has its
// own rule.
func TestReported(t *testing.T) {
	reported := Pass()
	reported.Content, reported.Rule = ContentReported, "report"
	p := parse(t, publish(packets.V5, 1, 7, "a"), packets.V5, packets.Client)
	v := Chain{says(reported), says(Pass())}.JudgeUp(time.Time{}, &Session{Version: packets.V5}, p)
	if v.Action != Forward || v.Content != ContentReported || v.Rule != "report" {
		t.Errorf("%+v, want it to go on, reported", v)
	}
	p = parse(t, publish(packets.V5, 1, 8, "no/a"), packets.V5, packets.Client)
	v = Chain{says(reported), guard}.JudgeUp(time.Time{}, &Session{Version: packets.V5}, p)
	if v.Action != Reply || v.Content != ContentSound || v.Rule != "guard" {
		t.Errorf("%+v, want the refusal alone", v)
	}
}
