package authz

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// TestExplain: each rule before the one that decides says why it did not.
func TestExplain(t *testing.T) {
	by := func(edit func(*Rule)) Rule {
		r := allow("a/#")
		edit(&r)
		return r
	}
	early, err := ParseWindow("06:00-08:00", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	rules := []Rule{
		by(func(r *Rule) { r.Users = Globs([]string{"eve"}) }),
		by(func(r *Rule) { r.Anonymous = true }),
		by(func(r *Rule) { r.ClientIDs = Globs([]string{"x"}) }),
		by(func(r *Rule) { r.Groups = Globs([]string{"x"}) }),
		by(func(r *Rule) { r.Tenants = Globs([]string{"x"}) }),
		by(func(r *Rule) { r.Listeners = Globs([]string{"x"}) }),
		by(func(r *Rule) { r.Certs = Globs([]string{"*"}) }),
		by(func(r *Rule) { r.IPs = prefixes("10.0.0.0/8") }),
		by(func(r *Rule) { r.Within = []Subjects{{}, {Users: Globs([]string{"eve"})}} }),
		by(func(r *Rule) { r.Publish, r.Subscribe, r.Receive = false, false, true }),
		by(func(r *Rule) { r.QoS = []packets.QoS{2} }),
		by(func(r *Rule) { r.Retain = new(bool) }),
		by(func(r *Rule) { r.Size = 10 }),
		by(func(r *Rule) { r.Times = []Window{early} }),
		by(func(r *Rule) { r.Topics = ParseTopics("a/${cert.cn}") }),
		by(func(r *Rule) { r.Topics = ParseTopics("b", "=a/+") }),
		{Connect: true, Topics: []Topic{{Kind: Every}}},
		allow("a/#"),
		allow("a/b"),
	}
	p := compiled(t, rules...)
	s := user("bob")
	s.ClientID, s.Listener, s.RemoteAddr = "bob-1", "mqtts", netip.MustParseAddrPort("192.0.2.1:1")
	d, steps := p.Explain(noon, s, Question{Action: "publish", Message: Message{Topic: []byte("a/b"), QoS: 1, Retain: true, Size: 11}})
	want := []string{
		"for other users", "for other users", "for other client identifiers", "for other groups", "for other tenants", "for other listeners",
		"for other certificates", "for other networks", "for other users", "about other actions", "about other QoS", "about other values of retain",
		"about smaller payloads", "at other times", "has a placeholder for which the client has no safe value", "about other topics", "about other actions", "",
	}
	var got []string
	for i, step := range steps {
		if step.Rule != p.rules[i].label {
			t.Errorf("step %d is of %s", i, step.Rule)
		}
		got = append(got, step.Why)
	}
	if !d.Allowed || d.Rule != "17" || !slices.Equal(got, want) {
		t.Errorf("%+v, got\n%q, want\n%q", d, got, want)
	}
	d, steps = compiled(t, allow("a/b")).Explain(noon, s, Question{Action: "subscribe", Message: Message{Topic: []byte("a/#")}})
	if d.Allowed || d.Rule != noRule || len(steps) != 1 || steps[0].Why != "allows only a part of the filter" {
		t.Errorf("%+v %+v", d, steps)
	}
}

// TestExplainAgrees: what is explained is what is decided.
func TestExplainAgrees(t *testing.T) {
	c := &choices{}
	for i := range 3000 {
		c.data = append(c.data, byte(i*i>>3), byte(i))
	}
	for len(c.data) > 200 {
		r := c.request()
		policy := compiled(t, r.rules...)
		s := &filters.Session{Version: packets.V5, Identity: filters.Identity{Username: r.username}}
		v := policy.View(s)
		for _, action := range []string{"publish", "will", "subscribe", "receive"} {
			m := Message{Topic: []byte(r.topic), QoS: r.qos, Retain: r.retain, Will: action == "will"}
			var want Decision
			switch action {
			case "subscribe":
				m.Topic = []byte(r.filter)
				want = v.Subscribe(noon, m.Topic, r.qos)
			case "receive":
				want = v.Receive(noon, m)
			default:
				want = v.Publish(noon, m)
			}
			got, steps := policy.Explain(noon, s, Question{Action: action, Message: m})
			decided := len(steps) > 0 && steps[len(steps)-1].Why == ""
			if got.Allowed != want.Allowed || got.Rule != want.Rule || decided != (want.Rule != noRule) || decided && steps[len(steps)-1].Rule != want.Rule {
				t.Fatalf("%s: explained as %+v %+v, decided %+v; %s", action, got, steps, want, r)
			}
		}
	}
}

// TestUnused: what has decided is known over reloads, wherever it stands by then.
func TestUnused(t *testing.T) {
	named := allow("a")
	named.Name = "first"
	p := compiled(t, named, allow("b"), deny("c"), allow("#"))
	v := p.View(user("bob"))
	if got := p.Unused(); !slices.Equal(got, []string{"first, 0", "1", "2", "3"}) {
		t.Errorf("at first %q are unused", got)
	}
	v.Publish(noon, Message{Topic: []byte("b")})
	v.Subscribe(noon, []byte("c"), 0)
	if got := p.Unused(); !slices.Equal(got, []string{"first, 0", "3"}) {
		t.Errorf("%q are unused", got)
	}
	renamed, quick := deny("c"), allow("b")
	renamed.Name, quick.QoS = "renamed", []packets.QoS{0}
	next := compiled(t, renamed, quick, allow("a"), allow("b"))
	next.Inherit(p)
	if got := next.Unused(); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("after a reload %q are unused", got)
	}
	next.Inherit(nil)
}
