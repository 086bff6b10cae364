package authz

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

func TestWithout(t *testing.T) {
	rule := allow("a/#")
	rule.Without = []Subjects{{IPs: prefixes("10.0.0.0/8")}, {Users: Globs([]string{"eve"}), Listeners: Globs([]string{"out"})}}
	p := compiled(t, rule)
	for _, tt := range []struct {
		user, listener, from string
		want                 bool
	}{
		{"bob", "in", "192.0.2.1:1", true},
		{"bob", "in", "10.1.1.1:1", false},
		{"eve", "out", "192.0.2.1:1", false},
		{"eve", "in", "192.0.2.1:1", true},
	} {
		s := user(tt.user)
		s.Listener, s.RemoteAddr = tt.listener, netip.MustParseAddrPort(tt.from)
		if d := p.View(s).Publish(noon, Message{Topic: []byte("a/b")}); d.Allowed != tt.want {
			t.Errorf("%+v: %+v", tt, d)
		}
	}
	// Who has no address is in no network.
	if !p.View(user("bob")).Publish(noon, Message{Topic: []byte("a/b")}).Allowed {
		t.Error("a client without an address is taken for one of a network")
	}
}

// TestWithoutIsOfTheSubjects: rules that differ in whom they leave out are not
// taken for the same, nor for rules about everybody.
func TestWithoutIsOfTheSubjects(t *testing.T) {
	some, others, all := allow("#"), allow("a"), allow("b")
	some.Without = []Subjects{{Users: Globs([]string{"bob"})}}
	others.Within = some.Without
	p := compiled(t, some, others, all)
	for topic, want := range map[string]bool{"a": true, "b": true, "c": false} {
		if d := p.View(user("bob")).Publish(noon, Message{Topic: []byte(topic)}); d.Allowed != want {
			t.Errorf("%s: %+v", topic, d)
		}
	}
	if w := p.Weaknesses(); len(w) > 0 {
		t.Errorf("weaknesses: %q", w)
	}
	_, steps := p.Explain(noon, user("bob"), Question{Action: "publish", Message: Message{Topic: []byte("b")}})
	if len(steps) == 0 || !strings.Contains(steps[0].Why, "all but some clients") {
		t.Errorf("steps: %+v", steps)
	}
}

// TestShadowsOfForeignRules: what seems to come first may not match where the
// other does.
func TestShadowsOfForeignRules(t *testing.T) {
	narrow := Rule{Exact: true, Deny: true, Publish: true, Topics: []Topic{{Pattern: "a/${username}"}}}
	wide := narrow
	wide.Widen = true
	both := Rule{Exact: true, Publish: true, Topics: []Topic{{Pattern: "*", Also: "a/*", Kind: Wild}}}
	if w := compiled(t, narrow, wide, both).Weaknesses(); len(w) > 0 {
		t.Errorf("weaknesses: %q", w)
	}
	if w := compiled(t, narrow, narrow).Weaknesses(); len(w) != 1 {
		t.Errorf("weaknesses of a rule that comes twice: %q", w)
	}
}

// TestWiden: a deny of another format that lacks a value may be made wider.
func TestWiden(t *testing.T) {
	every := Rule{Exact: true, Publish: true, Subscribe: true, Topics: []Topic{{Kind: Every}}}
	refuse := Rule{Exact: true, Widen: true, Deny: true, Publish: true, Subscribe: true}
	for _, topic := range []Topic{
		{Pattern: "a/${username}/x"},
		{Pattern: "a/${username}/x", Kind: Levels},
		{Pattern: "a/${username}/x", Kind: Wild},
		{Pattern: "*", Also: "a/${username}/x", Kind: Wild},
	} {
		refuse.Topics = []Topic{topic}
		s := user("a/b")
		v := compiled(t, refuse, every).View(s)
		if v.Publish(noon, Message{Topic: []byte("a/c/x")}).Allowed || v.Subscribe(noon, []byte("a/+/x"), 0).Allowed {
			t.Errorf("%+v is not made wider", topic)
		}
		if !v.Publish(noon, Message{Topic: []byte("a/c/y")}).Allowed {
			t.Errorf("%+v denies everything", topic)
		}
	}
	// The kind stays: "a/#" has three levels fewer than the rule, or one that "+" holds.
	refuse.Topics = []Topic{{Pattern: "a/${username}", Kind: Levels}}
	if compiled(t, refuse, every).View(user("a/b")).Subscribe(noon, []byte("a/#"), 0).Allowed {
		t.Error("a rule about levels turns into one about filters")
	}
	grant := Rule{Exact: true, Widen: true, Publish: true, Topics: []Topic{{Pattern: "a/${username}"}}}
	if compiled(t, grant).View(user("a/b")).Publish(noon, Message{Topic: []byte("a/c")}).Allowed {
		t.Error("a rule that allows is made wider")
	}
}

func TestPersistent(t *testing.T) {
	yes, every := true, []Topic{{Kind: Every}}
	p := compiled(t, Rule{Connect: true, Deny: true, Persistent: &yes, Topics: every}, Rule{Connect: true, Topics: every})
	for _, tt := range []struct {
		version packets.Version
		clean   bool
		expiry  byte
		want    bool
	}{
		{packets.V31, true, 0, true},
		{packets.V311, true, 0, true},
		{packets.V311, false, 0, false},
		{packets.V5, false, 0, true},
		{packets.V5, true, 1, false},
		{packets.V5, false, 1, false},
	} {
		s := user("bob")
		s.Version, s.ClientID = tt.version, "c-1"
		c := packets.Connect{Level: byte(tt.version), CleanStart: tt.clean, ClientID: []byte("c-1")}
		if tt.expiry > 0 {
			c.Props = packets.Properties{byte(packets.SessionExpiryInterval), 0, 0, 0, tt.expiry}
		}
		got := p.View(s).Filter(noon, s, parse(t, packets.AppendConnect(nil, tt.version, &c), 0))
		if (got.Action == filters.Forward) != tt.want {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
}
