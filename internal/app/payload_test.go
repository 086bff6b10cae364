package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// fence returns the first piece of docs/payload.md in a language.
func fence(t *testing.T, language string) string {
	t.Helper()
	docs, err := os.ReadFile("../../docs/payload.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(docs), "```"+language+"\n")
	text, _, closed := strings.Cut(after, "```\n")
	if !found || !closed {
		t.Fatalf("docs/payload.md has no piece of %s", language)
	}
	return text
}

func put(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ruleOn is the rule that the chain of what clients send names for a QoS 0
// message, and whether the message goes on.
func ruleOn(t *testing.T, b *built, topic, payload string) (rule string, goesOn bool) {
	t.Helper()
	s := &filters.Session{Version: packets.V311, Identity: filters.Identity{Username: "anyone", Method: "users"}}
	p, err := packets.Parse(packets.AppendPublish(nil, packets.V311, 0, []byte(topic), 0, nil, []byte(payload), 0), packets.V311, packets.Client)
	if err != nil {
		t.Fatal(err)
	}
	chain := b.policies[0].Up.Open(s)
	defer chain.Close()
	v := chain.JudgeUp(time.Now(), s, p)
	return v.Rule, v.Action >= filters.Rewrite
}

const everything = "authz: {rules: [{allow: [publish], topics: [\"#\"]}]}\n"

// allowing is the policy of this package's tests with one rule, which allows all.
func allowing(more string) string {
	before, _, _ := strings.Cut(policy, "authz:\n")
	return before + everything + more
}

// TestPayloadDocumentation: what the documentation offers to copy does what it
// says.
func TestPayloadDocumentation(t *testing.T) {
	path := write(t, allowing(fence(t, "yaml")))
	put(t, filepath.Dir(path), "temp.schema.json", fence(t, "json"))
	b, err := load(path, nil, newShared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		topic, payload, rule string
		goesOn               bool
	}{
		{"data/a/temp", `{"temp": 21.5, "unit": "C"}`, "", true},
		{"data/a/temp", `{"temp": 151}`, `payload[0] (line 12): schema temp.schema.json#/properties/temp/maximum fails at "/temp"`, false},
		{"data/a/temp", `{"temp": 1}` + strings.Repeat(" ", 4<<10), `payload[0] (line 12): payload is larger than max_size`, false},
		{"data/a/temp", "", "payload[0] (line 12): payload is not JSON", false},
		{"data/a", "", "", true},
		{"data/a", "21.5 C", "payload[1] (line 16): payload is not JSON", false},
		{"firmware/a", strings.Repeat("\xff", 128<<10), "", true},
		{"firmware/a", strings.Repeat("\xff", 128<<10+1), "payload[3] (line 22): payload is larger than max_size", false},
	}
	for _, tt := range tests {
		if rule, goesOn := ruleOn(t, b, tt.topic, tt.payload); rule != tt.rule || goesOn != tt.goesOn {
			t.Errorf("%s %.30q: goes on %v by %q, want %v by %q", tt.topic, tt.payload, goesOn, rule, tt.goesOn, tt.rule)
		}
	}
	plain, err := load(write(t, policy), nil, newShared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if with, without := len(b.policies[0].Up), len(plain.policies[0].Up); with != without+1 {
		t.Errorf("%d filters with checks of payloads and %d without, want one less", with, without)
	}
}

// TestPayloadMistakes: all of them at once, with line and file.
func TestPayloadMistakes(t *testing.T) {
	path := write(t, allowing(`payload:
  - {topics: ["a/#/b", "$share/g/a"], max_size: 1KiB}
  - {topics: [a], format: json, max_size: 1MiB}
  - {topics: [a], schema: broken.json}
  - {topics: [a], schema: remote.json}
  - {topics: [a], schema: missing.json}
  - {topics: [a], schema: ../outside.json}
`))
	put(t, filepath.Dir(path), "broken.json", "{\n  \"type\": \"object\",\n}")
	put(t, filepath.Dir(path), "remote.json", `{"$ref": "https://example.com/a.json"}`)
	put(t, filepath.Dir(filepath.Dir(path)), "outside.json", "{}")
	_, err := load(path, nil, newShared(), nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`:12: payload[0]: no topic filter: "a/#/b"`,
		`:12: payload[0]: no topic filter: "$share/g/a"`,
		":13: payload[1]: max_size is not from 1 to 524288 bytes",
		`:14: payload[2].schema: broken.json: failing loading "broken.json": line 3: invalid character '}'`,
		`:15: payload[3].schema: remote.json: failing loading "https://example.com/a.json": is no file`,
		":16: payload[4].schema: no such file: missing.json",
		`:17: payload[5].schema: ../outside.json: `,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 7 {
		t.Errorf("%d lines, want 7:\n%v", n, err)
	}
}

// TestSchemaFilesAreWatched: those that a schema refers to, too. A mistake keeps
// the old ones.
func TestSchemaFilesAreWatched(t *testing.T) {
	const unit = `{"enum": ["C", "F"]}`
	a, path := startApp(t, withToken+"payload: [{topics: [a], schema: a.json}]\n", func(dir string) {
		put(t, dir, "a.json", `{"properties": {"unit": {"$ref": "unit.json"}}}`)
		put(t, dir, "unit.json", unit)
	})
	dir := filepath.Dir(path)
	for _, name := range []string{"a.json", "unit.json", "mqttward.yaml"} {
		if !slices.Contains(a.files(), filepath.Join(dir, name)) {
			t.Errorf("%s is not among the files: %q", name, a.files())
		}
	}
	if digest(a.files(), false) != a.current.Load().digest {
		t.Error("the digest of the files is another as soon as they are loaded")
	}
	judged := func(payload string) bool {
		t.Helper()
		rule, _ := ruleOn(t, a.current.Load(), "a", payload)
		return !strings.Contains(rule, "unit.json#/enum")
	}
	if judged(`{"unit": "K"}`) {
		t.Error("the schema is not in force")
	}
	put(t, dir, "unit.json", `{"enum": "K"}`)
	if digest(a.files(), false) == a.current.Load().digest {
		t.Error("a file that a schema refers to may change unseen")
	}
	if err := a.Reload(); err == nil || !strings.Contains(err.Error(), "unit.json") {
		t.Errorf("a broken schema: %v, want an error with its file", err)
	}
	if judged(`{"unit": "K"}`) {
		t.Error("the old schema is not in force any more")
	}
	put(t, dir, "unit.json", `{"enum": ["K"]}`)
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	if !judged(`{"unit": "K"}`) || judged(`{"unit": "C"}`) {
		t.Error("the new schema is not in force")
	}
}
