package authz

import (
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
)

// verbatim is an exact rule that allows everything about the pattern.
func verbatim(pattern string) Rule {
	return Rule{
		Exact: true, Publish: true, Subscribe: true, Receive: true,
		Topics: []Topic{{Pattern: filters.Escape(pattern), Kind: Verbatim}},
	}
}

// views returns the rules as a session has them that walks and as one that looks
// up.
func views(t *testing.T, rules ...Rule) []*View {
	t.Helper()
	policy := compiled(t, rules...)
	looksUp := *policy
	looksUp.index = newIndex(policy.rules, 0)
	return []*View{policy.View(user("bob")), looksUp.View(user("bob"))}
}

func TestVerbatim(t *testing.T) {
	tests := []struct {
		pattern, filter string
		want            bool
	}{
		{"a/#", "a/b", true},
		{"a/#", "a/+", true},
		{"a/+", "a/#", false},
		{"a/#", "$share/g/a/b", false},
		{"#", "$share/g/a", false},
		{"+/#", "$share/g/a", false},
		{"$share/g/a/#", "$share/g/a/b", true},
		{"$share/g/a/#", "$share/g/a/#", true},
		{"$share/g/a/#", "$share/h/a/b", false},
		{"$share/g/a/#", "a/b", false},
		{"$share/+/a", "$share/h/a", true},
		{"$share/+/a", "$share/h/b", false},
		{"$share/#", "$share/h/b/#", true},
		{"$share/#", "b", false},
		{"$", "$", true},
		{"$share/g/#", "$share/g/$SYS/x", true},
		{"$share/g/+/x", "$share/g/$SYS/x", true},
	}
	for _, tt := range tests {
		t.Run(tt.pattern+" "+tt.filter, func(t *testing.T) {
			for _, v := range views(t, verbatim(tt.pattern)) {
				if d := v.Subscribe(noon, []byte(tt.filter), 0); d.Allowed != tt.want {
					t.Errorf("got %+v, want %v", d, tt.want)
				}
			}
		})
	}
}

// TestVerbatimMessages: what is said of a shared subscription is not said of the
// topic in it.
func TestVerbatimMessages(t *testing.T) {
	for _, v := range views(t, verbatim("$share/g/a"), verbatim("b/#")) {
		for topic, want := range map[string]bool{"a": false, "$share/g/a": true, "b": true, "b/c": true, "c": false} {
			message := Message{Topic: []byte(topic)}
			if d := v.Publish(noon, message); d.Allowed != want {
				t.Errorf("publish %s: %+v, want %v", topic, d, want)
			}
			if d := v.Receive(noon, message); d.Allowed != want {
				t.Errorf("receive %s: %+v, want %v", topic, d, want)
			}
		}
	}
}

func TestExcept(t *testing.T) {
	deny := Rule{
		Exact: true, Deny: true, Publish: true, Receive: true,
		Topics: []Topic{{Pattern: "$SYS*", Kind: Glob, Except: "$SYS/broker/connection/+/state"}},
	}
	allow := Rule{Exact: true, Publish: true, Receive: true, Topics: []Topic{{Kind: Every}}}
	all := allow
	all.Topics = []Topic{{Kind: Every, Except: "a/#"}}
	for topic, want := range map[string]string{
		"$SYS":                                 "0",
		"$SYSTEM/x":                            "0",
		"$SYS/broker/connection/x/state":       "1",
		"$SYS/broker/connection/x/state/y":     "0",
		"$SYS/broker/connection/x/other/state": "0",
		"$SY":                                  "1",
		"a":                                    "1",
	} {
		for _, v := range views(t, deny, allow) {
			message := Message{Topic: []byte(topic)}
			if p, r := v.Publish(noon, message), v.Receive(noon, message); p.Rule != want || r.Rule != want {
				t.Errorf("%s: %+v and %+v, want %s", topic, p, r, want)
			}
		}
	}
	for _, v := range views(t, all) {
		if v.Publish(noon, Message{Topic: []byte("a/b")}).Allowed || !v.Publish(noon, Message{Topic: []byte("$x")}).Allowed {
			t.Error("all but a/# is something else")
		}
	}
	second := Rule{Exact: true, Publish: true, Topics: []Topic{{Pattern: "a"}}}
	for _, w := range compiled(t, all, second).Weaknesses() {
		if strings.Contains(w, "never decides") {
			t.Error("a rule with an exception is taken for one about all")
		}
	}
}

func TestValidateKinds(t *testing.T) {
	glob := []Topic{{Pattern: "a*", Kind: Glob, Except: "a/b"}}
	tests := []struct {
		name string
		rule Rule
		want string
	}{
		{"exception", Rule{Publish: true, Topics: glob}, ""},
		{"exception from subscriptions", Rule{Subscribe: true, Topics: glob}, "no exception"},
		{"exception from a filter", Rule{Publish: true, Topics: []Topic{{Pattern: "a/#", Except: "a/b"}}}, "no exception"},
		{"malformed exception", Rule{Publish: true, Topics: []Topic{{Pattern: "a*", Kind: Glob, Except: "a#"}}}, "no exception"},
		{"verbatim", Rule{Exact: true, Subscribe: true, Topics: []Topic{{Pattern: "$share/+/a", Kind: Verbatim}}}, ""},
		{"malformed", Rule{Exact: true, Subscribe: true, Topics: []Topic{{Pattern: "$share/g/a#", Kind: Verbatim}}}, "no topic filter"},
		{"verbatim and not exact", Rule{Subscribe: true, Topics: []Topic{{Pattern: "a", Kind: Verbatim}}}, "only an exact rule"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.rule.Validate()
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
