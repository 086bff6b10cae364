package filters

import (
	"slices"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// rules is a filter whose permission can be withdrawn: what begins with one of
// the denied prefixes is.
type rules struct{ denied []string }

func (r *rules) denies(topic []byte) bool {
	return slices.ContainsFunc(r.denied, func(d string) bool { return len(topic) >= len(d) && string(topic[:len(d)]) == d })
}

func (r *rules) Filter(now time.Time, s *Session, p *packets.Packet) Verdict {
	switch p.Type {
	case packets.PUBLISH:
		if r.denies(p.Topic) {
			return Deny(s, p, packets.NotAuthorized, "rules")
		}
	case packets.SUBSCRIBE:
		return r.Review(now, s, p)
	}
	return Pass()
}

func (r *rules) Review(_ time.Time, _ *Session, p *packets.Packet) Verdict {
	v := Pass()
	switch {
	case p.Type == packets.PUBLISH && r.denies(p.Topic):
		return Verdict{Reason: packets.NotAuthorized, Rule: "rules"}
	case p.Type == packets.SUBSCRIBE:
		for filter := range p.Subscriptions() {
			j := Judgement{}
			if r.denies(filter) {
				j = Judgement{Reason: packets.NotAuthorized, Rule: "rules"}
			}
			v.Filters = append(v.Filters, j)
		}
	}
	return v
}

// down is a filter of deliveries.
func (r *rules) down() Filter {
	return judge(func(_ *Session, p *packets.Packet) Verdict {
		if p.Type == packets.PUBLISH && r.denies(p.Topic) {
			return Withhold("rules")
		}
		return Pass()
	})
}

func ack(v packets.Version, t packets.Type, id uint16) []byte {
	return packets.AppendAck(nil, v, t, id, packets.Success)
}

// talk is a session whose packets a test judges one by one.
type talk struct {
	t        *testing.T
	s        *Session
	up, down Chain
}

func newTalk(t *testing.T, v packets.Version, r *rules) *talk {
	return &talk{t: t, s: &Session{Version: v}, up: Chain{r}, down: Chain{r.down()}}
}

// client sends b, of which want is to become, and Settle is to return due.
func (c *talk) client(say string, b []byte, want Action, bytes []byte, due ...[]byte) {
	c.t.Helper()
	v := c.up.JudgeUp(time.Time{}, c.s, parse(c.t, b, c.s.Version, packets.Client))
	c.check(say, v, want, bytes)
	if got, want := c.s.Settle(time.Time{}), slices.Concat(due...); !slices.Equal(got, want) {
		c.t.Errorf("%s: behind it goes % x, want % x", say, got, want)
	}
}

func (c *talk) broker(say string, b []byte, want Action, bytes ...[]byte) {
	c.t.Helper()
	c.check(say, c.down.JudgeDown(time.Time{}, c.s, parse(c.t, b, c.s.Version, packets.Server)), want, slices.Concat(bytes...))
}

func (c *talk) check(say string, v Verdict, want Action, bytes []byte) {
	c.t.Helper()
	if v.Action != want || !slices.Equal(v.Packet, bytes) {
		c.t.Fatalf("MQTT %v: %s: action %d with % x (%s), want %d with % x", c.s.Version, say, v.Action, v.Packet, v.Rule, want, bytes)
	}
}

// TestRightLostBeforePubrel: the broker never gets the PUBREL of a PUBLISH that
// has lost its right, nor anything else under its identifier.
func TestRightLostBeforePubrel(t *testing.T) {
	for _, v := range versions {
		r := &rules{}
		c := newTalk(t, v, r)
		c.client("it goes on", publish(v, 2, 7, "a/b"), Forward, nil)
		c.broker("the broker has it", ack(v, packets.PUBREC, 7), Forward)
		c.client("another one", publish(v, 2, 8, "c"), Forward, nil)
		c.broker("which it has too", ack(v, packets.PUBREC, 8), Forward)
		r.denied = []string{"a/"}
		c.client("no rule has changed, as far as we were told", publish(v, 0, 0, "x"), Forward, nil)
		c.s.Judged()
		c.client("the right is gone", pubrel(v, 7), Reply, ack(v, packets.PUBCOMP, 7))
		c.client("sent again", pubrel(v, 7), Reply, ack(v, packets.PUBCOMP, 7))
		c.client("the other one has kept its right", pubrel(v, 8), Forward, nil)
		c.broker("and ends", ack(v, packets.PUBCOMP, 8), Forward)
		if open, _ := c.s.InFlight(); open != 1 {
			t.Errorf("MQTT %v: %d in flight; the broker counts the one that it keeps", v, open)
		}
		barred := packets.AppendAck(nil, v, packets.PUBREC, 7, packets.PacketIdentifierInUse)
		c.client("the broker could take it for the other", publish(v, 2, 7, "c"), Reply, barred)
		c.client("of which it still gets nothing", pubrel(v, 7), Reply, ack(v, packets.PUBCOMP, 7))
		c.client("QoS 1 is nothing to confuse", publish(v, 1, 7, "c"), Forward, nil)
		c.broker("acknowledged", ack(v, packets.PUBACK, 7), Forward)
		c.client("nor is a SUBSCRIBE", subscribe(v, 7, "c"), Forward, nil)
		c.client("it has not been forgotten over that", pubrel(v, 7), Reply, ack(v, packets.PUBCOMP, 7))
		if stage := c.s.Stage(8); stage != Idle {
			t.Errorf("MQTT %v: 8 is in stage %d", v, stage)
		}
	}
}

// TestResumeQoS2: what the broker has of an earlier connection is judged again.
func TestResumeQoS2(t *testing.T) {
	for _, v := range versions {
		r := &rules{}
		first := newTalk(t, v, r)
		first.client("it goes on", publish(v, 2, 7, "a/b"), Forward, nil)
		first.broker("the broker has it", ack(v, packets.PUBREC, 7), Forward)
		first.client("and this", publish(v, 2, 8, "a/c"), Forward, nil)
		first.client("QoS 1 is nobody's after a while", publish(v, 1, 9, "d"), Forward, nil)
		r.denied = []string{"a/"}
		first.client("this is refused", publish(v, 2, 10, "a/d"), Reply, packets.AppendAck(nil, v, packets.PUBREC, 10, packets.NotAuthorized))

		c := newTalk(t, v, r)
		c.s.Resume(first.s)
		if open, _ := c.s.InFlight(); open != 0 {
			t.Errorf("MQTT %v: the quota begins with %d [MQTT-4.9.0]", v, open)
		}
		c.client("the right is gone", pubrel(v, 7), Reply, ack(v, packets.PUBCOMP, 7))
		again := publish(v, 2, 8, "a/c")
		again[0] |= 8
		c.client("sent again without the right", again, Reply, packets.AppendAck(nil, v, packets.PUBREC, 8, packets.NotAuthorized))
		if v != packets.V5 {
			c.client("the refusal ends", pubrel(v, 8), Reply, ack(v, packets.PUBCOMP, 8))
		}
		c.client("QoS 1 under the identifier", publish(v, 1, 8, "d"), Forward, nil)
		c.broker("ends", ack(v, packets.PUBACK, 8), Forward)
		c.client("what the broker has of before has still lost its right", pubrel(v, 8), Reply, ack(v, packets.PUBCOMP, 8))
		c.client("another message would be taken for it", publish(v, 2, 8, "d"), Reply, packets.AppendAck(nil, v, packets.PUBREC, 8, packets.PacketIdentifierInUse))
		if v != packets.V5 {
			c.client("the refusal ends", pubrel(v, 10), Reply, ack(v, packets.PUBCOMP, 10))
		}
		c.client("it is forgotten", pubrel(v, 10), Forward, nil)
	}
}

// TestResubscribeDenied: the broker's subscription goes with the right to it,
// and the client does not see how.
func TestResubscribeDenied(t *testing.T) {
	for _, v := range versions {
		r := &rules{}
		c := newTalk(t, v, r)
		refused := suback(v, 2, map[packets.Version]packets.ReasonCode{packets.V31: 1, packets.V311: 0x80, packets.V5: 0x87}[v])
		unsubscribe := func(id uint16, filter string) []byte {
			return packets.AppendUnsubscribe(nil, v, id, nil, [][]byte{[]byte(filter)})
		}
		unsuback := func(id uint16) []byte {
			return packets.AppendUnsuback(nil, v, id, nil, []packets.ReasonCode{packets.Success})
		}
		c.client("subscribed", subscribe(v, 1, "a", "b"), Forward, nil)
		c.broker("granted", suback(v, 1, 1, 1), Forward)
		r.denied = []string{"a", "c"}
		c.client("never had", subscribe(v, 2, "c"), Reply, refused)
		c.client("denied, and taken back", subscribe(v, 2, "a"), Reply, refused, unsubscribe(65535, "a"))
		if !c.s.Owed() {
			t.Errorf("MQTT %v: nothing is owed", v)
		}
		c.client("our identifier is in use", publish(v, 1, 65535, "b"), Hold, nil)
		c.broker("its answer is ours", unsuback(65535), Drop)
		c.client("it is free", publish(v, 1, 65535, "b"), Forward, nil)
		c.client("denied again; it is not held any more", subscribe(v, 2, "a"), Reply, refused)
		if c.s.Owed() || c.s.Subscribed("a") || !c.s.Subscribed("b") {
			t.Errorf("MQTT %v: owed %v, subscribed to %q", v, c.s.Owed(), c.s.Subscriptions())
		}
		c.client("the client's own", unsubscribe(3, "b"), Forward, nil)
		c.broker("is answered once", unsuback(3), Forward)
		if c.s.Subscribed("b") {
			t.Errorf("MQTT %v: still subscribed", v)
		}
		c.s.Resume(nil) // the broker has a session that we do not know
		c.client("may be held", subscribe(v, 2, "a"), Reply, refused, unsubscribe(65534, "a"))
	}
}

// TestUnreleased: what waits for a PUBREL has its time from the first look on. What
// waits for the broker does not wait for it.
func TestUnreleased(t *testing.T) {
	for _, v := range versions {
		c := newTalk(t, v, &rules{denied: []string{"no/"}})
		start := time.Unix(1000, 0)
		look := func(say string, after time.Duration, waits, late bool) {
			t.Helper()
			if waiting, overdue := c.s.Unreleased(start.Add(after), time.Minute); waiting != waits || overdue != late {
				t.Errorf("MQTT %v: %s: waiting %v, overdue %v", v, say, waiting, overdue)
			}
		}
		c.client("it goes on", publish(v, 2, 7, "a"), Forward, nil)
		look("the broker is to answer", 0, false, false)
		c.broker("it has", ack(v, packets.PUBREC, 7), Forward)
		look("the client is to", time.Hour, true, false)
		look("in a minute", time.Hour+time.Minute-1, true, false)
		c.client("another one", publish(v, 2, 6, "a"), Forward, nil)
		c.broker("the broker has it", ack(v, packets.PUBREC, 6), Forward)
		look("whose time begins later", time.Hour+time.Minute-1, true, false)
		look("which is over for the first", time.Hour+time.Minute, true, true)
		c.client("the other goes on", pubrel(v, 6), Forward, nil)
		c.client("it does", pubrel(v, 7), Forward, nil)
		look("the broker is to, again", 3*time.Hour, false, false)
		c.broker("it has", ack(v, packets.PUBCOMP, 7), Forward)
		c.client("the identifier is used again", publish(v, 2, 7, "a"), Forward, nil)
		c.broker("by another PUBLISH", ack(v, packets.PUBREC, 7), Forward)
		look("whose time begins", 4*time.Hour, true, false)
		c.client("it ends", pubrel(v, 7), Forward, nil)
		if v == packets.V5 {
			continue
		}
		refused := ack(v, packets.PUBREC, 8)
		c.client("refused", publish(v, 2, 8, "no/a"), Reply, refused)
		look("a PUBREL is due", 5*time.Hour, true, false)
		c.client("refused again", publish(v, 2, 8, "no/a"), Reply, refused)
		look("which gives it no time", 5*time.Hour+time.Minute, true, true)
		c.client("it ends", pubrel(v, 8), Reply, ack(v, packets.PUBCOMP, 8))
		look("nothing is left", 6*time.Hour, false, false)
	}
}

// TestInFlightOverReconnects: the quota begins anew with each connection (section
// 4.9), but nobody leaves as much behind in each.
func TestInFlightOverReconnects(t *testing.T) {
	const most = 3
	for _, v := range versions {
		s := &Session{Version: v}
		next := func() (c *talk, open int) {
			c = newTalk(t, v, &rules{})
			c.s.Terms.ReceiveMaximum = most
			c.s.Resume(s)
			s = c.s
			open, _ = s.InFlight()
			return c, open
		}
		for n := range uint16(2) {
			c, open := next()
			if open != 0 {
				t.Errorf("MQTT %v: connection %d begins with %d in flight", v, n, open)
			}
			for id := range uint16(most) {
				c.client("it goes on", publish(v, 2, 100*n+id+1, "a"), Forward, nil)
				c.broker("the broker has it", ack(v, packets.PUBREC, 100*n+id+1), Forward)
			}
		}
		c, open := next()
		if open != most {
			t.Errorf("MQTT %v: %d in flight, want all: there are as many of two connections", v, open)
		}
		for id := range uint16(most) { // the client makes up for it
			c.client("it ends", pubrel(v, id+1), Forward, nil)
			if open, _ := s.InFlight(); open != most-1-int(id) {
				t.Errorf("MQTT %v: %d in flight after %d PUBRELs of before", v, open, id+1)
			}
		}
		c.client("a PUBREL of an earlier connection takes no room", publish(v, 2, 1000, "a"), Forward, nil)
		c.broker("nor gives it any", ack(v, packets.PUBCOMP, 1), Forward)
		if open, _ := s.InFlight(); open != 1 {
			t.Errorf("MQTT %v: %d in flight, want 1", v, open)
		}
	}
}

// TestOverdue: only answers that somebody depends on us for have to come in
// time.
func TestOverdue(t *testing.T) {
	const v = packets.V5
	start := time.Unix(1000, 0)
	s, chain := &Session{Version: v}, Chain{guard}
	send := func(b []byte) { chain.JudgeUp(start, s, parse(t, b, v, packets.Client)) }
	send(subscribe(v, 1, "a"))
	if s.Owed() || s.Overdue(start.Add(time.Hour)) {
		t.Error("a SUBSCRIBE that went on as it came is between client and broker")
	}
	send(subscribe(v, 2, "a", "no/a"))
	if !s.Owed() || s.Overdue(start) || !s.Overdue(start.Add(1)) {
		t.Error("one that went on in part is owed from its time on")
	}
	chain.JudgeDown(start, s, parse(t, suback(v, 2, 0), v, packets.Server))
	if s.Owed() || s.Overdue(start.Add(time.Hour)) {
		t.Error("it has been answered")
	}
}

// TestAnswersFit: an answer of the broker has a code for each filter that it was
// sent.
func TestAnswersFit(t *testing.T) {
	unsubscribe := packets.AppendUnsubscribe(nil, packets.V5, 1, nil, [][]byte{[]byte("a"), []byte("b")})
	tests := []struct {
		name          string
		request, says []byte
		want          Action
	}{
		{"as many", subscribe(packets.V5, 1, "a", "b"), suback(packets.V5, 1, 0, 1), Forward},
		{"too few", subscribe(packets.V5, 1, "a", "b"), suback(packets.V5, 1, 0), Disconnect},
		{"too many", subscribe(packets.V5, 1, "a", "b"), suback(packets.V5, 1, 0, 1, 1), Disconnect},
		{"too few, merged", subscribe(packets.V5, 1, "a", "no/b", "c"), suback(packets.V5, 1, 0), Disconnect},
		{"of another kind", subscribe(packets.V5, 1, "a"), packets.AppendUnsuback(nil, packets.V5, 1, nil, []packets.ReasonCode{0}), Disconnect},
		{"UNSUBACK", unsubscribe, packets.AppendUnsuback(nil, packets.V5, 1, nil, []packets.ReasonCode{0, 0x11}), Forward},
		{"UNSUBACK, too few", unsubscribe, packets.AppendUnsuback(nil, packets.V5, 1, nil, []packets.ReasonCode{0}), Disconnect},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, chain := &Session{Version: packets.V5}, Chain{guard}
			chain.JudgeUp(time.Time{}, s, parse(t, tt.request, packets.V5, packets.Client))
			if v := chain.JudgeDown(time.Time{}, s, parse(t, tt.says, packets.V5, packets.Server)); v.Action != tt.want {
				t.Errorf("%+v", v)
			}
		})
	}
}

// TestUnsubscribeMerged: a filter that is kept from the broker is answered in its
// place.
func TestUnsubscribeMerged(t *testing.T) {
	keep := judge(func(_ *Session, p *packets.Packet) Verdict {
		v := Pass()
		if p.Type == packets.UNSUBSCRIBE {
			v.Filters = []Judgement{{}, {Reason: packets.TopicFilterInvalid, Rule: "deep"}, {}}
		}
		return v
	})
	names := func(list ...string) (b [][]byte) {
		for _, n := range list {
			b = append(b, []byte(n))
		}
		return b
	}
	for _, v := range versions {
		s, chain := &Session{Version: v}, Chain{keep}
		got := chain.JudgeUp(time.Time{}, s, parse(t, packets.AppendUnsubscribe(nil, v, 5, nil, names("a", "x", "b")), v, packets.Client))
		if want := packets.AppendUnsubscribe(nil, v, 5, nil, names("a", "b")); got.Action != Rewrite || !slices.Equal(got.Packet, want) {
			t.Fatalf("MQTT %v: %+v", v, got)
		}
		answer := packets.AppendUnsuback(nil, v, 5, nil, []packets.ReasonCode{0, 0x11})
		got = chain.JudgeDown(time.Time{}, s, parse(t, answer, v, packets.Server))
		want, action := packets.AppendUnsuback(nil, v, 5, nil, []packets.ReasonCode{0, packets.TopicFilterInvalid, 0x11}), Rewrite
		if v != packets.V5 {
			want, action = nil, Forward
		}
		if got.Action != action || !slices.Equal(got.Packet, want) {
			t.Errorf("MQTT %v: %+v", v, got)
		}
	}
}
