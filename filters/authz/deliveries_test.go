package authz

import (
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

func receive(topics ...string) Rule { return Rule{Receive: true, Topics: topics} }

func reads(topics ...string) Rule { return Rule{Subscribe: true, Topics: topics} }

func denyReceive(topics ...string) Rule { return Rule{Receive: true, Deny: true, Topics: topics} }

func TestReceive(t *testing.T) {
	low, denyHigh, onlyQoS1 := allow("a"), deny("a"), receive("a")
	low.QoS, denyHigh.QoS, onlyQoS1.QoS = []packets.QoS{1}, []packets.QoS{2}, []packets.QoS{1}
	writeOnly := Rule{Publish: true, Topics: []string{"#"}}
	tests := []struct {
		name  string
		rules []Rule
		topic string
		qos   packets.QoS
		want  bool
	}{
		{"no rules", nil, "a", 0, false},
		{"to subscribe is to receive", []Rule{allow("a/#")}, "a/b", 2, true},
		{"another topic", []Rule{allow("a/#")}, "b", 0, false},
		{"to publish is not", []Rule{writeOnly}, "a", 0, false},
		{"denied within", []Rule{deny("a/secret/#"), allow("#")}, "a/secret/x", 0, false},
		{"beside it", []Rule{deny("a/secret/#"), allow("#")}, "a/b", 0, true},
		{"allowed before", []Rule{allow("a/#"), deny("a/secret")}, "a/secret", 0, true},
		{"all does not hold $SYS", []Rule{allow("#", "+/x")}, "$SYS/x", 0, false},
		{"a rule that names it does", []Rule{allow("$SYS/#")}, "$SYS/x", 0, true},
		{"granted to the letter", []Rule{allow("=a/+")}, "a/b", 0, true},
		{"denied to the letter is that subscription", []Rule{deny("=#"), allow("#")}, "a", 0, true},
		{"a literal topic denied", []Rule{deny("=a"), allow("#")}, "a", 0, false},
		{"by a group", []Rule{allow("$share/g/a/#")}, "a/b", 0, true},
		{"denied to a group, which may be another", []Rule{deny("$share/g/a/#"), allow("#")}, "a/b", 0, true},
		{"subscribed with QoS 1, delivered with less", []Rule{low}, "a", 0, true},
		{"denied with QoS 2, subscribed with less", []Rule{denyHigh, allow("#")}, "a", 2, true},
		{"receive alone", []Rule{receive("a")}, "a", 0, true},
		{"receive denied", []Rule{denyReceive("a"), allow("#")}, "a", 0, false},
		{"receive with one QoS", []Rule{onlyQoS1}, "a", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := compiled(t, tt.rules...).View(user("bob")).Receive([]byte(tt.topic), tt.qos); got.Allowed != tt.want {
				t.Errorf("got %+v, want %v", got, tt.want)
			}
		})
	}
	v := compiled(t, receive("a"), denyReceive("b"), allow("b")).View(user("bob"))
	if v.Subscribe([]byte("a"), 0).Allowed || !v.Subscribe([]byte("b"), 0).Allowed {
		t.Error("a rule about receiving is none about subscriptions")
	}
}

func delivery(topic string, flags byte) *packets.Packet {
	return &packets.Packet{Type: packets.PUBLISH, Flags: flags, Version: packets.V5, Topic: []byte(topic), ID: 1, Payload: []byte("x")}
}

func TestDeliveriesFilter(t *testing.T) {
	s := user("bob")
	f := filters.Chain{compiled(t, deny("a/secret"), allow("a/#")).Deliveries()}.Open(s)
	for range 2 {
		for topic, want := range map[string]filters.Action{"a/b": filters.Forward, "a/secret": filters.Drop, "b": filters.Drop} {
			if v := f.JudgeDown(time.Time{}, s, delivery(topic, 0)); v.Action != want {
				t.Errorf("%s: %+v", topic, v)
			}
		}
	}
	p := delivery("a/b", 0)
	if n := testing.AllocsPerRun(100, func() { f.JudgeDown(time.Time{}, s, p) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReview(t *testing.T) {
	once := reads("a")
	once.QoS = []packets.QoS{0}
	v := compiled(t, once, Rule{Publish: true, Topics: []string{"w"}}).View(user("bob"))
	parse := func(b []byte, version packets.Version) *packets.Packet {
		t.Helper()
		p, err := packets.Parse(b, version, packets.Client)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	will := func(topic string) *packets.Packet {
		return parse(packets.AppendConnect(nil, packets.V5, &packets.Connect{Level: 5, ClientID: []byte("c"), CleanStart: true, Will: &packets.Will{Topic: []byte(topic)}}), 0)
	}
	for _, tt := range []struct {
		name   string
		packet *packets.Packet
		want   filters.Action
	}{
		{"a publish with its right", delivery("w", 4), filters.Forward},
		{"without", delivery("a", 4), filters.Disconnect},
		{"a Will with its right", will("w"), filters.Forward},
		{"without", will("a"), filters.Disconnect},
	} {
		if got := v.Review(user("bob"), tt.packet); got.Action != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	subs := []packets.Subscription{{Filter: []byte("a"), Options: 2}, {Filter: []byte("b"), Options: 2}}
	got := v.Review(user("bob"), parse(packets.AppendSubscribe(nil, packets.V5, 1, nil, subs), packets.V5))
	if len(got.Filters) != 2 || got.Filters[0].Reason != packets.Success || got.Filters[1].Reason != packets.NotAuthorized {
		t.Errorf("subscriptions: %+v", got)
	}
}

func TestLimit(t *testing.T) {
	all := filters.Offer{MaximumQoS: 2, Retain: true, Wildcard: true, Shared: true}
	no := false
	low := Rule{Publish: true, Topics: []string{"a"}, QoS: []packets.QoS{0, 1}, Retain: &no}
	high := Rule{Publish: true, Topics: []string{"b"}}
	tests := []struct {
		name  string
		rules []Rule
		want  filters.Offer
	}{
		{"nothing is allowed: each refusal says so", nil, all},
		{"all", []Rule{high, allow("#")}, all},
		{"QoS 1, not retained", []Rule{low}, filters.Offer{MaximumQoS: 1, Wildcard: true, Shared: true}},
		{"one rule allows more", []Rule{low, high}, all},
		{"single topics", []Rule{allow("a", "=b/c")}, filters.Offer{MaximumQoS: 2, Retain: true, Shared: true}},
		{"a filter to the letter", []Rule{allow("=a/+")}, all},
		{"a denial allows nothing", []Rule{deny("#"), allow("a")}, filters.Offer{MaximumQoS: 2, Retain: true, Shared: true}},
	}
	for _, tt := range tests {
		got := all
		compiled(t, tt.rules...).View(user("bob")).Limit(&got)
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// TestRetainedOfRevoked: a retained message does not outlive the right of who
// set it.
func TestRetainedOfRevoked(t *testing.T) {
	memory := NewRetained(2)
	writer := Rule{Publish: true, Users: []string{"bob"}, Topics: []string{"#"}}
	granted := compiled(t, writer, reads("#")).Remember(memory)
	revoked := compiled(t, reads("#")).Remember(memory)
	bob := user("bob")
	up := granted.View(bob)
	set := func(topic, payload string) {
		t.Helper()
		p := delivery(topic, 1)
		p.Payload = []byte(payload)
		if v := up.Filter(time.Time{}, bob, p); v.Action != filters.Forward {
			t.Fatalf("%s: %+v", topic, v)
		}
	}
	deliver := func(say string, policy *Policy, topic string, flags byte, want filters.Action) {
		t.Helper()
		reader := user("eve")
		f := filters.Chain{policy.Deliveries()}.Open(reader)
		if v := f.JudgeDown(time.Time{}, reader, delivery(topic, flags)); v.Action != want {
			t.Errorf("%s: %+v", say, v)
		}
	}
	set("a", "x")
	deliver("its publisher has the right", granted, "a", 1, filters.Forward)
	deliver("has lost it", revoked, "a", 1, filters.Drop)
	deliver("a message that is not retained is of now", revoked, "a", 0, filters.Forward)
	deliver("nobody knows who set it", revoked, "other", 1, filters.Forward)
	set("a", "")
	deliver("it was cleared; another has set it", revoked, "a", 1, filters.Forward)
	set("a", "x")
	set("b", "x")
	set("c", "x")
	deliver("the oldest is forgotten", revoked, "a", 1, filters.Forward)
	deliver("the others are not", revoked, "b", 1, filters.Drop)
	if len(memory.setters) != 2 || memory.order.Len() != 2 {
		t.Errorf("%d and %d remembered", len(memory.setters), memory.order.Len())
	}
}

func BenchmarkDeliveries(b *testing.B) {
	s := user("bob")
	policy, err := New([]Rule{allow("a/#")})
	if err != nil {
		b.Fatal(err)
	}
	f := policy.Deliveries().(filters.Opener).Open(s)
	p := delivery("a/b/c", 0)
	b.ReportAllocs()
	for b.Loop() {
		f.Filter(time.Time{}, s, p)
	}
}
