package strict

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

var versions = []packets.Version{packets.V31, packets.V311, packets.V5}

// talk is a session that strict judges by itself.
type talk struct {
	t        *testing.T
	s        *filters.Session
	up, down filters.Chain
}

func newTalk(t *testing.T, v packets.Version, o Options) *talk {
	return &talk{
		t: t, s: &filters.Session{Version: v, Terms: filters.Terms{ReceiveMaximum: 3, DeliveryMaximum: 3}},
		up: filters.Chain{Up(o)}, down: filters.Chain{Down(o)},
	}
}

func (c *talk) judge(b []byte, from packets.Role) filters.Verdict {
	c.t.Helper()
	v := c.s.Version
	if packets.Type(b[0]>>4) == packets.CONNECT {
		v = 0
	}
	p, err := packets.Parse(b, v, from)
	if err != nil {
		c.t.Fatalf("% x: %v", b, err)
	}
	if from == packets.Client {
		v := c.up.JudgeUp(time.Time{}, c.s, p)
		c.s.Settle(time.Time{})
		return v
	}
	return c.down.JudgeDown(time.Time{}, c.s, p)
}

// client and broker send b; want says what becomes of it: an action, the packet
// that is answered or sent on in hexadecimal, and the reason if the session ends.
func (c *talk) client(say string, b []byte, want string) {
	c.t.Helper()
	c.compare(say, c.judge(b, packets.Client), want)
}

func (c *talk) broker(say string, b []byte, want string) {
	c.t.Helper()
	c.compare(say, c.judge(b, packets.Server), want)
}

func (c *talk) compare(say string, v filters.Verdict, want string) {
	c.t.Helper()
	if got := show(v); got != want {
		c.t.Errorf("MQTT %v: %s: %q, want %q (rule %q)", c.s.Version, say, got, want, v.Rule)
	}
}

func show(v filters.Verdict) string {
	switch v.Action {
	case filters.Disconnect:
		return fmt.Sprintf("end %02x", uint8(v.Reason))
	case filters.Drop:
		return "drop"
	case filters.Hold:
		return "hold"
	case filters.Forward:
		return "pass"
	case filters.Reply:
		return fmt.Sprintf("reply %x", v.Packet)
	}
	return fmt.Sprintf("rewrite %x", v.Packet)
}

func broker(p Profile) *Broker {
	b := &Broker{}
	b.Set(p)
	return b
}

func publish(v packets.Version, flags byte, id uint16, topic string, ps ...byte) []byte {
	return packets.AppendPublish(nil, v, flags, []byte(topic), id, ps, nil, 0)
}

func ack(v packets.Version, t packets.Type, id uint16) []byte {
	return packets.AppendAck(nil, v, t, id, packets.Success)
}

func subscribe(v packets.Version, id uint16, list ...string) []byte {
	var subs []packets.Subscription
	for _, f := range list {
		subs = append(subs, packets.Subscription{Filter: []byte(f)})
	}
	return packets.AppendSubscribe(nil, v, id, nil, subs)
}

func unsubscribe(v packets.Version, id uint16, list ...string) []byte {
	var names [][]byte
	for _, f := range list {
		names = append(names, []byte(f))
	}
	return packets.AppendUnsubscribe(nil, v, id, nil, names)
}

func suback(v packets.Version, id uint16, codes ...packets.ReasonCode) []byte {
	return packets.AppendSuback(nil, v, id, nil, codes)
}

func hex(b []byte) string { return fmt.Sprintf("%x", b) }

// userProperties is n of them.
func userProperties(n int) []byte {
	return bytes.Repeat([]byte("\x26\x00\x01k\x00\x01v"), n)
}

func TestTopicLimits(t *testing.T) {
	o := Options{Limits: Limits{TopicLevels: 3, TopicLength: 10}}
	for _, v := range versions {
		c := newTalk(t, v, o)
		refused := hex(packets.AppendAck(nil, v, packets.PUBACK, 1, packets.TopicNameInvalid))
		c.client("as deep as allowed", publish(v, 0, 0, "a/b/c"), "pass")
		c.client("a level more", publish(v, 0, 0, "a/b/c/d"), "drop")
		c.client("a level more, QoS 1", publish(v, 2, 1, "a/b/c/"), "reply "+refused)
		c.client("as long as allowed", publish(v, 0, 0, "0123456789"), "pass")
		c.client("a byte more", publish(v, 2, 1, "0123456789a"), "reply "+refused)
		if v == packets.V5 {
			response := append([]byte{8, 0, 7}, "a/b/c/d"...)
			c.client("a Response Topic a level too deep", publish(v, 2, 1, "a", response...), "reply "+refused)
		}
	}
}

func TestFilterLimits(t *testing.T) {
	o := Options{Limits: Limits{TopicLevels: 3, FiltersPerSubscribe: 2, Subscriptions: 3}}
	failure := func(v packets.Version, rc packets.ReasonCode) packets.ReasonCode {
		return map[packets.Version]packets.ReasonCode{packets.V31: 0, packets.V311: 0x80, packets.V5: rc}[v]
	}
	for _, v := range versions {
		c := newTalk(t, v, o)
		quota, deep := failure(v, packets.QuotaExceeded), failure(v, packets.TopicFilterInvalid)
		c.client("as many as allowed", subscribe(v, 1, "a", "b"), "pass")
		c.client("one more", subscribe(v, 2, "a", "b", "c"), "reply "+hex(suback(v, 2, quota, quota, quota)))
		c.client("one is too deep", subscribe(v, 3, "a/b/c/#", "c"), "rewrite "+hex(subscribe(v, 3, "c")))
		c.broker("the answer has its place", suback(v, 3, 0), "rewrite "+hex(suback(v, 3, deep, 0)))
		c.client("one subscription too many", subscribe(v, 4, "d"), "reply "+hex(suback(v, 4, quota)))
		c.client("a held one again is none more", subscribe(v, 4, "c"), "pass")
		c.client("too deep", unsubscribe(v, 5, "a/b/c/d", "c"), "rewrite "+hex(unsubscribe(v, 5, "c")))
		c.client("too many", unsubscribe(v, 6, "a", "b", "c"), "end 97")
	}
}

func TestUserProperties(t *testing.T) {
	const v = packets.V5
	o := Options{Limits: Limits{UserProperties: 2}}
	c := newTalk(t, v, o)
	c.client("as many as allowed", publish(v, 0, 0, "a", userProperties(2)...), "pass")
	c.client("one more", publish(v, 2, 1, "a", userProperties(3)...), "reply 4003000197")
	connect := packets.Connect{Level: 5, CleanStart: true, ClientID: []byte("c"), Props: userProperties(3)}
	c.client("CONNECT", packets.AppendConnect(nil, v, &connect), "end 97")
	connect.Props, connect.Will = nil, &packets.Will{Topic: []byte("a"), Props: userProperties(3)}
	c.client("Will", packets.AppendConnect(nil, v, &connect), "end 97")
	many := packets.Properties(userProperties(3))
	c.client("SUBSCRIBE", packets.AppendSubscribe(nil, v, 1, many, []packets.Subscription{{Filter: []byte("a")}}), "reply "+hex(suback(v, 1, 0x97)))
}

// TestPublishFlow: the Packet Identifiers of the client.
func TestPublishFlow(t *testing.T) {
	for _, v := range versions {
		c := newTalk(t, v, Options{})
		const qos1, qos2, dup = 2, 4, 8
		c.client("new", publish(v, qos1, 1, "a"), "pass")
		c.client("repeated", publish(v, qos1|dup, 1, "a"), "drop")
		inUse, inUse2 := "end 82", "end 82"
		if v == packets.V5 {
			inUse, inUse2 = "reply 4003000191", "reply 5003000291"
		}
		c.client("in use", publish(v, qos1, 1, "b"), inUse)
		c.client("in use by another kind", subscribe(v, 1, "b"), "end 82")
		c.client("new", publish(v, qos2, 2, "a"), "pass")
		c.client("repeated", publish(v, qos2|dup, 2, "a"), "drop")
		c.client("in use", publish(v, qos2, 2, "a"), inUse2)
		c.broker("PUBREC", ack(v, packets.PUBREC, 2), "pass")
		if v != packets.V5 {
			c.client("repeated: answered here", publish(v, qos2|dup, 2, "a"), "reply 50020002")
		} else {
			c.client("repeated in the same connection [MQTT-4.4.0-1]", publish(v, qos2|dup, 2, "a"), inUse2)
		}
		c.client("PUBREL", ack(v, packets.PUBREL, 2), "pass")
		c.broker("PUBCOMP", ack(v, packets.PUBCOMP, 2), "pass")
		c.broker("PUBCOMP again", ack(v, packets.PUBCOMP, 2), "drop")
		c.broker("PUBACK of nothing", ack(v, packets.PUBACK, 9), "drop")
		c.broker("SUBACK of nothing", suback(v, 9, 0), "drop")
		c.broker("PUBACK", ack(v, packets.PUBACK, 1), "pass")
		c.client("free", publish(v, qos1, 1, "b"), "pass")
		c.client("SUBSCRIBE", subscribe(v, 3, "b"), "pass")
		if v == packets.V31 {
			again := subscribe(v, 3, "b")
			again[0] |= dup
			c.client("SUBSCRIBE again, as MQTT 3.1 may", again, "drop")
		}
		c.client("an unknown PUBREL is the broker's to answer", ack(v, packets.PUBREL, 77), "pass")
		c.client("PUBACK of nothing", ack(v, packets.PUBACK, 9), "drop")
		c.client("PUBREC of nothing", ack(v, packets.PUBREC, 9), "drop")
		c.client("PUBCOMP of nothing", ack(v, packets.PUBCOMP, 9), "drop")
	}
}

// TestInflight: MQTT 5.0 clients know their Receive Maximum; others are held as
// long as the broker alone can make room.
func TestInflight(t *testing.T) {
	for _, v := range versions {
		c := newTalk(t, v, Options{})
		const qos1, qos2 = 2, 4
		c.client("1", publish(v, qos2, 1, "a"), "pass")
		c.client("2", publish(v, qos2, 2, "a"), "pass")
		c.client("3", publish(v, qos1, 3, "a"), "pass")
		full := "hold"
		if v == packets.V5 {
			full = "end 93"
		}
		c.client("one too many", publish(v, qos1, 4, "a"), full)
		c.client("QoS 0 needs no room", publish(v, 0, 0, "a"), "pass")
		c.broker("room", ack(v, packets.PUBACK, 3), "pass")
		c.client("which is taken", publish(v, qos2, 4, "a"), "pass")
		c.client("nobody else can make room", publish(v, qos1, 5, "a"), "end 93")
		c.client("but the client", ack(v, packets.PUBREL, 1), "pass")
		c.client("so it waits", publish(v, qos1, 5, "a"), full)
	}
}

// TestDelivery: the Packet Identifiers of the broker.
func TestDelivery(t *testing.T) {
	const qos1, dup = 2, 8
	for _, v := range versions {
		c := newTalk(t, v, Options{})
		c.broker("1", publish(v, qos1, 1, "a"), "pass")
		c.broker("1 again, as old brokers do", publish(v, qos1|dup, 1, "a"), "pass")
		c.broker("1 anew", publish(v, qos1, 1, "a"), "end 82")
		c.broker("2", publish(v, qos1, 2, "a"), "pass")
		c.broker("3", publish(v, qos1, 3, "a"), "pass")
		c.broker("above the client's Receive Maximum", publish(v, qos1, 4, "a"), "end 93")
		c.client("room", ack(v, packets.PUBACK, 1), "pass")
		c.broker("4", publish(v, qos1, 4, "a"), "pass")
	}
}

func TestNoProblems(t *testing.T) {
	c := newTalk(t, packets.V5, Options{})
	c.client("a SUBSCRIBE", subscribe(packets.V5, 1, "a"), "pass")
	why := packets.Properties("\x1f\x00\x03why")
	c.s.Terms.NoProblems = true
	c.broker("a reason that nobody wants", packets.AppendSuback(nil, packets.V5, 1, why, []packets.ReasonCode{0}), "end 82")
	c.s.Terms.NoProblems = false
	c.broker("one that is welcome", packets.AppendSuback(nil, packets.V5, 1, why, []packets.ReasonCode{0}), "pass")
}

func TestGoodbye(t *testing.T) {
	bye := []byte("\xe0\x07\x00\x05\x11\x00\x00\x00\x0a")
	c := newTalk(t, packets.V5, Options{})
	c.client("an expiry where there was none", bye, "end 82")
	c.s.Terms.SessionExpiry = 1
	c.client("another expiry", bye, "pass")
}

func TestConnect(t *testing.T) {
	connect := func(v packets.Version, edit ...func(*packets.Connect)) []byte {
		c := packets.Connect{Level: byte(v), CleanStart: true, ClientID: []byte("device")}
		for _, e := range edit {
			e(&c)
		}
		return packets.AppendConnect(nil, v, &c)
	}
	user := func(name string) func(*packets.Connect) {
		return func(c *packets.Connect) { c.HasUsername, c.Username = true, []byte(name) }
	}
	will := func(topic string, ps packets.Properties) func(*packets.Connect) {
		return func(c *packets.Connect) { c.Will = &packets.Will{Topic: []byte(topic), Props: ps} }
	}
	const v = packets.V5
	tests := []struct {
		name    string
		packet  []byte
		session *filters.Session
		profile Profile
		want    string
	}{
		{"nothing special", connect(v), &filters.Session{}, Profile{}, "pass"},
		{"a client identifier with a wildcard", connect(v), &filters.Session{ClientID: "a/#"}, Profile{}, "end 85"},
		{"with a control character", connect(v), &filters.Session{ClientID: "a\nb"}, Profile{}, "end 85"},
		{"as a topic of the broker", connect(v), &filters.Session{ClientID: "$SYS"}, Profile{}, "end 85"},
		{"with a slash", connect(v), &filters.Session{ClientID: "a/b"}, Profile{}, "pass"},
		{"with a slash that the broker's patterns do not bear", connect(v), &filters.Session{ClientID: "a/b"}, Profile{NoSlashInNames: true}, "end 85"},
		{"a proved user name with a wildcard", connect(v), &filters.Session{Identity: filters.Identity{Username: "+"}, Owner: "+"}, Profile{}, "end 87"},
		{"a claimed one, which the broker sees", connect(v, user("#")), &filters.Session{}, Profile{}, "end 87"},
		{"another's client identifier", connect(v), &filters.Session{Owner: "alice", Identity: filters.Identity{Username: "eve"}}, Profile{}, "end 85"},
		{"its own", connect(v), &filters.Session{Owner: "eve", Identity: filters.Identity{Username: "eve"}}, Profile{}, "pass"},
		{"a Will that is too deep", connect(v, will("a/b/c/d", nil)), &filters.Session{}, Profile{}, "end 90"},
		{"a Will with properties", connect(v, will("a", packets.Properties{1, 1})), &filters.Session{}, Profile{}, "pass"},
		{"that the broker does not bear", connect(v, will("a", packets.Properties{1, 1})), &filters.Session{}, Profile{NoWillProperties: true}, "end 83"},
		{"a Will to a topic that the broker does not bear", connect(v, will("$x/y", nil)), &filters.Session{}, Profile{OnlySYS: true}, "end 90"},
		{"MQTT 5.0 in front of an old broker", connect(v), &filters.Session{}, Profile{NoV5: true}, "end 84"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newTalk(t, v, Options{Limits: Limits{TopicLevels: 3}, Broker: broker(tt.profile)})
			c.s = tt.session
			c.s.Version = v
			c.client(tt.name, tt.packet, tt.want)
		})
	}
}

// TestProfiles: what single brokers do not bear.
func TestProfiles(t *testing.T) {
	const v = packets.V311
	c := newTalk(t, v, Options{Broker: broker(Profile{OnlySYS: true})})
	c.client("$SYS", publish(v, 0, 0, "$SYS/a"), "pass")
	c.client("another", publish(v, 0, 0, "$x/y"), "drop")
	c.client("subscribed to", subscribe(v, 1, "$x/y"), "reply "+hex(suback(v, 1, 0x80)))
	c.client("and not any more", unsubscribe(v, 1, "$x/y"), "reply b0020001")

	c = newTalk(t, v, Options{Broker: broker(Profile{LocalAcks: true})})
	c.client("an unknown PUBREL is answered here", ack(v, packets.PUBREL, 7), "reply 70020007")

	before := newTalk(t, v, Options{})
	before.client("it goes on", publish(v, 4, 8, "a"), "pass")
	c.s.Resume(before.s)
	c.client("the PUBREL of what an earlier connection sent is the broker's", ack(v, packets.PUBREL, 8), "pass")
	c.broker("and answered by it", ack(v, packets.PUBCOMP, 8), "pass")

	c = newTalk(t, v, Options{Broker: broker(Profile{MaxLevels: 2}), Limits: Limits{TopicLevels: 5}})
	c.client("two levels", publish(v, 0, 0, "a/b"), "pass")
	c.client("three", publish(v, 0, 0, "a/b/c"), "drop")

	c = newTalk(t, v, Options{Broker: broker(Profile{ShareExcludes: true})})
	c.client("shared", subscribe(v, 1, "$share/g/T"), "pass")
	c.client("the same not shared", subscribe(v, 2, "T", "U"), "rewrite "+hex(subscribe(v, 2, "U")))
	c.client("another, shared", subscribe(v, 3, "$share/g/U"), "reply "+hex(suback(v, 3, 0x80)))
	c.client("both at once", subscribe(v, 4, "$share/g/W", "W"), "rewrite "+hex(subscribe(v, 4, "$share/g/W")))
	c.client("shared by another group", subscribe(v, 5, "$share/h/T"), "pass")
}

// TestModes: a check is enforced, or noted, or not made.
func TestModes(t *testing.T) {
	const v = packets.V311
	deep := publish(v, 0, 0, strings.Repeat("/", 9))
	limits := Limits{TopicLevels: 3}
	set := packets.Checks(0).With(packets.CheckTopic)
	for _, tt := range []struct {
		name   string
		o      Options
		want   string
		broken packets.Checks
	}{
		{"enforced", Options{Limits: limits}, "drop", set},
		{"logged", Options{Limits: limits, Log: set}, "pass", set},
		{"off", Options{Limits: limits, Off: set}, "pass", 0},
		{"others logged", Options{Limits: limits, Log: ^set}, "drop", set},
	} {
		c := newTalk(t, v, tt.o)
		got := c.judge(deep, packets.Client)
		c.compare(tt.name, got, tt.want)
		if got.Broken != tt.broken {
			t.Errorf("%s: broken %b, want %b", tt.name, got.Broken, tt.broken)
		}
	}
	server := packets.Checks(0).With(packets.CheckServer)
	c := newTalk(t, v, Options{Log: server})
	c.broker("the broker's mistakes are let through", ack(v, packets.PUBACK, 9), "pass")
	if (Options{Log: server}).LaxDown() == 0 || (Options{Log: set}).LaxDown() != 0 {
		t.Error("the codec is as lax with the broker as C19 says")
	}
}

// TestAllocations: what passes costs no memory.
func TestAllocations(t *testing.T) {
	o := Options{Limits: Limits{TopicLevels: 32, TopicLength: 1024, UserProperties: 32}}
	for _, v := range versions {
		c := newTalk(t, v, o)
		var send [2]*packets.Packet
		for i, b := range [][]byte{publish(v, 2, 1, "a/b"), ack(v, packets.PUBACK, 1)} {
			p, err := packets.Parse(b, v, packets.Role(i))
			if err != nil {
				t.Fatal(err)
			}
			send[i] = p
		}
		if n := testing.AllocsPerRun(100, func() {
			c.up.JudgeUp(time.Time{}, c.s, send[0])
			c.down.JudgeDown(time.Time{}, c.s, send[1])
		}); n > 0 {
			t.Errorf("MQTT %v: %v allocations", v, n)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	const v = packets.V5
	s := &filters.Session{Version: v, Terms: filters.Terms{ReceiveMaximum: 100}}
	o := Options{Limits: Limits{TopicLevels: 32, TopicLength: 1024, UserProperties: 32}}
	up, down := filters.Chain{Up(o)}, filters.Chain{Down(o)}
	p, err := packets.Parse(publish(v, 2, 1, "factory/line-a/robot/7/state"), v, packets.Client)
	if err != nil {
		b.Fatal(err)
	}
	a, err := packets.Parse(ack(v, packets.PUBACK, 1), v, packets.Server)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		up.JudgeUp(time.Time{}, s, p)
		down.JudgeDown(time.Time{}, s, a)
	}
}

// BenchmarkPublish0 is the most frequent packet: QoS 0, without properties.
func BenchmarkPublish0(b *testing.B) {
	const v = packets.V311
	s := &filters.Session{Version: v}
	up := Up(Options{Limits: Limits{TopicLevels: 32, TopicLength: 1024, UserProperties: 32}})
	p, err := packets.Parse(publish(v, 0, 0, "factory/line-a/robot/7/state"), v, packets.Client)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		up.Filter(time.Time{}, s, p)
	}
}
