package authz

import (
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// TestPermissions: what a proof allows is asked before the rules.
func TestPermissions(t *testing.T) {
	var (
		configured = []Rule{allow("conf/#"), deny("#")}
		publish    = filters.Permission{Name: "acl[0]", Publish: true, Topics: []string{"own/${username}"}}
		denied     = filters.Permission{Name: "acl[1]", Deny: true, Publish: true, Subscribe: true, Topics: []string{"conf/secret"}}
		literal    = filters.Permission{Name: "acl[2]", Subscribe: true, Topics: []string{"=lit/#"}}
		quick      = filters.Permission{Name: "acl[3]", Subscribe: true, Topics: []string{"q"}, QoS: []packets.QoS{0}}
		globs      = filters.Permission{Name: "scope", Publish: true, Subscribe: true, Globs: []string{"g/*/x", "h*"}}
		all        = filters.Permission{Name: "all", Publish: true, Subscribe: true, Globs: []string{"*"}}
		broken     = filters.Permission{Name: "broken", Publish: true, Topics: []string{"a/#/b"}}
		deniesGlob = filters.Permission{Name: "broken", Deny: true, Subscribe: true, Globs: []string{"a*"}}
	)
	tests := []struct {
		name      string
		own       []filters.Permission
		closed    bool
		subscribe bool
		topic     string
		want      bool
		rule      string
	}{
		{"own", []filters.Permission{publish}, false, false, "own/bob", true, "acl[0], as tokens vouches"},
		{"another's", []filters.Permission{publish}, true, false, "own/eve", false, noRule},
		{"configured", []filters.Permission{publish}, false, false, "conf/a", true, ""},
		{"configured, but closed", []filters.Permission{publish}, true, false, "conf/a", false, noRule},
		{"nothing, and closed", nil, true, false, "conf/a", false, noRule},
		{"own deny before a configured allow", []filters.Permission{denied}, false, false, "conf/secret", false, "acl[1], as tokens vouches"},
		{"another action", []filters.Permission{publish}, true, true, "own/bob", false, noRule},
		{"literal filter", []filters.Permission{literal}, true, true, "lit/#", true, ""},
		{"less than the literal", []filters.Permission{literal}, true, true, "lit/a", false, noRule},
		{"QoS", []filters.Permission{quick}, true, true, "q", false, noRule},

		{"glob", []filters.Permission{globs}, true, false, "g/a/b/x", true, ""},
		{"beside the glob", []filters.Permission{globs}, true, false, "g/x", false, noRule},
		{"glob and single-level wildcard", []filters.Permission{globs}, true, true, "g/+/x", true, ""},
		{"glob and a wildcard that is wider", []filters.Permission{globs}, true, true, "g/#", false, noRule},
		{"glob and multi-level wildcard", []filters.Permission{globs}, true, true, "h/#", true, ""},
		{"glob of all", []filters.Permission{all}, true, true, "#", true, ""},
		{"is not of the broker's topics", []filters.Permission{all}, true, true, "$SYS/#", false, noRule},
		{"nor to publish to", []filters.Permission{all}, true, false, "$CONTROL/x", false, noRule},

		{"one that is not understood", []filters.Permission{all, broken}, false, false, "conf/a", false, noRule},
		{"a glob that denies", []filters.Permission{all, deniesGlob}, false, false, "conf/a", false, noRule},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := user("bob")
			s.Identity.Method = "tokens"
			s.Identity.Permissions = &filters.Permissions{Rules: tt.own, Closed: tt.closed}
			v := compiled(t, configured...).View(s)
			got := v.Publish(noon, Message{Topic: []byte(tt.topic), QoS: 1})
			if tt.subscribe {
				got = v.Subscribe(noon, []byte(tt.topic), 1)
			}
			if got.Allowed != tt.want || tt.rule != "" && got.Rule != tt.rule {
				t.Errorf("got %+v, want %v by %q", got, tt.want, tt.rule)
			}
		})
	}
}

// TestGlobDelivery: a glob lets a filter be subscribed to that is a little wider;
// what is beyond it is not delivered.
func TestGlobDelivery(t *testing.T) {
	s := user("bob")
	s.Identity.Permissions = &filters.Permissions{Closed: true, Rules: []filters.Permission{{Subscribe: true, Globs: []string{"a/*"}}}}
	v := compiled(t).View(s)
	if !v.Subscribe(noon, []byte("a/#"), 0).Allowed {
		t.Error("a/# is refused")
	}
	for topic, want := range map[string]bool{"a/b": true, "a/b/c": true, "a": false, "b": false} {
		if got := v.Receive(noon, Message{Topic: []byte(topic), QoS: 0}); got.Allowed != want {
			t.Errorf("delivery to %s: %+v", topic, got)
		}
	}
}

// TestRenewal: another proof of the same client, other permissions.
func TestRenewal(t *testing.T) {
	s := user("bob")
	p := compiled(t, Rule{Subjects: Subjects{Groups: Globs([]string{"line-*"})}, Publish: true, Topics: ParseTopics("a")})
	if p.View(s).Publish(noon, Message{Topic: []byte("a")}).Allowed {
		t.Error("allowed without a group")
	}
	id := s.Identity
	id.Groups = []string{"office", "line-7"}
	s.Renew(id)
	if !p.View(s).Publish(noon, Message{Topic: []byte("a")}).Allowed {
		t.Error("denied in the group")
	}
}

func TestGroupTopics(t *testing.T) {
	own := allow("${group}/x")
	own.Groups = Globs([]string{"line-*"})
	denyOwn := deny("${group}/secret")
	tests := []struct {
		name   string
		rules  []Rule
		groups []string
		topic  string
		want   bool
	}{
		{"one group", []Rule{own}, []string{"line-1"}, "line-1/x", true},
		{"the second", []Rule{own}, []string{"line-1", "line-2"}, "line-2/x", true},
		{"one that the rule is not about", []Rule{own}, []string{"line-1", "office"}, "office/x", false},
		{"another's", []Rule{own}, []string{"line-1"}, "line-2/x", false},
		{"in none", []Rule{own}, nil, "line-1/x", false},
		{"a wildcard for a name", []Rule{own}, []string{"line-+"}, "line-1/x", false},
		{"denied by one of two", []Rule{denyOwn, allow("#")}, []string{"a", "b"}, "b/secret", false},
		{"not denied by another's", []Rule{denyOwn, allow("#")}, []string{"a", "b"}, "c/secret", true},
		{"denied wider without a group", []Rule{denyOwn, allow("#")}, nil, "c/secret", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := user("bob")
			s.Identity.Groups = tt.groups
			if got := compiled(t, tt.rules...).View(s).Publish(noon, Message{Topic: []byte(tt.topic)}); got.Allowed != tt.want {
				t.Errorf("got %+v", got)
			}
		})
	}
}
