package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/configs"
)

// TestRuleWarnings: check tells of rules that do nothing or too much, wherever they
// stand.
func TestRuleWarnings(t *testing.T) {
	path := write(t, `
listeners: [{name: local, address: "127.0.0.1:0"}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1"}]}]
authn: [{name: anyone, type: anonymous}]
authz: {files: [{type: rules, path: more.yaml}]}
`)
	more := `- {users: ["*"], allow: [publish], topics: ["a", "#"]}
- {certs: ["plc-*"], allow: [subscribe], topics: ["x"]}
- {allow: [subscribe], topics: ["y/${cert.cn}"]}
- {users: [eve], allow: [subscribe], topics: ["z"]}
- {users: ["a+"], allow: [subscribe], topics: ["z"]}
`
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "more.yaml"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	warnings, err := Check(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(warnings, "\n")
	for _, want := range []string{
		"more.yaml: rules[0] (line 1): allows everybody all topics (#)",
		"more.yaml: rules[1] (line 2): never matches: no listener asks for certificates",
		"more.yaml: rules[2] (line 3): never matches: no listener asks for certificates",
		`more.yaml: rules[4] (line 5): never matches: no client may have the name "a+"`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings\n%s\nwithout %q", all, want)
		}
	}
	if strings.Contains(all, "rules[3]") {
		t.Errorf("warns of a rule that is well:\n%s", all)
	}
}

// TestRuleSources: rules of the configuration come first, then the files in order,
// each for the clients of its entry.
func TestRuleSources(t *testing.T) {
	config := `
listeners: [{name: local, address: "127.0.0.1:0"}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1"}]}]
authn: [{name: anyone, type: anonymous}]
authz:
  time_zone: Europe/Berlin
  rules: [{deny: [publish], topics: ["a/own"]}]
  files:
    - {type: rules, path: first.yaml, users: [alice]}
    - {type: rules, path: second.yaml, groups: [staff]}
`
	path := write(t, config)
	for name, text := range map[string]string{
		"first.yaml":  `[{name: f, deny: [publish], topics: ["a/first"]}, {name: f2, allow: [publish], topics: ["a/#"]}]`,
		"second.yaml": `[{allow: [publish], topics: ["a/#"], times: ["mon-fri 08:00-16:00"]}, {anonymous: true, allow: [publish], topics: ["n"]}]`,
	} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e, err := NewExplainer(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	monday := at(t, "2026-03-02T07:30:00Z") // half past eight in Berlin
	early := at(t, "2026-03-02T06:30:00Z")
	for _, tt := range []struct {
		q    Question
		want string // the rule; empty: denied by none
		ok   bool
	}{
		{Question{User: "alice", Topic: "a/own"}, "authz.rules[0] (line 7)", false},
		{Question{User: "alice", Topic: "a/first"}, "f, first.yaml: rules[0] (line 1)", false},
		{Question{User: "alice", Topic: "a/x"}, "f2, first.yaml: rules[1] (line 1)", true},
		{Question{User: "bob", Topic: "a/first"}, "no rule matches", false},
		{Question{User: "bob", Groups: []string{"staff"}, Topic: "a/first", At: monday}, "second.yaml: rules[0] (line 1)", true},
		{Question{User: "bob", Groups: []string{"staff"}, Topic: "a/first", At: early}, "no rule matches", false},
		{Question{User: "bob", Groups: []string{"staff"}, Topic: "n", At: monday}, "no rule matches", false},
		{Question{Groups: []string{"staff"}, Topic: "n", At: monday}, "second.yaml: rules[1] (line 1)", true},
	} {
		tt.q.Action = "publish"
		d, err := e.Ask(tt.q)
		if err != nil || d.Allowed != tt.ok || d.Rule != tt.want {
			t.Errorf("%+v: %+v %v, want %v by %s", tt.q, d.Decision, err, tt.ok, tt.want)
		}
	}
	for mistake, want := range map[string]string{
		"time_zone: Europe/Berlin":   "authz.time_zone: no time zone",
		"type: rules, path: first":   "authz.files[0].type: wants rules,",
		"path: second.yaml":          "authz.files[1].path: is required",
		"users: [alice]":             "authz.files[0].users: is an empty list",
		"deny: [publish], topics":    `authz.rules[0].times[0]`,
		"rules: [{deny: [publish], ": `authz.rules[0].max_payload: wants a size`,
	} {
		replaced := map[string]string{
			"time_zone: Europe/Berlin": "time_zone: Mars", "type: rules, path: first": "type: acl, path: first", "path: second.yaml": `path: ""`,
			"users: [alice]": "users: []", "deny: [publish], topics": "deny: [publish], times: [1-2], topics", "rules: [{deny: [publish], ": "rules: [{max_payload: much, deny: [publish], ",
		}[mistake]
		broken := filepath.Join(filepath.Dir(path), "broken.yaml")
		if err := os.WriteFile(broken, []byte(strings.Replace(config, mistake, replaced, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := NewExplainer(broken, nil)
		if _, ok := err.(configs.Errors); !ok || !strings.Contains(err.Error(), strings.TrimSuffix(want, ".times[0]")) {
			t.Errorf("%s: error %v, want one with %q", replaced, err, want)
		}
	}
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	now, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// TestRuleFileTooLarge: what is no file of rules, by its size, is not taken for one.
func TestRuleFileTooLarge(t *testing.T) {
	path := write(t, `
listeners: [{name: local, address: "127.0.0.1:0"}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1"}]}]
authn: [{name: anyone, type: anonymous}]
authz: {files: [{type: mosquitto_acl, path: acl}]}
`)
	acl := filepath.Join(filepath.Dir(path), "acl")
	if err := os.WriteFile(acl, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(acl, maxRuleFile+1); err != nil { // a hole: it takes no room
		t.Fatal(err)
	}
	if _, err := Check(path, nil); err == nil || !strings.Contains(err.Error(), "authz.files[0].path: acl: larger than 64 MiB") {
		t.Errorf("error %v", err)
	}
}
