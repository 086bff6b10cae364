package authz

import (
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// deliver lets an opened filter of deliveries judge a PUBLISH of the broker.
func deliver(t testing.TB, f filters.Filter, flags byte, topic string) filters.Verdict {
	t.Helper()
	return f.Filter(time.Time{}, user("bob"), delivered(t, flags, topic))
}

func delivered(t testing.TB, flags byte, topic string) *packets.Packet {
	t.Helper()
	p, err := packets.Parse(publish(packets.V5, flags, topic, nil), packets.V5, packets.Server)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReceive(t *testing.T) {
	only := func(r Rule, qos ...packets.QoS) Rule {
		r.QoS = qos
		return r
	}
	subscribe := func(r Rule) Rule {
		r.Publish = false
		return r
	}
	receive := func(topics ...string) Rule { return Rule{Receive: true, Topics: ParseTopics(topics...)} }
	withhold := func(topics ...string) Rule { return Rule{Deny: true, Receive: true, Topics: ParseTopics(topics...)} }
	both := func(r Rule) Rule {
		r.Receive = true
		return r
	}
	write := Rule{Publish: true, Topics: ParseTopics("#")}
	tests := []struct {
		name  string
		rules []Rule
		topic string
		qos   packets.QoS
		want  bool
	}{
		{"no rules", nil, "a", 0, false},
		{"follows subscribe", []Rule{subscribe(allow("a/#"))}, "a/b", 0, true},
		{"by itself", []Rule{receive("a/#")}, "a/b", 0, true},
		{"another topic", []Rule{receive("a/#")}, "b", 0, false},
		{"publish is another right", []Rule{write}, "a", 0, false},
		{"a hole in a subscription", []Rule{deny("a/secret"), allow("#")}, "a/secret", 0, false},
		{"beside it", []Rule{deny("a/secret"), allow("#")}, "a/b", 0, true},
		{"allow before deny", []Rule{allow("a/b"), deny("a/#")}, "a/b", 0, true},
		{"withheld", []Rule{withhold("a/#"), allow("#")}, "a/b", 0, false},
		{"a denial to publish", []Rule{{Deny: true, Publish: true, Topics: ParseTopics("#")}, allow("#")}, "a", 0, true},

		{"literal", []Rule{allow("=a/b")}, "a/b", 0, true},
		{"literal, another", []Rule{allow("=a/b")}, "a/c", 0, false},
		{"literal denied", []Rule{deny("=a/b"), allow("#")}, "a/b", 0, false},
		{"literal with a wildcard is a subscription", []Rule{allow("=a/+")}, "a/b", 0, true},
		{"and no more than it", []Rule{allow("=a/+")}, "a/b/c", 0, false},
		{"literal with a wildcard denies one subscription", []Rule{deny("=a/+", "=#"), allow("#")}, "a/b", 0, true},
		{"group", []Rule{allow("$share/g/a/#")}, "a/b", 0, true},
		{"group, another topic", []Rule{allow("$share/g/a/#")}, "b", 0, false},
		{"group, literal", []Rule{allow("=$share/g/a/+")}, "a/b", 0, true},
		{"group denied", []Rule{deny("$share/g/a/#", "=$share/g/a/b"), allow("#")}, "a/b", 0, true},

		{"subscribed with a lower QoS", []Rule{only(allow("a"), 1)}, "a", 0, true},
		{"sent with a higher QoS", []Rule{only(allow("a"), 1)}, "a", 2, true},
		{"denied subscription of one QoS", []Rule{only(deny("a"), 1), allow("#")}, "a", 1, true},
		{"denied subscription of each QoS", []Rule{only(deny("a"), 0, 1, 2), allow("#")}, "a", 1, false},
		{"received with one QoS", []Rule{only(receive("a"), 1)}, "a", 1, true},
		{"received with another QoS", []Rule{only(receive("a"), 1)}, "a", 0, false},
		{"withheld with one QoS", []Rule{only(withhold("a"), 1), allow("#")}, "a", 1, false},
		{"withheld with another QoS", []Rule{only(withhold("a"), 1), allow("#")}, "a", 0, true},
		{"both with one QoS", []Rule{both(only(allow("a"), 1))}, "a", 0, false},
		{"both denied with one QoS", []Rule{both(only(deny("a"), 1)), allow("#")}, "a", 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			policy := compiled(t, tt.rules...)
			got := policy.View(user("bob")).Receive(noon, Message{Topic: []byte(tt.topic), QoS: tt.qos})
			if got.Allowed != tt.want {
				t.Errorf("got %+v, want %v", got, tt.want)
			}
			want := filters.Withhold(got.Rule)
			if tt.want {
				want = filters.Pass()
			}
			f := policy.Deliveries().(filters.Opener).Open(user("bob"))
			if v := deliver(t, f, byte(tt.qos)<<1, tt.topic); v.Action != want.Action || v.Reason != want.Reason || v.Rule != want.Rule {
				t.Errorf("delivery: %+v, want %+v", v, want)
			}
		})
	}
}

// TestReceivePlaceholders: without a safe value what is allowed is nothing, and
// what is denied is wider.
func TestReceivePlaceholders(t *testing.T) {
	policy := compiled(t, deny("secret/${username}/#"), Rule{Receive: true, Topics: ParseTopics("own/${username}")}, allow("secret/#"))
	for _, tt := range []struct {
		username, topic string
		want            bool
	}{
		{"bob", "own/bob", true},
		{"bob", "own/eve", false},
		{"bob", "secret/bob/x", false},
		{"bob", "secret/eve/x", true},
		{"", "own/", false},
		{"b/ob", "own/b/ob", false},
		{"b/ob", "secret/eve/x", false},
	} {
		if got := policy.View(user(tt.username)).Receive(noon, Message{Topic: []byte(tt.topic), QoS: 0}); got.Allowed != tt.want {
			t.Errorf("%q, %s: %+v", tt.username, tt.topic, got)
		}
	}
}

// TestDeliveriesRemember has messages that differ from the one before in one
// thing only.
func TestDeliveriesRemember(t *testing.T) {
	sure := Rule{Receive: true, Topics: ParseTopics("a"), QoS: []packets.QoS{1}}
	f := compiled(t, sure, allow("b")).Deliveries().(filters.Opener).Open(user("bob"))
	for i, step := range []struct {
		topic string
		flags byte
		want  filters.Action
	}{
		{"a", 2, filters.Forward},
		{"a", 2, filters.Forward},
		{"a", 0, filters.Drop},
		{"a", 3, filters.Forward},
		{"b", 3, filters.Forward},
		{"c", 3, filters.Drop},
		{"a", 10, filters.Forward},
	} {
		if got := deliver(t, f, step.flags, step.topic); got.Action != step.want {
			t.Errorf("step %d: %s with flags %d: %+v", i, step.topic, step.flags, got)
		}
	}
}

// TestDeliveriesOthers: what names no topic is not for this filter to judge.
func TestDeliveriesOthers(t *testing.T) {
	f := compiled(t).Deliveries().(filters.Opener).Open(user("bob"))
	for _, kind := range []packets.Type{packets.CONNACK, packets.PUBACK, packets.SUBACK, packets.DISCONNECT} {
		if got := f.Filter(time.Time{}, user("bob"), &packets.Packet{Type: kind, Version: packets.V5}); got.Action != filters.Forward {
			t.Errorf("%v: %+v", kind, got)
		}
	}
}

// TestUnopenedDeliveries: without a session nothing passes.
func TestUnopenedDeliveries(t *testing.T) {
	got := compiled(t, allow("#")).Deliveries().Filter(time.Time{}, user("bob"), delivered(t, 0, "a"))
	if got.Action != filters.Disconnect || got.Reason != packets.NotAuthorized {
		t.Errorf("%+v", got)
	}
}

// TestDeliveriesHold: the filter is none that reviews or limits what the client
// does.
func TestDeliveriesHold(t *testing.T) {
	f := compiled(t, Rule{Publish: true, Topics: ParseTopics("#")}, allow("a")).Deliveries().(filters.Opener).Open(user("bob"))
	if _, ok := f.(filters.Reviewer); ok {
		t.Error("is a Reviewer")
	}
	if _, ok := f.(filters.Limiter); ok {
		t.Error("is a Limiter")
	}
}

func TestDeliveriesAllocations(t *testing.T) {
	s := user("bob")
	policy := compiled(t, deny("a/secret", "b/#"), allow("x/${username}/#", "=y", "=z/+"), allow("a/#")).With(NewRetained(10))
	up, down := policy.View(s), policy.Deliveries().(filters.Opener).Open(s)
	p := parse(t, publish(packets.V5, 1, "a/b", nil), packets.V5)
	for range 2 { // the first makes the note
		up.Filter(time.Time{}, s, p)
	}
	if n := testing.AllocsPerRun(100, func() { up.Filter(time.Time{}, s, p) }); n > 0 {
		t.Errorf("a retained message again: %v allocations", n)
	}
	for _, tt := range []struct {
		flags byte
		topic string
		want  filters.Action
	}{
		{0, "a/b/c", filters.Forward},
		{1, "a/b", filters.Forward},
		{2, "x/bob/c", filters.Forward},
		{4, "z/1", filters.Forward},
		{0, "a/secret", filters.Drop},
	} {
		p, other := delivered(t, tt.flags, tt.topic), delivered(t, tt.flags, tt.topic+"x")
		if got := down.Filter(time.Time{}, s, p); got.Action != tt.want {
			t.Fatalf("%s: %+v", tt.topic, got)
		}
		if n := testing.AllocsPerRun(100, func() {
			down.Filter(time.Time{}, s, p)
			down.Filter(time.Time{}, s, other)
		}); n > 0 {
			t.Errorf("%s: %v allocations", tt.topic, n)
		}
	}
}
