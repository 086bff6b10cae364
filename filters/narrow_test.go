package filters

import (
	"slices"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// narrowing is a filter that lets of some Topic Filters only parts go on.
type narrowing struct {
	rules
	parts map[string][]string
}

func (n *narrowing) Filter(now time.Time, s *Session, p *packets.Packet) Verdict {
	if p.Type == packets.SUBSCRIBE {
		return n.Review(now, s, p)
	}
	return Pass()
}

func (n *narrowing) Review(now time.Time, s *Session, p *packets.Packet) Verdict {
	v, i := n.rules.Review(now, s, p), 0
	if p.Type != packets.SUBSCRIBE {
		return v
	}
	for filter := range p.Subscriptions() {
		if parts, ok := n.parts[string(filter)]; ok {
			v.Filters[i].Narrowed = slices.Clone(parts)
		}
		i++
	}
	return v
}

func newNarrowTalk(t *testing.T, v packets.Version, parts map[string][]string) (*talk, *narrowing) {
	n := &narrowing{parts: parts}
	return &talk{t: t, s: &Session{Version: v}, up: Chain{n}, down: Chain{n.down()}}, n
}

func unsubscribe(v packets.Version, id uint16, names ...string) []byte {
	var filters [][]byte
	for _, n := range names {
		filters = append(filters, []byte(n))
	}
	return packets.AppendUnsubscribe(nil, v, id, nil, filters)
}

func unsuback(v packets.Version, id uint16, codes ...packets.ReasonCode) []byte {
	return packets.AppendUnsuback(nil, v, id, nil, codes)
}

// unmerged is the action for an answer that is merged in MQTT 5.0 only.
func unmerged(v packets.Version) Action {
	if v == packets.V5 {
		return Rewrite
	}
	return Forward
}

// only5 is b for MQTT 5.0, where an UNSUBACK has codes.
func only5(v packets.Version, b []byte) []byte {
	if v == packets.V5 {
		return b
	}
	return nil
}

// TestNarrow shows on the wire that the client does not see how its filter became
// others.
func TestNarrow(t *testing.T) {
	for _, v := range versions {
		c, n := newNarrowTalk(t, v, map[string][]string{"#": {"a/#", "b"}})
		n.denied = []string{"no"}
		c.client("two for one", subscribe(v, 1, "x", "#", "no", "y"), Rewrite, subscribe(v, 1, "x", "a/#", "b", "y"))
		c.broker("one code for two: the lowest", suback(v, 1, 1, 1, 0, 1), Rewrite, suback(v, 1, 1, 0, refusal(v, 1, packets.NotAuthorized), 1))
		if !c.s.Subscribed("#") || !c.s.Subscribed("a/#") || c.s.Subscribed("z") {
			t.Errorf("MQTT %v: subscribed to %q", v, c.s.Subscriptions())
		}
		c.client("the same back", unsubscribe(v, 2, "x", "#", "y"), Rewrite, unsubscribe(v, 2, "x", "a/#", "b", "y"))
		c.broker("one code again", unsuback(v, 2, 0, 0x11, 0, 0x11), unmerged(v), only5(v, unsuback(v, 2, 0, 0, 0x11)))
		if got := c.s.Subscriptions(); len(got) != 0 || len(c.s.subscriptions.narrowed) != 0 {
			t.Errorf("MQTT %v: subscribed to %q", v, got)
		}
		c.client("nothing is left of it", unsubscribe(v, 3, "#"), Forward, nil)
	}
}

// TestNarrowKeeps: the Subscription Identifier and the options.
func TestNarrowKeeps(t *testing.T) {
	c, _ := newNarrowTalk(t, packets.V5, map[string][]string{"$share/g/#": {"$share/g/a", "$share/g/b"}})
	c.client("as they were", []byte("\x82\x12\x00\x07\x02\x0b\x05"+"\x00\x0a$share/g/#\x19"), Rewrite,
		[]byte("\x82\x1f\x00\x07\x02\x0b\x05"+"\x00\x0a$share/g/a\x19"+"\x00\x0a$share/g/b\x19"))
}

// TestNarrowGranted: what becomes of the codes of its parts.
func TestNarrowGranted(t *testing.T) {
	type codes = []packets.ReasonCode
	for _, tt := range []struct {
		name         string
		says         codes
		v5, v311, v3 packets.ReasonCode
	}{
		{"all", codes{1, 1, 1}, 1, 1, 1},
		{"the lowest", codes{1, 0, 1}, 0, 0, 0},
		{"in part", codes{0x80, 1, 0x80}, 1, 1, 1},
		{"none", codes{0x87, 0x97, 0x80}, 0x87, 0x80, 0},
	} {
		for v, want := range map[packets.Version]packets.ReasonCode{packets.V5: tt.v5, packets.V311: tt.v311, packets.V31: tt.v3} {
			says := slices.Clone(tt.says)
			for i, rc := range says {
				switch {
				case rc < 0x80:
				case v == packets.V311:
					says[i] = 0x80
				case v == packets.V31:
					says[i] = 0
				}
			}
			if v == packets.V31 && tt.name == "in part" {
				continue // it has no failure
			}
			c, _ := newNarrowTalk(t, v, map[string][]string{"#": {"a", "b", "c"}})
			c.client(tt.name, subscribe(v, 1, "#"), Rewrite, subscribe(v, 1, "a", "b", "c"))
			c.broker(tt.name, suback(v, 1, says...), Rewrite, suback(v, 1, want))
			if held := c.s.Subscribed("#"); held != (want < 0x80) {
				t.Errorf("MQTT %v: %s: subscribed: %v", v, tt.name, held)
			}
		}
	}
}

// TestNarrowShared: filters that stand for several, or are asked for themselves,
// are sent once and stay until nobody needs them.
func TestNarrowShared(t *testing.T) {
	for _, v := range versions {
		c, _ := newNarrowTalk(t, v, map[string][]string{"#": {"a", "b"}, "+": {"b", "c"}})
		c.client("each once", subscribe(v, 1, "#", "a", "+"), Rewrite, subscribe(v, 1, "a", "b", "c"))
		c.broker("three codes for three", suback(v, 1, 1, 0, 1), Rewrite, suback(v, 1, 0, 1, 0))
		c.client("a and b are needed still", unsubscribe(v, 2, "#"), Reply, unsuback(v, 2, 0))
		c.client("never asked for", unsubscribe(v, 2, "b"), Reply, unsuback(v, 2, packets.NoSubscriptionExisted))
		c.client("c too", subscribe(v, 2, "c"), Forward, nil)
		c.broker("granted", suback(v, 2, 1), Forward)
		c.client("c is needed still", unsubscribe(v, 3, "+", "a"), Rewrite, unsubscribe(v, 3, "b", "a"))
		c.broker("ended", unsuback(v, 3, 0, 0), unmerged(v), only5(v, unsuback(v, 3, 0, 0)))
		c.client("and now not", unsubscribe(v, 4, "c"), Forward, nil)
		c.broker("ended", unsuback(v, 4, 0), Forward)
		if got := c.s.Subscriptions(); len(got) != 0 {
			t.Errorf("MQTT %v: %q are left over", v, got)
		}
	}
}

// TestNarrowQoS: a filter that is there for another one is not lowered, and a
// client is never granted more than it has asked for.
func TestNarrowQoS(t *testing.T) {
	const v = packets.V5
	c, _ := newNarrowTalk(t, v, map[string][]string{"#": {"a", "b"}})
	c.client("QoS 1", subscribe(v, 1, "a"), Forward, nil)
	c.broker("granted", suback(v, 1, 1), Forward)
	c.client("QoS 0", []byte("\x82\x07\x00\x02\x00\x00\x01#\x00"), Rewrite, []byte("\x82\x0b\x00\x02\x00\x00\x01a\x01\x00\x01b\x00"))
	c.broker("not more than it has asked for", suback(v, 2, 1, 0), Rewrite, suback(v, 2, 0))
	c.client("both in one packet", []byte("\x82\x0b\x00\x02\x00\x00\x01#\x00\x00\x01a\x02"), Rewrite, []byte("\x82\x0b\x00\x02\x00\x00\x01a\x02\x00\x01b\x00"))
	c.broker("each its own", suback(v, 2, 2, 0), Rewrite, suback(v, 2, 0, 2))
	c.client("the other way round", []byte("\x82\x0b\x00\x02\x00\x00\x01#\x02\x00\x01a\x00"), Rewrite, []byte("\x82\x0b\x00\x02\x00\x00\x01a\x02\x00\x01b\x02"))
	c.broker("each its own", suback(v, 2, 2, 2), Rewrite, suback(v, 2, 2, 0))
}

// TestNarrowAgain: with the parts of another SUBSCRIBE those of the one before go.
func TestNarrowAgain(t *testing.T) {
	for _, v := range versions {
		c, n := newNarrowTalk(t, v, nil)
		c.client("whole", subscribe(v, 1, "#"), Forward, nil)
		c.broker("granted", suback(v, 1, 1), Forward)
		n.parts = map[string][]string{"#": {"a", "b"}}
		c.client("narrowed: the whole goes", subscribe(v, 1, "#"), Rewrite, subscribe(v, 1, "a", "b"), unsubscribe(v, 65535, "#"))
		c.broker("its answer is ours", unsuback(v, 65535, 0), Drop)
		n.parts = map[string][]string{"#": {"b", "c"}}
		c.client("before the answer", subscribe(v, 2, "#"), Rewrite, subscribe(v, 2, "b", "c"))
		c.broker("a is granted, which nobody wants any more", suback(v, 1, 1, 1), Rewrite, suback(v, 1, 1))
		if !c.s.Due() {
			t.Fatalf("MQTT %v: it is not let go", v)
		}
		if got := c.s.Unsubscribe(timeZero); !slices.Equal(got, unsubscribe(v, 65535, "a")) || c.s.Due() {
			t.Errorf("MQTT %v: % x", v, got)
		}
		c.broker("ours", unsuback(v, 65535, 0), Drop)
		c.broker("granted", suback(v, 2, 1, 1), Rewrite, suback(v, 2, 1))
		if got := c.s.Subscriptions(); len(got) != 2 {
			t.Errorf("MQTT %v: %q", v, got)
		}
	}
}

// TestNarrowUnsubscribeRefused: the client has what the broker does not end.
func TestNarrowUnsubscribeRefused(t *testing.T) {
	const v = packets.V5
	c, _ := newNarrowTalk(t, v, map[string][]string{"#": {"a", "b"}})
	c.client("narrowed", subscribe(v, 1, "#", "x"), Rewrite, subscribe(v, 1, "a", "b", "x"))
	c.broker("granted", suback(v, 1, 1, 1, 1), Rewrite, suback(v, 1, 1, 1))
	c.client("back", unsubscribe(v, 1, "#", "x"), Rewrite, unsubscribe(v, 1, "a", "b", "x"))
	c.broker("not b, nor x", unsuback(v, 1, 0, 0x83, 0x80), Rewrite, unsuback(v, 1, 0x83, 0x80))
	c.client("again", unsubscribe(v, 1, "#", "x"), Rewrite, unsubscribe(v, 1, "b", "x"))
	c.broker("now", unsuback(v, 1, 0, 0), Rewrite, unsuback(v, 1, 0, 0))
	c.client("whole", subscribe(v, 1, "y"), Forward, nil)
	c.broker("granted", suback(v, 1, 1), Forward)
	c.client("back", unsubscribe(v, 1, "y"), Forward, nil)
	c.broker("no", unsuback(v, 1, 0x80), Forward)
	if h := c.s.subscriptions.held["y"]; h == nil || !h.own {
		t.Errorf("%+v", h)
	}
}

// TestNarrowTwice: a refusal beats a narrowing, and so does another narrowing.
func TestNarrowTwice(t *testing.T) {
	some := Judgement{Narrowed: []string{"a"}}
	no := Judgement{Reason: packets.QuotaExceeded, Rule: "no"}
	for _, tt := range []struct {
		first, second, want Judgement
	}{
		{some, Judgement{}, some},
		{Judgement{}, some, some},
		{some, no, no},
		{no, some, no},
		{some, some, Judgement{Reason: packets.ImplementationSpecificError, Rule: "two filters narrow it"}},
	} {
		v := Verdict{Action: Forward, Filters: []Judgement{tt.first}}
		v.refuse(Verdict{Action: Forward, Filters: []Judgement{tt.second}})
		if got := v.Filters[0]; got.Reason != tt.want.Reason || got.Rule != tt.want.Rule || !slices.Equal(got.Narrowed, tt.want.Narrowed) {
			t.Errorf("%+v and %+v: %+v", tt.first, tt.second, got)
		}
	}
}

// TestNarrowResume: the parts of a filter outlive the connection.
func TestNarrowResume(t *testing.T) {
	for _, v := range versions {
		first, n := newNarrowTalk(t, v, map[string][]string{"#": {"a", "b", "c"}})
		first.client("narrowed", subscribe(v, 1, "#", "a"), Rewrite, subscribe(v, 1, "a", "b", "c"))
		failed := packets.UnspecifiedError
		if v == packets.V31 {
			failed = 1
		}
		first.broker("granted, but for c", suback(v, 1, 1, 1, failed), Rewrite, suback(v, 1, 1, 1))
		c := &talk{t: t, s: &Session{Version: v}, up: Chain{n}, down: Chain{n.down()}}
		c.s.Resume(first.s)
		rest := []string{"b"}
		if v == packets.V31 {
			rest = append(rest, "c")
		}
		c.client("a is asked for itself", unsubscribe(v, 1, "#"), Rewrite, unsubscribe(v, 1, rest...))
		c.broker("ended", unsuback(v, 1, make([]packets.ReasonCode, len(rest))...), unmerged(v), only5(v, unsuback(v, 1, 0)))
		c.client("itself", unsubscribe(v, 1, "a"), Forward, nil)
	}
}
