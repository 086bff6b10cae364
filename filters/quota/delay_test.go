package quota

import (
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

func TestDelay(t *testing.T) {
	rate := func(perSecond float64, burst int) ratelimit.Rate {
		return ratelimit.Rate{PerSecond: perSecond, Burst: burst}
	}
	tests := []struct {
		name   string
		limits []Limit
		want   time.Duration // of the second packet, of 200 bytes
	}{
		{"messages", []Limit{{What: Messages, Rate: rate(2, 1)}}, 500 * time.Millisecond},
		{"bytes", []Limit{{What: Bytes, Rate: rate(100, 100)}}, 3 * time.Second},
		{"the longer: bytes", []Limit{{What: Messages, Rate: rate(2, 1)}, {What: Bytes, Rate: rate(100, 100)}}, 3 * time.Second},
		{"the longer: messages", []Limit{{What: Messages, Rate: rate(.1, 1)}, {What: Bytes, Rate: rate(100, 100)}}, 10 * time.Second},
		{"no limit", nil, 0},
	}
	for _, test := range tests {
		s := newSession("user", "client")
		c := up(s, test.limits...)
		now := time.Now()
		c.JudgeUp(now, s, publish(s.Version, 0, 200))
		if v := c.JudgeUp(now, s, publish(s.Version, 0, 200)); v.Action != filters.Forward || v.Delay != test.want {
			t.Errorf("%s: %+v, want %v", test.name, v, test.want)
		}
	}
}

// TestLongestDelay: nobody waits so long that the broker gives the client up. What
// can be refused is, and the rest goes on.
func TestLongestDelay(t *testing.T) {
	type outcome struct {
		action filters.Action
		delay  time.Duration
	}
	refused := outcome{filters.Drop, 0}
	for _, test := range []struct {
		per       Sharing
		keepAlive time.Duration
		wait      time.Duration // that the limit wants
		publish   outcome
		ping      outcome
	}{
		{PerClient, 0, 30 * time.Second, outcome{filters.Forward, 30 * time.Second}, outcome{filters.Forward, 30 * time.Second}},
		{PerClient, 0, 31 * time.Second, refused, outcome{filters.Forward, 30 * time.Second}},
		{PerClient, 60 * time.Second, 20 * time.Second, outcome{filters.Forward, 20 * time.Second}, outcome{filters.Forward, 20 * time.Second}},
		{PerClient, 60 * time.Second, 21 * time.Second, refused, outcome{filters.Forward, 21 * time.Second}},
		{PerUser, 60 * time.Second, 21 * time.Second, refused, outcome{filters.Forward, 20 * time.Second}},
		{PerAll, 60 * time.Second, 20 * time.Second, outcome{filters.Forward, 20 * time.Second}, outcome{filters.Forward, 20 * time.Second}},
		{PerAll, 600 * time.Second, 31 * time.Second, refused, outcome{filters.Forward, 30 * time.Second}},
	} {
		l := Limit{What: Packets, Per: test.per, Rate: ratelimit.Rate{PerSecond: 1, Burst: 1}}
		for want, p := range map[outcome]*packets.Packet{
			test.publish: publish(packets.V5, 0, 60),
			test.ping:    {Type: packets.PINGREQ, Raw: []byte{0xc0, 0}},
		} {
			s, now := newSession("user", "client"), time.Now()
			c := up(s, l)
			for range int(test.wait / time.Second) { // others, of whom each waits for its own
				s.Terms.KeepAlive = 0
				c.JudgeUp(now, s, publish(packets.V5, 0, 60))
			}
			s.Terms.KeepAlive = test.keepAlive
			if test.wait > maxWait { // no other would wait for so long
				c = up(s, Limit{What: Packets, Per: test.per, Rate: ratelimit.Rate{PerSecond: 1 / test.wait.Seconds(), Burst: 1}})
				c.JudgeUp(now, s, publish(packets.V5, 0, 60))
			}
			if v := c.JudgeUp(now, s, p); v.Action != want.action || v.Delay.Round(time.Microsecond) != want.delay {
				t.Errorf("%+v: %v: %v %v, want %+v", test, p.Type, v.Action, v.Delay, want)
			}
		}
	}
}

// TestOffer: what never goes on is told in advance.
func TestOffer(t *testing.T) {
	rate := ratelimit.Rate{PerSecond: 10, Burst: 50}
	for _, test := range []struct {
		name         string
		limits       []Limit
		size, number int
	}{
		{"nothing", nil, 0, 0},
		{"a message waits", []Limit{{What: Messages, Rate: rate}}, 0, 0},
		{"a message is refused", []Limit{{What: Messages, Action: Drop, Rate: rate}}, 0, 50},
		{"or ends the session", []Limit{{What: Messages, Action: Disconnect, Per: PerAll, Rate: rate}}, 0, 50},
		{"on some topics", []Limit{{What: Messages, Action: Drop, Topics: []string{"a"}, Rate: rate}, {What: Bytes, Action: Drop, Topics: []string{"a"}, Rate: rate}}, 0, 0},
		{"a day is no burst", []Limit{{What: Messages, Action: Drop, Day: 5}}, 0, 0},
		{"bytes are refused", []Limit{{What: Bytes, Action: Drop, Rate: rate}}, 50, 0},
		{"bytes wait, but not for ever", []Limit{{What: Bytes, Rate: rate}}, 350, 0},
		{"bytes of a day", []Limit{{What: Bytes, Day: 5}}, 5, 0},
		{"the lower", []Limit{{What: Bytes, Day: 5}, {What: Bytes, Action: Drop, Rate: rate}, {What: Messages, Action: Drop, Rate: slow(3)}, {What: Messages, Action: Drop, Rate: rate}}, 5, 3},
		{"others", []Limit{{What: Packets, Action: Disconnect, Rate: rate}, {What: Subscribes, Action: Drop, Rate: rate}, {What: Retained, Action: Drop, Rate: rate}}, 0, 0},
	} {
		s := newSession("user", "client")
		var o filters.Offer
		up(s, test.limits...).Offer(&o)
		if o.PacketSize != test.size || o.ReceiveMaximum != test.number {
			t.Errorf("%s: %+v, want %d and %d", test.name, o, test.size, test.number)
		}
	}
}
