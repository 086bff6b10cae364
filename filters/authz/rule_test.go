package authz

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// compiled returns rules as a Policy. Rule i stands at place "i".
func compiled(t testing.TB, rules ...Rule) *Policy {
	t.Helper()
	for i := range rules {
		rules[i].Place = fmt.Sprint(i)
	}
	p, err := New(rules, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// noon is when decisions are asked for, where it does not matter.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC) // a Monday

// allow and deny are rules for everybody and both actions.
func allow(topics ...string) Rule {
	return Rule{Publish: true, Subscribe: true, Topics: ParseTopics(topics...)}
}

func deny(topics ...string) Rule {
	return Rule{Deny: true, Publish: true, Subscribe: true, Topics: ParseTopics(topics...)}
}

func user(name string) *filters.Session {
	return &filters.Session{Version: packets.V5, Identity: filters.Identity{Username: name}}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Rule)
		want string // part of the error; empty: none
	}{
		{"nothing wrong", func(*Rule) {}, ""},
		{"no topics", func(r *Rule) { r.Topics = nil }, "no topics"},
		{"no action", func(r *Rule) { r.Publish, r.Subscribe = false, false }, "no action"},
		{"no action, denied", func(r *Rule) { r.Deny, r.Publish, r.Subscribe = true, false, false }, "no action"},
		{"empty topic", func(r *Rule) { r.Topics = ParseTopics("a", "") }, "empty template"},
		{"empty literal", func(r *Rule) { r.Topics = ParseTopics("=") }, "empty template"},
		{"wildcard within a level", func(r *Rule) { r.Topics = ParseTopics("a", "b+") }, "no topic filter: b+"},
		{"wildcard behind a placeholder", func(r *Rule) { r.Topics = ParseTopics("a/${username}#") }, "no topic filter"},
		{"wildcard before a placeholder", func(r *Rule) { r.Topics = ParseTopics("a/+${username}") }, "no topic filter"},
		{"wildcard not at the end", func(r *Rule) { r.Topics = ParseTopics("a/#/b") }, "no topic filter: a/#/b"},
		{"malformed literal", func(r *Rule) { r.Topics = ParseTopics("=a#") }, "no topic filter: =a#"},
		{"NUL", func(r *Rule) { r.Topics = ParseTopics("a\x00") }, "no topic filter"},
		{"too long", func(r *Rule) { r.Topics = ParseTopics(strings.Repeat("a", 65536)) }, "no topic filter"},
		{"share without a group", func(r *Rule) { r.Topics = ParseTopics("$share//a") }, "no topic filter"},
		{"share without a filter", func(r *Rule) { r.Topics = ParseTopics("$share/g") }, "no topic filter"},
		{"share with a wildcard for group", func(r *Rule) { r.Topics = ParseTopics("$share/+/a") }, "no topic filter"},
		{"share in a share", func(r *Rule) { r.Topics = ParseTopics("$share/g/$share/h/a") }, "no topic filter"},
		{"share", func(r *Rule) { r.Topics = ParseTopics("$share/${username}/a/#", "=$share/g/+") }, ""},
		{"unknown placeholder", func(r *Rule) { r.Topics = ParseTopics("a/${user}") }, "column 3: unknown placeholder ${user}"},
		{"open placeholder", func(r *Rule) { r.Topics = ParseTopics("a/${username") }, "without a closing }"},
		{"receive only", func(r *Rule) { *r = Rule{Place: r.Place, Receive: true, Topics: ParseTopics("a", "=a/+")} }, ""},
		{"denies nothing", func(r *Rule) { *r = Rule{Place: r.Place, Deny: true, Receive: true, Topics: ParseTopics("a", "=a/+")} }, "denies no delivery, only a subscription: =a/+"},
		{"denies nothing to a group", func(r *Rule) { *r = Rule{Place: r.Place, Deny: true, Receive: true, Topics: ParseTopics("$share/g/a")} }, "denies no delivery"},
		{"denies a subscription", func(r *Rule) { r.Deny, r.Receive, r.Topics = true, true, ParseTopics("=a/+", "$share/g/a") }, ""},
		{"QoS", func(r *Rule) { r.QoS = []packets.QoS{0, 3} }, "no such QoS: 3"},
		{"empty user", func(r *Rule) { r.Users = Globs([]string{"a", ""}) }, "empty name"},
		{"empty client id", func(r *Rule) { r.ClientIDs = Globs([]string{""}) }, "empty name"},
		{"empty listener", func(r *Rule) { r.Listeners = Globs([]string{""}) }, "empty name"},
		{"empty certificate", func(r *Rule) { r.Certs = Globs([]string{""}) }, "empty name"},
		{"zero network", func(r *Rule) { r.IPs = make([]netip.Prefix, 1) }, "no network"},
		{"mapped network", func(r *Rule) { r.IPs = prefixes("::ffff:10.0.0.0/104") }, "no network: ::ffff:10.0.0.0/104"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := allow("a")
			r.Place = "authz.rules[0]"
			tt.edit(&r)
			err := r.Validate()
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			p, err := New([]Rule{allow("a"), r}, Options{})
			if p != nil || err == nil || !strings.HasPrefix(err.Error(), "authz.rules[0]: ") {
				t.Errorf("New returns %v and the error %v", p, err)
			}
		})
	}
}

// TestValidateChangesNothing: the caller's rule stays as it is.
func TestValidateChangesNothing(t *testing.T) {
	r := allow("a")
	r.Certs = Globs([]string{strings.Repeat("AB:", 31) + "AB"})
	want := slices.Clone(r.Certs)
	if err := r.Validate(); err != nil || !slices.Equal(r.Certs, want) {
		t.Errorf("error %v, certs %q", err, r.Certs)
	}
}

func TestLabel(t *testing.T) {
	named, bare := allow("a"), allow("b")
	named.Name, named.Place = "sensor writes", "authz.rules[0] (line 3)"
	bare.Place = "authz.rules[1] (line 4)"
	p, err := New([]Rule{named, bare}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := p.View(user("bob"))
	for topic, want := range map[string]string{
		"a": "sensor writes, authz.rules[0] (line 3)",
		"b": "authz.rules[1] (line 4)",
		"c": "no rule matches",
	} {
		if got := v.Publish(noon, Message{Topic: []byte(topic)}).Rule; got != want {
			t.Errorf("publish to %s: rule %q, want %q", topic, got, want)
		}
		if got := v.Subscribe(noon, []byte(topic), 0).Rule; got != want {
			t.Errorf("subscribe to %s: rule %q, want %q", topic, got, want)
		}
	}
}
