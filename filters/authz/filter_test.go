package authz

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

var versions = []packets.Version{packets.V31, packets.V311, packets.V5}

func parse(t testing.TB, b []byte, v packets.Version) *packets.Packet {
	t.Helper()
	p, err := packets.Parse(b, v, packets.Client)
	if err != nil {
		t.Fatalf("% x: %v", b, err)
	}
	return p
}

func publish(v packets.Version, flags byte, topic string, ps packets.Properties) []byte {
	return packets.AppendPublish(nil, v, flags, []byte(topic), 7, ps, []byte("payload"), 0)
}

// responseTopic is a property section with a Response Topic.
func responseTopic(topic string) packets.Properties {
	return append(packets.Properties{byte(packets.ResponseTopic), 0, byte(len(topic))}, topic...)
}

// judge lets the policy judge one packet of bob's.
func judge(t *testing.T, policy *Policy, v packets.Version, b []byte) filters.Verdict {
	t.Helper()
	s := user("bob")
	s.Version = v
	p, err := packets.Parse(b, v, packets.Client)
	if packets.Type(b[0]>>4) == packets.CONNECT {
		p, err = packets.Parse(b, 0, packets.Client)
	}
	if err != nil {
		t.Fatalf("% x: %v", b, err)
	}
	return filters.Chain{policy}.Open(s).JudgeUp(time.Time{}, s, p)
}

func TestFilterPublish(t *testing.T) {
	policy := compiled(t, deny("a/secret"), allow("a/#"))
	for _, v := range versions {
		for qos := range byte(3) {
			if got := judge(t, policy, v, publish(v, qos<<1, "a/b", nil)); got.Action != filters.Forward {
				t.Errorf("MQTT %v QoS %d allowed: %+v", v, qos, got)
			}
			got := judge(t, policy, v, publish(v, qos<<1, "a/secret", nil))
			want := filters.Reply
			if qos == 0 {
				want = filters.Drop
			}
			if got.Action != want || got.Reason != packets.NotAuthorized || got.Rule != "0" {
				t.Errorf("MQTT %v QoS %d denied: %+v", v, qos, got)
			}
		}
	}
}

// TestFilterRetain: the flag of the packet is what rules with retain see.
func TestFilterRetain(t *testing.T) {
	r := allow("a")
	r.Retain = new(bool)
	policy := compiled(t, r)
	for _, v := range versions {
		if got := judge(t, policy, v, publish(v, 0, "a", nil)); got.Action != filters.Forward {
			t.Errorf("MQTT %v: %+v", v, got)
		}
		if got := judge(t, policy, v, publish(v, 1, "a", nil)); got.Action != filters.Drop || got.Rule != noRule {
			t.Errorf("MQTT %v retained: %+v", v, got)
		}
	}
}

// TestFilterRemembers has messages that differ from the one before in one thing
// only: no decision may be taken for another's.
func TestFilterRemembers(t *testing.T) {
	yes := true
	first, retained := allow("a/b"), allow("a/b")
	first.QoS, retained.Retain = []packets.QoS{1}, &yes
	long := strings.Repeat("x", maxRemembered)
	v := compiled(t, first, retained, allow("c"), allow(long), allow(long+"y")).View(user("bob"))
	for i, step := range []struct {
		topic  string
		flags  byte
		action filters.Action
	}{
		{"a/b", 2, filters.Forward},
		{"a/b", 2, filters.Forward},
		{"a/b", 0, filters.Drop},
		{"a/b", 1, filters.Forward},
		{"a/b", 0, filters.Drop},
		{"a/bc", 0, filters.Drop},
		{"c", 0, filters.Forward},
		{"d", 0, filters.Drop},
		{long, 0, filters.Forward},
		{long + "y", 0, filters.Forward},
		{long + "z", 0, filters.Drop},
		{long, 0, filters.Forward},
	} {
		p := &packets.Packet{Type: packets.PUBLISH, Flags: step.flags, Version: packets.V5, Topic: []byte(step.topic), ID: 1}
		if got := v.Filter(time.Time{}, user("bob"), p); got.Action != step.action {
			t.Errorf("step %d: %s with flags %d: action %v, want %v", i, step.topic, step.flags, got.Action, step.action)
		}
	}
}

func TestFilterSubscribe(t *testing.T) {
	low := allow("a/#")
	low.QoS = []packets.QoS{0, 1}
	policy := compiled(t, deny("a/secret"), low)
	var ok filters.Judgement
	by := func(rule string) filters.Judgement {
		return filters.Judgement{Reason: packets.NotAuthorized, Rule: rule}
	}
	tests := []struct {
		filters []string
		qos     packets.SubscribeOptions
		want    filters.Action
		judged  []filters.Judgement
	}{
		{[]string{"a/b"}, 1, filters.Forward, []filters.Judgement{ok}},
		{[]string{"a/b", "$share/g/a/c"}, 0, filters.Forward, []filters.Judgement{ok, ok}},
		{[]string{"a/b", "a/secret", "a/#", "b"}, 1, filters.Rewrite, []filters.Judgement{ok, by("0"), ok, by(noRule)}},
		{[]string{"b", "a/secret"}, 1, filters.Reply, []filters.Judgement{by(noRule), by("0")}},
		{[]string{"a/b"}, 2, filters.Reply, []filters.Judgement{by(noRule)}},
	}
	for _, tt := range tests {
		for _, v := range versions {
			t.Run(fmt.Sprintf("MQTT %v %v", v, tt.filters), func(t *testing.T) {
				var subs []packets.Subscription
				for _, f := range tt.filters {
					subs = append(subs, packets.Subscription{Filter: []byte(f), Options: tt.qos})
				}
				got := judge(t, policy, v, packets.AppendSubscribe(nil, v, 7, nil, subs))
				if got.Action != tt.want || !reflect.DeepEqual(got.Filters, tt.judged) {
					t.Errorf("got %+v", got)
				}
			})
		}
	}
}

// TestNamelessRuleRefuses: a refusal does not hang on the name of its rule.
func TestNamelessRuleRefuses(t *testing.T) {
	policy, err := New([]Rule{deny("a"), allow("#")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	subs := []packets.Subscription{{Filter: []byte("a")}}
	if got := judge(t, policy, packets.V5, packets.AppendSubscribe(nil, packets.V5, 7, nil, subs)); got.Action != filters.Reply {
		t.Errorf("SUBSCRIBE: %+v", got)
	}
	if got := judge(t, policy, packets.V5, publish(packets.V5, 2, "a", nil)); got.Action != filters.Reply {
		t.Errorf("PUBLISH: %+v", got)
	}
}

func TestFilterWill(t *testing.T) {
	r := allow("will/bob")
	r.QoS, r.Retain = []packets.QoS{0, 1}, new(bool)
	policy := compiled(t, r)
	will := func(topic string, qos packets.QoS, retain bool, ps packets.Properties) *packets.Will {
		return &packets.Will{Topic: []byte(topic), QoS: qos, Retain: retain, Props: ps}
	}
	tests := []struct {
		name string
		will *packets.Will
		want filters.Action
	}{
		{"none", nil, filters.Forward},
		{"allowed", will("will/bob", 1, false, nil), filters.Forward},
		{"topic", will("will/eve", 1, false, nil), filters.Disconnect},
		{"QoS", will("will/bob", 2, false, nil), filters.Disconnect},
		{"retain", will("will/bob", 1, true, nil), filters.Disconnect},
		{"$CONTROL", will("$CONTROL/dynamic-security/v1", 0, false, nil), filters.Disconnect},
		{"response topic allowed", will("will/bob", 1, false, responseTopic("will/bob")), filters.Forward},
		{"response topic", will("will/bob", 1, false, responseTopic("will/eve")), filters.Disconnect},
	}
	for _, tt := range tests {
		for _, v := range versions {
			if tt.will != nil && tt.will.Props != nil && v != packets.V5 {
				continue
			}
			t.Run(fmt.Sprintf("MQTT %v %s", v, tt.name), func(t *testing.T) {
				connect := packets.Connect{Level: byte(v), CleanStart: true, ClientID: []byte("c"), Will: tt.will}
				got := judge(t, policy, v, packets.AppendConnect(nil, v, &connect))
				if got.Action != tt.want {
					t.Errorf("%+v", got)
				}
				if tt.want == filters.Disconnect && (got.Reason != packets.NotAuthorized || got.Rule != noRule) {
					t.Errorf("refused with %v by %q", got.Reason, got.Rule)
				}
			})
		}
	}
}

// TestResponseTopic: who asks for an answer must be allowed to read it.
func TestResponseTopic(t *testing.T) {
	ask, read, write, hidden, sure := allow("ask"), allow("reply/${username}/#"), allow("#"), deny("reply/bob/x"), allow("sure")
	read.Publish, write.Subscribe, hidden.Publish = false, false, false
	sure.QoS = []packets.QoS{2}
	policy := compiled(t, hidden, read, sure, ask, write)
	tests := []struct {
		response string
		want     filters.Action
	}{
		{"", filters.Forward},
		{"reply/bob/1", filters.Forward},
		{"sure", filters.Forward}, // with QoS 2
		{"reply/bob/x", filters.Reply},
		{"reply/eve/1", filters.Reply},
		{"plant/valve", filters.Reply}, // may be written, not read
		{"$SYS/x", filters.Reply},
		{"$share/g/ask", filters.Reply}, // a name, no Shared Subscription to "ask"
	}
	for _, tt := range tests {
		ps := packets.Properties("\x26\x00\x01k\x00\x01v") // a User Property before it
		if tt.response != "" {
			ps = append(ps, responseTopic(tt.response)...)
		}
		if got := judge(t, policy, packets.V5, publish(packets.V5, 2, "ask", ps)); got.Action != tt.want {
			t.Errorf("Response Topic %q: %+v, want action %d", tt.response, got, tt.want)
		}
	}
}

// TestFilterOthers: what names no topic is not for this filter to judge.
func TestFilterOthers(t *testing.T) {
	for _, b := range []string{"\x40\x02\x00\x07", "\x62\x02\x00\x07", "\xa2\x05\x00\x07\x00\x01a", "\xc0\x00", "\xe0\x00"} {
		if got := judge(t, compiled(t), packets.V311, []byte(b)); got.Action != filters.Forward {
			t.Errorf("% x: %+v", b, got)
		}
	}
}

// TestUnopenedPolicy: without a View nothing passes.
func TestUnopenedPolicy(t *testing.T) {
	p := parse(t, publish(packets.V5, 0, "a", nil), packets.V5)
	got := compiled(t, allow("#")).Filter(time.Time{}, user("bob"), p)
	if got.Action != filters.Disconnect || got.Reason != packets.NotAuthorized {
		t.Errorf("%+v", got)
	}
}

func TestFilterAllocations(t *testing.T) {
	policy := compiled(t, deny("a/secret", "b/#"), allow("x/${username}/#", "=y"), allow("a/#", "reply/#"))
	s := user("bob")
	v := policy.View(s)
	for _, b := range [][]byte{
		publish(packets.V5, 0, "a/b/c", nil),
		publish(packets.V5, 2, "x/bob/c", responseTopic("reply/1")),
		publish(packets.V5, 4, "y", nil),
	} {
		p := parse(t, b, packets.V5)
		if got := v.Filter(time.Time{}, s, p); got.Action != filters.Forward {
			t.Fatalf("% x: %+v", b, got)
		}
		if n := testing.AllocsPerRun(100, func() { v.Filter(time.Time{}, s, p) }); n > 0 {
			t.Errorf("% x: %v allocations", b, n)
		}
	}
}

// TestPasses: the short way is for a message like the last one, which was
// allowed, and never for one that something else hangs on.
func TestPasses(t *testing.T) {
	rules := func(edit func(*Rule)) []Rule {
		r := Rule{Publish: true, Subscribe: true, Topics: ParseTopics("t", "u")}
		edit(&r)
		return []Rule{{Deny: true, Publish: true, Receive: true, Topics: ParseTopics("u")}, r}
	}
	same := func(*Rule) {}
	for _, tt := range []struct {
		name        string
		first, next func() []byte
		edit        func(*Rule)
		want        bool
	}{
		{"the same", message0("t", 0, nil), message0("t", 0, nil), same, true},
		{"another topic", message0("t", 0, nil), message0("u", 0, nil), same, false},
		{"denied", message0("u", 0, nil), message0("u", 0, nil), same, false},
		{"retained", message0("t", 1, nil), message0("t", 1, nil), same, false},
		{"with a Response Topic", message0("t", 0, nil), message0("t", 0, responseTopic("x")), same, false},
		{"sizes count", message0("t", 0, nil), message0("t", 0, nil), func(r *Rule) { r.Size = 5 }, false},
	} {
		policy, err := New(rules(tt.edit), Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := user("bob")
		up, down := policy.Open(s), policy.Deliveries().(filters.Opener).Open(s)
		for name, f := range map[string]filters.Filter{"up": up, "down": down} {
			first, next := parse(t, tt.first(), packets.V5), parse(t, tt.next(), packets.V5)
			if f.(filters.Passer).Passes(time.Time{}, s, first) {
				t.Errorf("%s, %s: the first passes", tt.name, name)
			}
			f.Filter(time.Time{}, s, first)
			want := tt.want || name == "down" && len(next.Props) > 0 // which asks nobody to answer
			if got := f.(filters.Passer).Passes(time.Time{}, s, next); got != want {
				t.Errorf("%s, %s: %v, want %v", tt.name, name, got, want)
			}
		}
	}
}

// message0 makes a PUBLISH with QoS 0.
func message0(topic string, flags byte, props packets.Properties) func() []byte {
	return func() []byte { return packets.AppendPublish(nil, packets.V5, flags, []byte(topic), 0, props, nil, 0) }
}
