package authz

import (
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/packets"
)

func TestWeaknesses(t *testing.T) {
	users := func(r Rule, names ...string) Rule { r.Users = Globs(append([]string{}, names...)); return r }
	at := func(r Rule, nets ...string) Rule { r.IPs = prefixes(nets...); return r }
	publish := func(topics ...string) Rule { return Rule{Publish: true, Topics: ParseTopics(topics...)} }
	subscribe := func(topics ...string) Rule { return Rule{Subscribe: true, Topics: ParseTopics(topics...)} }
	quick, retained, small := allow("a/#"), allow("a/#"), allow("a/#")
	quick.QoS, retained.Retain, small.Size = []packets.QoS{0}, new(bool), 10
	everything, exact := Rule{Publish: true, Topics: []Topic{{Kind: Every}}}, allow("a/b")
	exact.Exact = true
	const all, comes = "allows everybody all topics (#)", "comes first"
	tests := []struct {
		name  string
		rules []Rule
		want  []string // parts of the lines, in order
	}{
		{"nothing", []Rule{allow("a"), users(allow("#"), "bob"), deny("#")}, nil},
		{"all to everybody", []Rule{allow("#")}, []string{"0: " + all}},
		{"all and more", []Rule{allow("a", "+/#")}, []string{all}},
		{"the broker's, too", []Rule{everything}, []string{all}},
		{"to everybody with a name", []Rule{users(allow("#"), "x", "*")}, []string{all}},
		{"from everywhere", []Rule{at(allow("#"), "0.0.0.0/0")}, []string{all}},
		{"from somewhere", []Rule{at(allow("#"), "10.0.0.0/8")}, nil},
		{"to a group of subscribers", []Rule{allow("$share/g/#")}, nil},
		{"to the letter", []Rule{allow("=#")}, nil},

		{"twice", []Rule{allow("a"), allow("b", "a")}, nil},
		{"hidden", []Rule{deny("a/#"), allow("a/b", "a/+/c")}, []string{"1: never decides: 0 comes first"}},
		{"hidden by one of its topics", []Rule{deny("x", "a/#"), allow("=a/b")}, []string{comes}},
		{"hidden by everybody's", []Rule{deny("a/#"), users(allow("a/b"), "bob")}, []string{comes}},
		{"not hidden by another's", []Rule{users(deny("a/#"), "bob"), users(allow("a/b"), "eve")}, nil},
		{"not hidden from others", []Rule{users(deny("a/#"), "bob"), allow("a/b")}, nil},
		{"with a placeholder", []Rule{deny("a/#"), allow("a/${username}")}, []string{comes}},
		{"a placeholder that may be something else", []Rule{deny("a/x"), allow("a/${username}")}, nil},
		{"the same placeholder", []Rule{deny("a/${username}"), allow("a/${username}")}, []string{comes}},
		{"void without a value", []Rule{allow("a/#", "b/${cert.cn}"), allow("a/b")}, nil},
		{"another action", []Rule{publish("a/#"), subscribe("a/b")}, nil},
		{"more actions", []Rule{allow("a/#"), subscribe("a/b")}, []string{comes}},
		{"fewer actions", []Rule{publish("a/#"), allow("a/b")}, nil},
		{"a Will is a publish", []Rule{publish("a/#"), {Will: true, Topics: ParseTopics("a/b")}}, []string{comes}},
		{"a publish is no Will", []Rule{{Will: true, Topics: ParseTopics("a/#")}, publish("a/b")}, nil},
		{"another QoS", []Rule{quick, allow("a/b")}, nil},
		{"all QoS before one", []Rule{allow("a/#"), quick}, []string{comes}},
		{"retained only", []Rule{retained, allow("a/b")}, nil},
		{"small only", []Rule{small, allow("a/b")}, nil},
		{"another format", []Rule{allow("a/#"), exact}, nil},
		{"of a group of subscribers", []Rule{deny("$share/g/a/#"), allow("a/b")}, nil},
		{"by everything", []Rule{everything, publish("$SYS/x")}, []string{all, comes}},

		{"a name that nobody may have", []Rule{users(allow("a"), "b+", "#")}, []string{`never matches: no client may have the name "b+"`}},
		{"one that somebody may have", []Rule{users(allow("a"), "b+", "bob")}, nil},
		{"an empty list", []Rule{users(allow("a"))}, nil},
		{"publishes to subscriptions", []Rule{publish("$share/g/a", "=a/+")}, []string{"never matches: its topics are of subscriptions"}},
		{"subscribes to them", []Rule{allow("$share/g/a")}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := compiled(t, tt.rules...).Weaknesses()
			if !slices.EqualFunc(got, tt.want, strings.Contains) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestWeaknessesBound: what is compared does not grow with the square of the
// topics.
func TestWeaknessesBound(t *testing.T) {
	wide := allow(slices.Repeat([]string{"a/b"}, 1100)...)
	if got := compiled(t, wide, wide).Weaknesses(); len(got) != 0 {
		t.Errorf("more than %d pairs: %q", maxCompared, got)
	}
	narrow := allow(slices.Repeat([]string{"a/b"}, 1000)...)
	if got := compiled(t, narrow, narrow).Weaknesses(); len(got) != 1 {
		t.Errorf("less than %d pairs: %q", maxCompared, got)
	}
}
