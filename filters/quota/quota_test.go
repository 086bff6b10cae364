package quota

import (
	"bytes"
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

func (pass) Filter(time.Time, *filters.Session, *packets.Packet) filters.Verdict {
	return filters.Pass()
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
