package quota

import (
	"bytes"
	"strconv"
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

// publish returns a PUBLISH of size bytes, as much of it streamed as can be.
func publish(qos packets.QoS, size int) *packets.Packet {
	raw := min(size, 16)
	return &packets.Packet{
		Type: packets.PUBLISH, Flags: byte(qos) << 1, Version: packets.V5,
		Raw: make([]byte, raw), Rest: size - raw, ID: 7, Topic: []byte("t"),
	}
}

// TestOverQuota sends two packets, of which the second is over the quota.
func TestOverQuota(t *testing.T) {
	tests := []struct {
		name    string
		version packets.Version
		action  Action
		qos     packets.QoS
		want    filters.Action
		reason  packets.ReasonCode
		reply   packets.Type
	}{
		{"drop QoS 0", packets.V5, Drop, 0, filters.Drop, packets.QuotaExceeded, 0},
		{"drop QoS 1", packets.V5, Drop, 1, filters.Reply, packets.QuotaExceeded, packets.PUBACK},
		{"drop QoS 2", packets.V5, Drop, 2, filters.Reply, packets.QuotaExceeded, packets.PUBREC},
		{"drop QoS 0 of 3.1.1", packets.V311, Drop, 0, filters.Drop, packets.QuotaExceeded, 0},
		{"drop QoS 1 of 3.1.1", packets.V311, Drop, 1, filters.Reply, packets.QuotaExceeded, packets.PUBACK},
		{"disconnect", packets.V5, Disconnect, 1, filters.Disconnect, packets.MessageRateTooHigh, 0},
		{"an action that does not exist", packets.V5, 99, 0, filters.Disconnect, packets.MessageRateTooHigh, 0},
	}
	limits := map[string]func(Action) Limits{
		"limits.publish_rate":  func(a Action) Limits { return Limits{Messages: slow(1), MessagesAction: a} },
		"limits.publish_bytes": func(a Action) Limits { return Limits{Bytes: slow(100), BytesAction: a} },
	}
	for _, test := range tests {
		for rule, limits := range limits {
			s, now := newSession("user", "client"), time.Now()
			s.Version = test.version
			f := New(limits(test.action), 10).Open(s)
			if v := f.Filter(now, s, publish(test.qos, 60)); v.Action != filters.Forward || v.Delay != 0 {
				t.Errorf("%s: %s: within the quota: %+v", test.name, rule, v)
			}
			v := f.Filter(now, s, publish(test.qos, 60))
			if v.Action != test.want || v.Reason != test.reason || v.Rule != rule {
				t.Errorf("%s: %s: %+v", test.name, rule, v)
			}
			if test.reply == 0 {
				continue
			}
			if want := packets.AppendAck(nil, s.Version, test.reply, 7, test.reason); !bytes.Equal(v.Packet, want) {
				t.Errorf("%s: %s: reply % x, want % x", test.name, rule, v.Packet, want)
			}
		}
	}
}

func TestDelay(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		want   time.Duration // of the second packet, of 200 bytes
	}{
		{"messages", Limits{Messages: ratelimit.Rate{PerSecond: 2, Burst: 1}}, 500 * time.Millisecond},
		{"bytes", Limits{Bytes: ratelimit.Rate{PerSecond: 100, Burst: 100}}, 3 * time.Second},
		{"the longer: bytes", Limits{
			Messages: ratelimit.Rate{PerSecond: 2, Burst: 1},
			Bytes:    ratelimit.Rate{PerSecond: 100, Burst: 100},
		}, 3 * time.Second},
		{"the longer: messages", Limits{
			Messages: ratelimit.Rate{PerSecond: 0.1, Burst: 1},
			Bytes:    ratelimit.Rate{PerSecond: 100, Burst: 100},
		}, 10 * time.Second},
		{"no limit", Limits{}, 0},
	}
	for _, test := range tests {
		s := newSession("user", "client")
		f := New(test.limits, 10).Open(s)
		now := time.Now()
		f.Filter(now, s, publish(0, 200))
		if v := f.Filter(now, s, publish(0, 200)); v.Action != filters.Forward || v.Delay != test.want {
			t.Errorf("%s: %+v, want %v", test.name, v, test.want)
		}
	}
}

func TestOthersAreFree(t *testing.T) {
	s, now := newSession("user", "client"), time.Now()
	f := New(Limits{Messages: slow(0), Bytes: slow(0), MessagesAction: Disconnect, BytesAction: Disconnect}, 10).Open(s)
	for typ := packets.CONNECT; typ <= packets.AUTH; typ++ {
		v := f.Filter(now, s, &packets.Packet{Type: typ, Raw: []byte{byte(typ) << 4, 0}})
		if judged := v.Action != filters.Forward; judged != (typ == packets.PUBLISH) {
			t.Errorf("%v: %+v", typ, v)
		}
	}
}

// TestClients has one client spend its quota, then another publish.
func TestClients(t *testing.T) {
	tests := []struct {
		name             string
		username, id     string
		otherUser, other string
		shares           bool
	}{
		{"the same, in another session", "u", "c", "u", "c", true},
		{"another client id", "u", "c", "u", "d", false},
		{"another identity", "u", "c", "v", "c", false},
		{"names that run together", "ab", "c", "a", "bc", false},
		{"anonymous", "", "c", "", "d", false},
	}
	for _, test := range tests {
		q, now := New(Limits{Messages: slow(1), MessagesAction: Drop}, 10), time.Now()
		first := newSession(test.username, test.id)
		chain := filters.Chain{q}.Open(first)
		if v := chain.JudgeUp(now, first, publish(0, 60)); v.Action != filters.Forward {
			t.Errorf("%s: the first: %+v", test.name, v)
		}
		chain.Close()
		second := newSession(test.otherUser, test.other)
		v := filters.Chain{q}.Open(second).JudgeUp(now, second, publish(0, 60))
		if shares := v.Action == filters.Drop; shares != test.shares {
			t.Errorf("%s: %+v", test.name, v)
		}
	}
}

// TestCloseMakesRoom counts who finds a token: the 64 shared buckets of
// ratelimit have one each, and one more is there if the room of the session
// that ended was given to the next.
func TestCloseMakesRoom(t *testing.T) {
	for _, closed := range []bool{false, true} {
		q, now := New(Limits{Messages: slow(1), MessagesAction: Drop}, 1), time.Now()
		f := q.Open(newSession("user", "gone"))
		if closed {
			f.(filters.Closer).Close()
		}
		passed := 0
		for i := range 5000 {
			s := newSession("user", strconv.Itoa(i))
			if v := q.Open(s).Filter(now, s, publish(0, 60)); v.Action == filters.Forward {
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

func TestUnopened(t *testing.T) {
	s := newSession("user", "client")
	if v := New(Limits{}, 10).Filter(time.Now(), s, publish(0, 60)); v.Action != filters.Disconnect {
		t.Errorf("a quota of nobody lets packets pass: %+v", v)
	}
}

// TestShortWayTakesAll or nothing: a packet that is too large has not been a
// message yet.
func TestShortWayTakesAll(t *testing.T) {
	s, now := newSession("user", "client"), time.Now()
	f := New(Limits{Messages: slow(2), Bytes: slow(100), MessagesAction: Drop, BytesAction: Drop}, 10).Open(s).(filters.Passer)
	for i, test := range []struct {
		size   int
		passes bool
	}{{101, false}, {101, false}, {101, false}, {60, true}, {60, false}, {40, true}, {0, false}} {
		if f.Passes(now, s, publish(0, test.size)) != test.passes {
			t.Errorf("packet %d, of %d bytes, passes: %v", i, test.size, !test.passes)
		}
	}
	if !f.Passes(now, s, &packets.Packet{Type: packets.PINGREQ}) {
		t.Error("another packet does not pass")
	}
}

func TestNoAllocations(t *testing.T) {
	fast := ratelimit.Rate{PerSecond: 1e9, Burst: 1e9}
	s, now, p := newSession("user", "client"), time.Now(), publish(0, 60)
	for _, action := range []Action{Delay, Drop} {
		f := New(Limits{fast, fast, action, action}, 10).Open(s)
		if n := testing.AllocsPerRun(100, func() { f.Filter(now, s, p) }); n != 0 {
			t.Errorf("a packet allocates %v times", n)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	fast := ratelimit.Rate{PerSecond: 1e9, Burst: 1e9}
	s, now, p := newSession("user", "client"), time.Now(), publish(0, 60)
	f := New(Limits{Messages: fast, Bytes: fast}, 10).Open(s)
	for b.Loop() {
		f.Filter(now, s, p)
	}
}

// TestNamespaces: the same identifier in two namespaces is two clients.
func TestNamespaces(t *testing.T) {
	q, now := New(Limits{Messages: slow(1), MessagesAction: Drop}, 10), time.Now()
	for _, tt := range []struct {
		prefix string
		want   filters.Action
	}{{"a-", filters.Forward}, {"b-", filters.Forward}, {"a-", filters.Drop}} {
		s := newSession("user", "client")
		s.Namespace.ClientIDs = tt.prefix
		if v := q.Open(s).Filter(now, s, publish(0, 60)); v.Action != tt.want {
			t.Errorf("%s: %+v, want %d", tt.prefix, v, tt.want)
		}
	}
}
