package authz

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// send lets user send a PUBLISH by the policy.
func send(t *testing.T, policy *Policy, username string, flags byte, topic, payload string) {
	t.Helper()
	s := user(username)
	b := packets.AppendPublish(nil, packets.V5, flags, []byte(topic), 7, nil, []byte(payload), 0)
	policy.View(s).Filter(time.Time{}, s, parse(t, b, packets.V5))
}

// receives reports whether bob gets the message, and the rule if not.
func receives(t *testing.T, policy *Policy, flags byte, topic string) (bool, string) {
	t.Helper()
	v := deliver(t, policy.Deliveries().(filters.Opener).Open(user("bob")), flags, topic)
	return v.Action == filters.Forward, v.Rule
}

// TestRetained: a retained message is delivered as long as its publisher may
// publish it [CVE-2018-12546].
func TestRetained(t *testing.T) {
	writes := func(edit func(*Rule), users ...string) Rule {
		r := Rule{Subjects: Subjects{Users: Globs(users)}, Publish: true, Topics: ParseTopics("#")}
		edit(&r)
		return r
	}
	same := func(*Rule) {}
	reads := Rule{Subscribe: true, Topics: ParseTopics("#")}
	before := []Rule{reads, writes(same, "eve", "carol")}
	tests := []struct {
		name  string
		after []Rule
		flags byte // of the delivery; 1 is RETAIN
		want  bool
		rule  string
	}{
		{"nothing changed", before, 1, true, ""},
		{"no right", []Rule{reads}, 1, false, noRule},
		{"denied", []Rule{reads, writes(func(r *Rule) { r.Deny = true }, "eve"), writes(same, "eve")}, 1, false, "1"},
		{"no right to retain", []Rule{reads, writes(func(r *Rule) { r.Retain = new(bool) }, "eve")}, 1, false, noRule},
		{"no right to the topic", []Rule{reads, writes(func(r *Rule) { r.Topics = ParseTopics("b") }, "eve")}, 1, false, noRule},
		{"judged with its own QoS, not the delivery's", []Rule{reads, writes(func(r *Rule) { r.QoS = []packets.QoS{1} }, "eve")}, 1, true, ""},
		{"no right to its QoS", []Rule{reads, writes(func(r *Rule) { r.QoS = []packets.QoS{0} }, "eve")}, 1, false, noRule},
		{"another lost it", []Rule{reads, writes(same, "eve")}, 1, true, ""},
		{"not retained", []Rule{reads}, 0, true, ""},
		{"not to be received anyway", []Rule{writes(same, "eve")}, 1, false, noRule},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRetained(10)
			send(t, compiled(t, before...).With(r), "eve", 3, "a", "payload")
			ok, rule := receives(t, compiled(t, tt.after...).With(r), tt.flags, "a")
			if ok != tt.want || rule != tt.rule {
				t.Errorf("delivered: %v by %q, want %v by %q", ok, rule, tt.want, tt.rule)
			}
		})
	}
}

// TestRetainedAgain: the last publisher and its last QoS count.
func TestRetainedAgain(t *testing.T) {
	r := NewRetained(10)
	reads, eve := Rule{Subscribe: true, Topics: ParseTopics("#")}, Rule{Subjects: Subjects{Users: Globs([]string{"eve"})}, Publish: true, Topics: ParseTopics("#")}
	before := compiled(t, reads, eve, allow("#")).With(r)
	eve.QoS = []packets.QoS{1}
	after := compiled(t, reads, eve).With(r)
	for i, step := range []struct {
		user  string
		flags byte
		want  bool
	}{
		{"eve", 3, true},
		{"carol", 3, false},
		{"eve", 1, false},
		{"eve", 3, true},
	} {
		send(t, before, step.user, step.flags, "a", "on")
		if ok, _ := receives(t, before, 1, "a"); !ok {
			t.Errorf("step %d: withheld before", i)
		}
		if ok, rule := receives(t, after, 1, "a"); ok != step.want {
			t.Errorf("step %d: delivered is %v by %q", i, ok, rule)
		}
	}
}

// TestRetainedNotes: what is known of a topic after some messages, when nobody
// may publish any more.
func TestRetainedNotes(t *testing.T) {
	type message struct {
		user    string
		flags   byte
		payload string
	}
	long := strings.Repeat("x", maxRetainedTopic+1)
	for _, tt := range []struct {
		name     string
		topic    string
		messages []message
		withheld bool
	}{
		{"set", "a", []message{{"eve", 1, "on"}}, true},
		{"not retained", "a", []message{{"eve", 0, "on"}}, false},
		{"set, and one that is not retained", "a", []message{{"eve", 1, "on"}, {"carol", 0, ""}}, true},
		{"cleared", "a", []message{{"eve", 1, "on"}, {"eve", 1, ""}}, false},
		{"cleared by another", "a", []message{{"eve", 1, "on"}, {"carol", 1, ""}}, false},
		{"cleared by one who may not", "a", []message{{"eve", 1, "on"}, {"mallory", 1, ""}}, true},
		{"set by one who may not", "a", []message{{"mallory", 1, "on"}}, false},
		{"nothing to clear", "a", []message{{"eve", 1, ""}}, false},
		{"long topic", long, []message{{"eve", 1, "on"}}, false},
		{"longest topic", long[1:], []message{{"eve", 1, "on"}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRetained(10)
			reads, writes := Rule{Subscribe: true, Topics: ParseTopics("#")}, Rule{Subjects: Subjects{Users: Globs([]string{"eve", "carol"})}, Publish: true, Topics: ParseTopics("#")}
			for _, m := range tt.messages {
				send(t, compiled(t, reads, writes).With(r), m.user, m.flags, tt.topic, m.payload)
			}
			if ok, _ := receives(t, compiled(t, reads).With(r), 1, tt.topic); ok == tt.withheld {
				t.Errorf("delivered: %v", ok)
			}
		})
	}
}

// TestRetainedStreams: a payload that is still to come is a payload.
func TestRetainedStreams(t *testing.T) {
	r := NewRetained(10)
	s := user("bob")
	p := &packets.Packet{Type: packets.PUBLISH, Flags: 1, Version: packets.V5, Topic: []byte("a"), Rest: 5}
	compiled(t, allow("a")).With(r).View(s).Filter(time.Time{}, s, p)
	if _, ok := r.find("", []byte("a")); !ok {
		t.Error("not noted")
	}
}

// TestRetainedResponse: a message that is refused for its Response Topic has
// set nothing.
func TestRetainedResponse(t *testing.T) {
	r := NewRetained(10)
	s := user("bob")
	p := parse(t, publish(packets.V5, 1, "a", responseTopic("b")), packets.V5)
	compiled(t, allow("a")).With(r).View(s).Filter(time.Time{}, s, p)
	if _, ok := r.find("", []byte("a")); ok {
		t.Error("noted")
	}
}

// TestRetainedWill: the Will is noted when it is about to be published.
func TestRetainedWill(t *testing.T) {
	r := NewRetained(10)
	s := user("bob")
	v := compiled(t, allow("a")).With(r).View(s)
	review := func(topic, payload string, retain bool) bool {
		c := packets.Connect{Level: byte(packets.V5), CleanStart: true, ClientID: []byte("c"), Will: &packets.Will{
			Topic: []byte(topic), Payload: []byte(payload), Retain: retain,
		}}
		p := parse(t, packets.AppendConnect(nil, packets.V5, &c), 0)
		v.Filter(time.Time{}, s, p)
		if _, ok := r.find("", []byte("b")); ok {
			t.Error("a CONNECT that was refused is noted")
		}
		v.Review(noon, s, p)
		_, ok := r.find("", []byte(topic))
		return ok
	}
	if review("a", "gone", false) || review("b", "gone", true) {
		t.Error("a Will is noted that is not retained or not allowed")
	}
	if !review("a", "gone", true) {
		t.Error("a retained Will is not noted")
	}
	if review("a", "", true) {
		t.Error("a retained Will without payload has cleared nothing")
	}
}

// TestRetainedWillMonitored: who has set what goes on although it would be denied
// is noted, so that it is withheld once rules are enforced.
func TestRetainedWillMonitored(t *testing.T) {
	p, r := *compiled(t), NewRetained(10)
	p.options.Monitor = true
	s := user("bob")
	c := packets.Connect{Level: byte(packets.V5), CleanStart: true, ClientID: []byte("c"), Will: &packets.Will{
		Topic: []byte("a"), Payload: []byte("gone"), Retain: true,
	}}
	p.With(r).View(s).Review(noon, s, parse(t, packets.AppendConnect(nil, packets.V5, &c), 0))
	if ok, _ := receives(t, compiled(t, Rule{Subscribe: true, Topics: ParseTopics("#")}).With(r), 1, "a"); ok {
		t.Error("it is delivered")
	}
}

// TestRetainedApart: brokers do not have each other's messages.
func TestRetainedApart(t *testing.T) {
	r := NewRetained(10)
	policy, s := compiled(t, allow("a")).With(r), user("bob")
	s.Backend = "one"
	policy.View(s).Filter(time.Time{}, s, parse(t, publish(packets.V5, 1, "a", nil), packets.V5))
	for backend, want := range map[string]bool{"one": true, "two": false} {
		if _, ok := r.find(backend, []byte("a")); ok != want {
			t.Errorf("%s has it: %v", backend, ok)
		}
	}
	s.Backend = "two"
	p := &packets.Packet{Type: packets.PUBLISH, Flags: 1, Version: packets.V5, Topic: []byte("a")} // no payload
	policy.View(s).Filter(time.Time{}, s, p)
	if _, ok := r.find("one", []byte("a")); !ok {
		t.Error("cleared by what another broker has cleared")
	}
}

// TestRetainedBound: what was not used for the longest time is forgotten.
func TestRetainedBound(t *testing.T) {
	r := NewRetained(3)
	policy := compiled(t, allow("#")).With(r)
	for _, topic := range []string{"a", "b", "c"} {
		send(t, policy, "bob", 1, topic, "on")
	}
	send(t, policy, "bob", 1, "a", "off")
	receives(t, policy, 1, "b")
	send(t, policy, "bob", 1, "d", "on")
	var known []string
	for key := range r.topics {
		known = append(known, key.topic)
	}
	slices.Sort(known)
	if !slices.Equal(known, []string{"a", "b", "d"}) || r.used.Len() != 3 {
		t.Errorf("known are %q", known)
	}
}

// TestRetainedNone: no table, and one without room, know nobody.
func TestRetainedNone(t *testing.T) {
	for name, r := range map[string]*Retained{"nil": nil, "zero": {}, "no room": NewRetained(0)} {
		policy := compiled(t, allow("#")).With(r)
		send(t, policy, "bob", 1, "a", "on")
		send(t, policy, "bob", 1, "a", "")
		if ok, rule := receives(t, policy, 1, "a"); !ok {
			t.Errorf("%s: withheld by %q", name, rule)
		}
	}
}

// TestRetainedSubjects: a publisher is judged by all that rules can name.
func TestRetainedSubjects(t *testing.T) {
	s := user("bob")
	s.Certificate = certificate(t, "plc-7")
	s.ClientID, s.Listener, s.RemoteAddr = "device-1", "plant", netip.MustParseAddrPort("10.1.2.3:4")
	own := Rule{
		Subjects: Subjects{
			Users: Globs([]string{"bob"}), ClientIDs: Globs([]string{"device-*"}), Listeners: Globs([]string{"plant"}),
			Certs: Globs([]string{"plc-*"}), IPs: prefixes("10.0.0.0/8"),
		},
		Publish: true, Topics: ParseTopics("a/${clientid}"),
	}
	r := NewRetained(1)
	policy := compiled(t, own, Rule{Receive: true, Topics: ParseTopics("#")}).With(r)
	policy.View(s).Filter(time.Time{}, s, parse(t, publish(packets.V5, 1, "a/device-1", nil), packets.V5))
	if _, ok := r.find("", []byte("a/device-1")); !ok {
		t.Fatal("not noted")
	}
	if ok, rule := receives(t, policy, 1, "a/device-1"); !ok {
		t.Errorf("withheld by %q", rule)
	}
}

// TestRetainedConcurrently is for the race detector.
func TestRetainedConcurrently(t *testing.T) {
	r := NewRetained(4)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			policy := compiled(t, allow("#")).With(r)
			for n := range 100 {
				topic := fmt.Sprint(n % 6)
				send(t, policy, fmt.Sprint(i), 1, topic, "on"[n%3:])
				if ok, rule := receives(t, policy, 1, topic); !ok {
					t.Errorf("withheld by %q", rule)
				}
			}
		})
	}
	wg.Wait()
}
