package quota

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

// slow is a rate that earns nothing while a test runs.
func slow(burst int) ratelimit.Rate { return ratelimit.Rate{PerSecond: 1e-6, Burst: burst} }

func newSession(username, clientID string) *filters.Session {
	return &filters.Session{
		Version: packets.V5, ClientID: clientID, Identity: filters.Identity{Username: username},
	}
}

// up and down are the chains of a session under limits alone.
func up(s *filters.Session, limits ...Limit) filters.Chain {
	return filters.Chain{New(limits, 10, nil).Up()}.Open(s)
}

func down(s *filters.Session, limits ...Limit) filters.Chain {
	return New(limits, 10, nil).Down().Open(s)
}

// publish returns a PUBLISH of size bytes, as much of it streamed as can be.
func publish(v packets.Version, qos packets.QoS, size int) *packets.Packet {
	raw := min(size, 16)
	p := &packets.Packet{
		Type: packets.PUBLISH, Flags: byte(qos) << 1, Version: v,
		Raw: make([]byte, raw), Rest: size - raw, Topic: []byte("t"),
	}
	if qos > 0 {
		p.ID = 7
	}
	return p
}

// parse reads what an Append function of packets has made.
func parse(t testing.TB, v packets.Version, from packets.Role, raw []byte) *packets.Packet {
	t.Helper()
	p, err := packets.Parse(raw, v, from)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func subscribe(t testing.TB, v packets.Version, id uint16, names ...string) *packets.Packet {
	t.Helper()
	var subs []packets.Subscription
	for _, name := range names {
		subs = append(subs, packets.Subscription{Filter: []byte(name), Options: 1})
	}
	return parse(t, v, packets.Client, packets.AppendSubscribe(nil, v, id, nil, subs))
}

func retained(t testing.TB, v packets.Version, topic, payload string) *packets.Packet {
	t.Helper()
	return parse(t, v, packets.Client, packets.AppendPublish(nil, v, 1, []byte(topic), 0, nil, []byte(payload), 0))
}

var versions = []packets.Version{packets.V31, packets.V311, packets.V5}

// TestOverQuota sends two packets, of which the second is over the limit, of every
// quantity of messages that clients send.
func TestOverQuota(t *testing.T) {
	limits := []Limit{
		{What: Messages, Rate: slow(1)},
		{What: Bytes, Rate: slow(100)},
		{What: Retained, Rate: slow(1)},
		{What: Messages, Day: 1},
		{What: Bytes, Day: 100},
		{What: Holds, Most: Most{Messages: 1}},
		{What: Holds, Most: Most{Bytes: 61}},
	}
	for _, l := range limits {
		for _, action := range []Action{Delay, Drop, Disconnect, 99} {
			for _, v := range versions {
				for qos := range packets.QoS(3) {
					l.Rule, l.Action = "the rule", action
					s, now := newSession("user", "client"), time.Now()
					s.Version = v
					c := up(s, l)
					first, second := publish(v, qos, 60), publish(v, qos, 60)
					first.Flags |= 1
					second.Flags |= 1
					second.Topic = []byte("u")
					for _, p := range []*packets.Packet{first, second} {
						p.Payload = make([]byte, 4)
						p.Rest = 44
					}
					if got := c.JudgeUp(now, s, first); got.Action != filters.Forward || got.Delay != 0 {
						t.Errorf("%+v, MQTT %v, QoS %d: within the limit: %+v", l, v, qos, got)
					}
					got := c.JudgeUp(now, s, second)
					want := filters.Deny(s, second, packets.QuotaExceeded, "the rule")
					if action > Drop {
						want = filters.Verdict{Action: filters.Disconnect, Reason: packets.MessageRateTooHigh, Rule: "the rule"}
						if l.Day > 0 || l.What == Holds {
							want.Reason = packets.QuotaExceeded
						}
					}
					// With Delay: it would wait for longer than it may.
					if got.Action != want.Action || got.Reason != want.Reason || got.Rule != want.Rule || !bytes.Equal(got.Packet, want.Packet) || got.Delay != 0 {
						t.Errorf("%+v, MQTT %v, QoS %d: %+v, want %+v", l, v, qos, got, want)
					}
				}
			}
		}
	}
}

// TestSubscribes counts Topic Filters, of both requests.
func TestSubscribes(t *testing.T) {
	for _, action := range []Action{Delay, Drop, Disconnect} {
		for _, v := range versions {
			s, now := newSession("user", "client"), time.Now()
			s.Version = v
			c := up(s, Limit{Rule: "the rule", What: Subscribes, Action: action, Rate: slow(3)})
			if got := c.JudgeUp(now, s, subscribe(t, v, 1, "a", "b")); got.Action != filters.Forward {
				t.Errorf("MQTT %v: two of three: %+v", v, got)
			}
			got := c.JudgeUp(now, s, subscribe(t, v, 2, "c", "d"))
			if action == Disconnect {
				if got.Action != filters.Disconnect || got.Reason != packets.MessageRateTooHigh {
					t.Errorf("MQTT %v: four of three: %+v", v, got)
				}
				continue
			}
			code := map[packets.Version]packets.ReasonCode{packets.V31: 1, packets.V311: packets.UnspecifiedError, packets.V5: packets.QuotaExceeded}[v]
			want := packets.AppendSuback(nil, v, 2, nil, []packets.ReasonCode{code, code})
			if got.Action != filters.Reply || !bytes.Equal(got.Packet, want) {
				t.Errorf("MQTT %v: four of three: %+v, want % x", v, got, want)
			}
			gone := parse(t, v, packets.Client, packets.AppendUnsubscribe(nil, v, 3, nil, [][]byte{[]byte("a"), []byte("b")}))
			if got := c.JudgeUp(now, s, gone); got.Action != filters.Forward || got.Delay != maxWait {
				t.Errorf("MQTT %v: an UNSUBSCRIBE, which cannot be refused: %+v", v, got)
			}
			if got := c.JudgeUp(now, s, subscribe(t, v, 4, "c")); got.Action != filters.Forward || got.Delay != 0 {
				t.Errorf("MQTT %v: what was refused has taken something: %+v", v, got)
			}
		}
	}
}

// TestPackets counts everything that a client does of itself.
func TestPackets(t *testing.T) {
	for typ := packets.CONNECT; typ <= packets.AUTH; typ++ {
		s, now := newSession("user", "client"), time.Now()
		c := up(s, Limit{Rule: "the rule", What: Packets, Action: Disconnect, Rate: slow(0)})
		v := c[0].Filter(now, s, &packets.Packet{Type: typ, Raw: []byte{byte(typ) << 4, 0}})
		counts := typ != packets.CONNECT && typ != packets.DISCONNECT
		if counts != (v.Action == filters.Disconnect && v.Reason == packets.MessageRateTooHigh) {
			t.Errorf("%v: %+v", typ, v)
		}
	}
	s, now := newSession("user", "client"), time.Now()
	c := up(s, Limit{What: Packets, Rate: ratelimit.Rate{PerSecond: 10, Burst: 1}})
	ping := &packets.Packet{Type: packets.PINGREQ, Raw: []byte{0xc0, 0}}
	for i := range 5 {
		if v := c.JudgeUp(now, s, ping); v.Action != filters.Forward || v.Delay != time.Duration(i)*100*time.Millisecond {
			t.Errorf("PINGREQ %d: %+v", i, v)
		}
	}
}

// TestAwaitedAnswersAreFree: who is sent a lot acknowledges a lot.
func TestAwaitedAnswersAreFree(t *testing.T) {
	const v = packets.V311
	s, now := newSession("user", "client"), time.Now()
	s.Version = v
	c := up(s, Limit{Rule: "the rule", What: Packets, Action: Disconnect, Rate: slow(0)})
	sent := parse(t, v, packets.Server, packets.AppendPublish(nil, v, 2, []byte("t"), 9, nil, nil, 0))
	filters.Chain{pass{}}.JudgeDown(now, s, sent)
	ack := parse(t, v, packets.Client, packets.AppendAck(nil, v, packets.PUBACK, 9, 0))
	if got := c.JudgeUp(now, s, ack); got.Action != filters.Forward {
		t.Errorf("the answer to a PUBLISH: %+v", got)
	}
	if got := c.JudgeUp(now, s, ack); got.Action != filters.Disconnect {
		t.Errorf("a second one: %+v", got)
	}
}

type pass struct{}

func (pass) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Pass()
}

// TestDeliveries withholds what is over the limit, or lets it wait.
func TestDeliveries(t *testing.T) {
	for _, l := range []Limit{{What: Deliveries, Rate: ratelimit.Rate{PerSecond: 1, Burst: 1}}, {What: DeliveredBytes, Rate: ratelimit.Rate{PerSecond: 60, Burst: 60}}} {
		for _, v := range versions {
			for qos := range packets.QoS(3) {
				l.Rule = "the rule"
				judge := func(action Action) filters.Verdict {
					s, now := newSession("user", "client"), time.Now()
					s.Version, l.Action = v, action
					c := down(s, l)
					if got := c.JudgeDown(now, s, publish(v, 0, 60)); got.Action != filters.Forward || got.Delay != 0 {
						t.Errorf("%+v, MQTT %v: within the limit: %+v", l, v, got)
					}
					return c.JudgeDown(now, s, publish(v, qos, 60))
				}
				if got := judge(Delay); got.Action != filters.Forward || got.Delay != time.Second {
					t.Errorf("%+v, MQTT %v, QoS %d: %+v", l, v, qos, got)
				}
				want := filters.Drop
				if qos > 0 {
					want = filters.Reply // the flow is finished towards the broker
				}
				if got := judge(Drop); got.Action != want || got.Rule != "the rule" || got.Reason != packets.QuotaExceeded {
					t.Errorf("%+v, MQTT %v, QoS %d: %+v", l, v, qos, got)
				}
				if got := judge(Disconnect); got.Action != filters.Disconnect || got.Reason != packets.QuotaExceeded {
					t.Errorf("%+v, MQTT %v, QoS %d: %+v", l, v, qos, got)
				}
			}
		}
	}
	s := newSession("user", "client")
	if c := down(s, Limit{What: Messages, Rate: slow(0)}); len(c) != 0 {
		t.Error("there is a filter of deliveries where none are limited")
	}
}

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

// TestWhom: each list that is given has to match.
func TestWhom(t *testing.T) {
	s := newSession("bob", "client")
	s.Listener, s.Identity.Groups = "lan", []string{"line-a", "robots"}
	for _, test := range []struct {
		users, groups, listeners string // separated by spaces
		want                     bool
	}{
		{"", "", "", true},
		{"bob", "", "", true},
		{"eve b*", "", "", true},
		{"eve", "", "", false},
		{"", "line-*", "", true},
		{"", "line-b robots", "", true},
		{"", "line-b", "", false},
		{"", "", "lan", true},
		{"", "", "wan", false},
		{"bob", "line-a", "lan", true},
		{"bob", "line-a", "wan", false},
		{"bob", "line-b", "lan", false},
	} {
		l := Limit{
			Users: strings.Fields(test.users), Groups: strings.Fields(test.groups), Listeners: strings.Fields(test.listeners),
			What: Messages, Action: Drop, Rate: slow(0),
		}
		if v := up(s, l).JudgeUp(time.Now(), s, publish(s.Version, 0, 60)); (v.Action == filters.Drop) != test.want {
			t.Errorf("%+v: %+v", test, v)
		}
	}
	s.Renew(filters.Identity{Username: "bob", Groups: []string{"line-c"}})
	if v := up(s, Limit{Groups: []string{"line-c"}, What: Messages, Action: Drop, Rate: slow(0)}).JudgeUp(time.Now(), s, publish(s.Version, 0, 60)); v.Action != filters.Drop {
		t.Errorf("a group that a new token gives: %+v", v)
	}
	nobody := newSession("", "client")
	if v := up(nobody, Limit{Groups: []string{"*"}, What: Messages, Action: Drop, Rate: slow(0)}).JudgeUp(time.Now(), nobody, publish(packets.V5, 0, 60)); v.Action != filters.Forward {
		t.Errorf("who is in no group: %+v", v)
	}
}

// TestTopics: only messages to them count.
func TestTopics(t *testing.T) {
	s, now := newSession("user", "client"), time.Now()
	c := up(s, Limit{Topics: []string{"line/#", "hall/+"}, What: Messages, Action: Drop, Rate: slow(2)})
	for i, test := range []struct {
		topic string
		want  filters.Action
	}{{"other", filters.Forward}, {"hall/1", filters.Forward}, {"hall/1/2", filters.Forward}, {"line", filters.Forward}, {"line/1", filters.Drop}, {"other", filters.Forward}} {
		p := publish(s.Version, 0, 60)
		p.Topic = []byte(test.topic)
		if got := c[0].(filters.Passer).Passes(now, s, p); got != (test.want == filters.Forward) {
			t.Errorf("%d: %s passes: %v", i, test.topic, got)
		} else if !got {
			if v := c.JudgeUp(now, s, p); v.Action != test.want {
				t.Errorf("%d: %s: %+v", i, test.topic, v)
			}
		}
	}
}

// TestSharing has one client spend its quota, then another publish.
func TestSharing(t *testing.T) {
	tests := []struct {
		name             string
		username, id     string
		otherUser, other string
		shares           [3]bool // by Sharing
	}{
		{"the same, in another session", "u", "c", "u", "c", [3]bool{true, true, true}},
		{"another client id", "u", "c", "u", "d", [3]bool{false, true, true}},
		{"another identity", "u", "c", "v", "c", [3]bool{false, false, true}},
		{"names that run together", "ab", "c", "a", "bc", [3]bool{false, false, true}},
		{"anonymous", "", "c", "", "d", [3]bool{false, true, true}},
	}
	for _, test := range tests {
		for per, shares := range test.shares {
			q, now := New([]Limit{{What: Messages, Per: Sharing(per), Action: Drop, Rate: slow(1)}}, 10, nil), time.Now()
			first := newSession(test.username, test.id)
			chain := filters.Chain{q.Up()}.Open(first)
			if v := chain.JudgeUp(now, first, publish(packets.V5, 0, 60)); v.Action != filters.Forward {
				t.Errorf("%s: the first: %+v", test.name, v)
			}
			chain.Close()
			second := newSession(test.otherUser, test.other)
			v := filters.Chain{q.Up()}.Open(second).JudgeUp(now, second, publish(packets.V5, 0, 60))
			if got := v.Action == filters.Drop; got != shares {
				t.Errorf("%s, %d: %+v", test.name, per, v)
			}
		}
	}
}

// TestCloseMakesRoom counts who finds a token: the 64 shared buckets of
// ratelimit have one each, and one more is there if the room of the session
// that ended was given to the next.
func TestCloseMakesRoom(t *testing.T) {
	for _, closed := range []bool{false, true} {
		q, now := New([]Limit{{What: Messages, Action: Drop, Rate: slow(1)}}, 1, nil), time.Now()
		s := newSession("user", "gone")
		c := filters.Chain{q.Up()}.Open(s)
		empty := publish(packets.V5, 0, 0)
		c[0].(*session).counts[0].acquire(now, s) // and takes nothing
		if c.JudgeUp(now, s, empty); closed {
			c[0].(*session).counts[0].bucket.Put(1)
			c.Close()
		}
		passed := 0
		for i := range 5000 {
			s := newSession("user", strconv.Itoa(i))
			if v := (filters.Chain{q.Up()}).Open(s).JudgeUp(now, s, publish(packets.V5, 0, 60)); v.Action == filters.Forward {
				passed++
			}
		}
		want := 64
		if closed {
			want++
		}
		if passed != want {
			t.Errorf("closed: %v: %d passed, want %d", closed, passed, want)
		}
	}
}

// TestIdleTakesNothing: who sends nothing has no buckets.
func TestIdleTakesNothing(t *testing.T) {
	s := newSession("user", "client")
	c := up(s, Limit{What: Packets, Rate: slow(1)}, Limit{What: Messages, Rate: slow(1)})[0].(*session)
	c.Filter(time.Now(), s, &packets.Packet{Type: packets.PINGREQ, Raw: []byte{0xc0, 0}})
	if c.counts[0].bucket == nil || c.counts[1].bucket != nil {
		t.Error("not the buckets that are needed are there")
	}
	c.Close()
}

func TestUnopened(t *testing.T) {
	s := newSession("user", "client")
	for _, c := range []filters.Chain{{New(nil, 10, nil).Up()}, New([]Limit{{What: Deliveries}}, 10, nil).Down()} {
		if v := c[0].Filter(time.Now(), s, publish(packets.V5, 0, 60)); v.Action != filters.Disconnect {
			t.Errorf("a quota of nobody lets packets pass: %+v", v)
		}
	}
}

// TestShortWayTakesAll or nothing: a packet that is too large has not been a
// message yet.
func TestShortWayTakesAll(t *testing.T) {
	s, now := newSession("user", "client"), time.Now()
	f := up(s, Limit{What: Messages, Action: Drop, Rate: slow(2)}, Limit{What: Bytes, Action: Drop, Rate: slow(100)})[0].(filters.Passer)
	for i, test := range []struct {
		size   int
		passes bool
	}{{101, false}, {101, false}, {101, false}, {60, true}, {60, false}, {40, true}, {0, false}} {
		if f.Passes(now, s, publish(s.Version, 0, test.size)) != test.passes {
			t.Errorf("packet %d, of %d bytes, passes: %v", i, test.size, !test.passes)
		}
	}
	if f.Passes(now, s, &packets.Packet{Type: packets.PINGREQ}) {
		t.Error("another packet takes the short way, on which it would not be counted")
	}
}

// TestRuns: within a run as much passes as one by one, and what was taken in advance
// is there for what comes behind it.
func TestRuns(t *testing.T) {
	now := time.Now()
	for _, per := range []Sharing{PerClient, PerAll} {
		for burst := range 70 {
			q := New([]Limit{{What: Messages, Per: per, Action: Drop, Rate: slow(burst)}, {What: Bytes, Per: per, Action: Drop, Rate: slow(10 * burst)}}, 10, nil)
			s, passed := newSession("user", "client"), 0
			next := filters.Chain{q.Up()}
			for _, run := range []int{1, 3, 20, 5, 100} {
				c := next.Open(s)
				now = now.Add(time.Millisecond)
				for range run {
					if _, all := c.Passes(now, s, publish(s.Version, 0, 10)); all {
						passed++
					}
				}
				if run%2 == 0 { // by the long way, at the same time
					if v := c.JudgeUp(now, s, publish(s.Version, 0, 10)); v.Action == filters.Forward {
						passed++
					}
				}
				if run > 1 {
					c.Close()
				}
			}
			if passed != burst {
				t.Errorf("%d: %d of %d have passed", per, passed, burst)
			}
		}
	}
}

// TestRunsTakeNothingFromOthers: what a run has taken in advance is no more when it is
// over, by whatever way, and nothing is taken of what is shared.
func TestRunsTakeNothingFromOthers(t *testing.T) {
	short := func(c filters.Chain, now time.Time, s *filters.Session, n int) (passed int) {
		for range n {
			if _, all := c.Passes(now, s, publish(s.Version, 0, 10)); all {
				passed++
			}
		}
		return passed
	}
	long := func(c filters.Chain, now time.Time, s *filters.Session, n int) (passed int) {
		for range n {
			if c.JudgeUp(now, s, publish(s.Version, 0, 10)).Action == filters.Forward {
				passed++
			}
		}
		return passed
	}
	for per, ways := range map[Sharing]map[string]func(q *Quota, c filters.Chain, now time.Time, s *filters.Session) int{
		PerClient: {
			"an hour later, when all is earned again": func(_ *Quota, c filters.Chain, now time.Time, s *filters.Session) int {
				return short(c, now.Add(time.Hour), s, 50) - 2
			},
			"by the long way": func(_ *Quota, c filters.Chain, now time.Time, s *filters.Session) int { return long(c, now, s, 50) },
			"in another session": func(q *Quota, c filters.Chain, now time.Time, s *filters.Session) int {
				c.Close()
				return short(filters.Chain{q.Up()}.Open(s), now, s, 50)
			},
		},
		PerUser: {
			"of another client": func(q *Quota, _ filters.Chain, now time.Time, _ *filters.Session) int {
				other := newSession("user", "other")
				return short(filters.Chain{q.Up()}.Open(other), now, other, 50)
			},
		},
	} {
		for name, way := range ways {
			q := New([]Limit{{What: Messages, Per: per, Action: Drop, Rate: ratelimit.Rate{PerSecond: 1, Burst: 20}}}, 10, nil)
			s, now := newSession("user", "client"), time.Now()
			c := filters.Chain{q.Up()}.Open(s)
			if n := short(c, now, s, 2); n != 2 {
				t.Fatalf("%d of 2 have passed", n)
			}
			if n := way(q, c, now, s); n != 18 {
				t.Errorf("%s: %d of 18 have passed", name, n)
			}
		}
	}
}

// TestNamespaces: the same identifier in two namespaces is two clients.
func TestNamespaces(t *testing.T) {
	q, now := New([]Limit{{What: Messages, Action: Drop, Rate: slow(1)}}, 10, nil), time.Now()
	for _, tt := range []struct {
		prefix string
		want   filters.Action
	}{{"a-", filters.Forward}, {"b-", filters.Forward}, {"a-", filters.Drop}} {
		s := newSession("user", "client")
		s.Namespace.ClientIDs = tt.prefix
		if v := (filters.Chain{q.Up()}).Open(s).JudgeUp(now, s, publish(s.Version, 0, 60)); v.Action != tt.want {
			t.Errorf("%s: %+v, want %d", tt.prefix, v, tt.want)
		}
	}
}

// TestInherit: what is used of a limit outlives a change of whom it is for and what
// it does, and of other limits; not one of what it allows.
func TestInherit(t *testing.T) {
	old := Limit{Rule: "a", What: Messages, Action: Drop, Rate: slow(1)}
	edited := func(edit func(*Limit)) Limit { l := old; edit(&l); return l }
	for _, test := range []struct {
		name   string
		limits []Limit
		keeps  bool
	}{
		{"nothing changed", []Limit{old}, true},
		{"another in front", []Limit{{Rule: "b", What: Messages, Rate: slow(9)}, old}, true},
		{"the action", []Limit{edited(func(l *Limit) { l.Action = Disconnect })}, true},
		{"the users", []Limit{edited(func(l *Limit) { l.Users = []string{"*"} })}, true},
		{"the name", []Limit{edited(func(l *Limit) { l.Rule = "b" })}, false},
		{"the burst", []Limit{edited(func(l *Limit) { l.Rate.Burst = 2 })}, false},
		{"the sharing", []Limit{edited(func(l *Limit) { l.Per = PerAll })}, false},
		{"a day", []Limit{edited(func(l *Limit) { l.Rate, l.Day = ratelimit.Rate{}, 1 })}, false},
	} {
		first, now := New([]Limit{old}, 10, nil), time.Now()
		s := newSession("user", "client")
		filters.Chain{first.Up()}.Open(s).JudgeUp(now, s, publish(s.Version, 0, 60))
		v := filters.Chain{New(test.limits, 10, first).Up()}.Open(s).JudgeUp(now, s, publish(s.Version, 0, 60))
		if keeps := v.Action != filters.Forward; keeps != test.keeps {
			t.Errorf("%s: %+v", test.name, v)
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

// TestNeverMore floods with several clients and all actions: over any time never
// more goes on than the rate and the burst allow, whoever shares them.
func TestNeverMore(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		l := Limit{
			What: []Quantity{Messages, Bytes, Subscribes, Retained}[random.IntN(4)], Per: Sharing(random.IntN(3)), Action: Action(random.IntN(2)),
			Rate: ratelimit.Rate{PerSecond: 1 + 50*random.Float64(), Burst: 60 + random.IntN(100)},
		}
		q, start := New([]Limit{l}, 100, nil), time.Now()
		type passed struct {
			at time.Time
			n  int
		}
		went := map[key][]passed{}
		clients := make([]*filters.Session, 1+random.IntN(5))
		chains, free := make([]filters.Chain, len(clients)), make([]time.Time, len(clients))
		for i := range clients {
			clients[i] = newSession(strconv.Itoa(i%2), strconv.Itoa(i))
			clients[i].Terms.KeepAlive = time.Duration(random.IntN(90)) * time.Second
			chains[i], free[i] = filters.Chain{q.Up()}.Open(clients[i]), start
		}
		for range 400 {
			i := random.IntN(len(clients))
			for j := range free { // the one that is free first, so that time runs
				if free[j].Before(free[i]) {
					i = j
				}
			}
			now, s := free[i], clients[i]
			p := publish(s.Version, 0, 1+random.IntN(100))
			p.Flags |= 1
			if l.What == Subscribes {
				p = subscribe(t, s.Version, 1, strings.Fields(strings.Repeat("a ", 1+random.IntN(8)))...)
			}
			v := chains[i][0].Filter(now, s, p)
			if v.Action == filters.Forward && v.Filters == nil {
				k := q.limits[0].key(s)
				went[k] = append(went[k], passed{now.Add(v.Delay), l.amount(s, p)})
			}
			free[i] = now.Add(v.Delay + time.Duration(random.IntN(100))*time.Millisecond)
		}
		for k, list := range went {
			for i := range list {
				total := 0
				for _, other := range list {
					if since := other.at.Sub(list[i].at); since < 0 {
						continue
					}
					total += other.n
				}
				latest := list[i].at
				for _, other := range list {
					if other.at.After(latest) {
						latest = other.at
					}
				}
				// A packet larger than the burst is let through when all of it is paid.
				if most := l.Rate.PerSecond*latest.Sub(list[i].at).Seconds() + float64(max(l.Rate.Burst, 100)); float64(total) > most+1e-3 {
					t.Fatalf("seed %d, %+v, %v: %d in %v, %.3f are allowed", seed, l, k, total, latest.Sub(list[i].at), most)
				}
			}
		}
	}
}

// TestNeverStarves: a client within its rate neither waits nor loses anything,
// however others flood.
func TestNeverStarves(t *testing.T) {
	for _, action := range []Action{Delay, Drop, Disconnect} {
		limits := []Limit{
			{Rule: "a", What: Packets, Action: action, Rate: ratelimit.Rate{PerSecond: 11, Burst: 2}},
			{Rule: "b", What: Messages, Action: action, Rate: ratelimit.Rate{PerSecond: 11, Burst: 2}},
			{Rule: "c", What: Bytes, Action: action, Rate: ratelimit.Rate{PerSecond: 660, Burst: 60}},
			{Rule: "d", What: Messages, Action: action, Day: 2000},
		}
		if action == Drop {
			limits = limits[1:]
		}
		q, now := New(limits, 20, nil), time.Now()
		honest, flooder := newSession("honest", "h"), newSession("flooder", "f")
		good := filters.Chain{q.Up()}.Open(honest)
		for i := range 1000 {
			now = now.Add(100 * time.Millisecond)
			if v := good.JudgeUp(now, honest, publish(packets.V5, 0, 60)); v.Action != filters.Forward || v.Delay != 0 {
				t.Fatalf("action %d, message %d: %+v", action, i, v)
			}
			for range 20 {
				flooder.ClientID = strconv.Itoa(i) // as many clients as there are
				bad := filters.Chain{q.Up()}.Open(flooder)
				bad.JudgeUp(now, flooder, publish(packets.V5, 0, 600))
				bad.Close()
			}
		}
	}
}

func TestNoAllocations(t *testing.T) {
	fast := ratelimit.Rate{PerSecond: 1e9, Burst: 1e9}
	s, now, p := newSession("user", "client"), time.Now(), publish(packets.V5, 0, 60)
	for _, action := range []Action{Delay, Drop} {
		c := up(s, Limit{What: Packets, Action: action, Rate: fast}, Limit{What: Bytes, Action: action, Rate: fast, Topics: []string{"+"}},
			Limit{What: Messages, Day: 1e9}, Limit{What: Holds, Most: Most{Messages: 1}})
		c[0].Filter(now, s, p)
		if n := testing.AllocsPerRun(100, func() { c[0].Filter(now, s, p) }); n != 0 {
			t.Errorf("a packet allocates %v times", n)
		}
		if n := testing.AllocsPerRun(100, func() {
			c[0].(filters.Passer).Passes(now, s, p)
			now = now.Add(time.Duration(s.WillSize % 2))
			s.WillSize++
		}); n != 0 {
			t.Errorf("a packet allocates %v times on the short way", n)
		}
		r := retained(t, packets.V5, "t", "x")
		c.JudgeUp(now, s, r)
		if n := testing.AllocsPerRun(100, func() { c.JudgeUp(now, s, r) }); n != 0 {
			t.Errorf("a retained message allocates %v times", n)
		}
	}
}

// usual are the limits that every client has.
func usual() []Limit {
	fast := ratelimit.Rate{PerSecond: 1e9, Burst: 1e9}
	return []Limit{{What: Packets, Rate: fast}, {What: Messages, Rate: fast}, {What: Bytes, Rate: fast}, {What: Subscribes, Rate: fast}}
}

func BenchmarkFilter(b *testing.B) {
	s, now, p := newSession("user", "client"), time.Now(), publish(packets.V5, 0, 60)
	c := up(s, usual()...)
	for b.Loop() {
		c[0].Filter(now, s, p)
	}
}

// BenchmarkPasses lets messages pass by the short way, each with a time of its own and
// in a run.
func BenchmarkPasses(b *testing.B) {
	for name, length := range map[string]int{"single": 1, "run": 32} {
		b.Run(name, func(b *testing.B) {
			s, now, p := newSession("user", "client"), time.Now(), publish(packets.V5, 0, 60)
			f := up(s, usual()...)[0].(filters.Passer)
			for i := 0; b.Loop(); i++ {
				if i%length == 0 {
					now = now.Add(10 * time.Microsecond)
				}
				f.Passes(now, s, p)
			}
		})
	}
}
