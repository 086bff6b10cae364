package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// member is a session of a client in a group, by the policies of b.
type member struct {
	t        *testing.T
	s        *filters.Session
	up, down filters.Chain
	now      time.Time
}

func newMember(t *testing.T, b *built, user, group string) *member {
	s := &filters.Session{
		Version: packets.V5, ClientID: "client of " + user, Listener: b.policies[0].Listener,
		Identity: filters.Identity{Username: user, Method: "users", Tenant: "acme", Groups: []string{group}},
	}
	if of := b.policies[0].Namespace; of != nil {
		var err error
		if s.Namespace, err = of(s); err != nil {
			t.Fatal(err)
		}
	}
	return &member{t, s, b.policies[0].Up.Open(s), b.policies[0].Down.Open(s), time.Now()}
}

// sends returns why a message of the client's is refused, or that it is not.
func (m *member) sends(topic, payload string, flags byte) string {
	m.t.Helper()
	p, err := packets.Parse(packets.AppendPublish(nil, m.s.Version, flags, []byte(topic), 0, nil, []byte(payload), 0), m.s.Version, packets.Client)
	if err != nil {
		m.t.Fatal(err)
	}
	return reason(m.up.JudgeUp(m.now, m.s, p))
}

// gets is the same for one of the broker's.
func (m *member) gets(topic string) string {
	m.t.Helper()
	p, err := packets.Parse(packets.AppendPublish(nil, m.s.Version, 0, []byte(topic), 0, nil, []byte("x"), 0), m.s.Version, packets.Server)
	if err != nil {
		m.t.Fatal(err)
	}
	return reason(m.down.JudgeDown(m.now, m.s, p))
}

func reason(v filters.Verdict) string {
	switch {
	case v.Action >= filters.Rewrite && v.Delay > 0:
		return "waits"
	case v.Action >= filters.Rewrite:
		return "goes on"
	default:
		return v.Rule
	}
}

// anybody is a configuration without files.
const anybody = `
listeners: [{name: plain, address: "127.0.0.1:0"}]
backends: [{name: plant, servers: [{address: "127.0.0.1:1"}]}]
authn: [{name: all, type: anonymous}]
`

// quotas have one of each kind that depends on where in the chain it stands.
const quotas = anybody + `
rewrite: {topic_prefix: "${tenant}/"}
quotas:
  - {name: line-a, groups: [line-a], topics: ["acme/line/#"], per: all, messages: {rate: 0.001, burst: 2}, action: drop}
  - {name: state, groups: [state], retained_messages: 2, action: drop}
  - {name: down, groups: [down], topics: ["acme/line/#"], deliveries: {rate: 0.001, burst: 2}, action: drop}
authz:
  rules:
    - {name: secret, deny: [publish, receive], topics: ["acme/line/secret"]}
    - {users: [eve], allow: [publish], topics: ["acme/hall/#"]}
    - {users: [alice, bob], allow: [publish, subscribe], topics: ["acme/#"]}
`

func loadText(t *testing.T, text string, last *built) (*built, error) {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "mqttward.yaml", text)
	return load(filepath.Join(dir, "mqttward.yaml"), nil, newShared(), last)
}

func loadQuotas(t *testing.T) *built {
	t.Helper()
	b, err := loadText(t, quotas, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestQuotasOfGroups: they go by the broker's names, and are shared.
func TestQuotasOfGroups(t *testing.T) {
	b := loadQuotas(t)
	alice, bob, other := newMember(t, b, "alice", "line-a"), newMember(t, b, "bob", "line-a"), newMember(t, b, "alice", "line-b")
	for range 5 {
		expect(t, "another topic", alice.sends("hall/1", "x", 0), "goes on")
	}
	expect(t, "the first", alice.sends("line/1", "x", 0), "goes on")
	expect(t, "what is refused costs quota too", bob.sends("line/secret", "x", 0), "secret, authz.rules[0] (line 13)")
	expect(t, "the third", bob.sends("line/1", "x", 0), "quota line-a: messages")
	expect(t, "and of another", alice.sends("line/1", "x", 0), "quota line-a: messages")
	expect(t, "another group", other.sends("line/1", "x", 0), "goes on")
}

// TestQuotasOfDeliveries: what the client may not have costs none.
func TestQuotasOfDeliveries(t *testing.T) {
	b := loadQuotas(t)
	alice := newMember(t, b, "alice", "down")
	for range 5 {
		expect(t, "denied", alice.gets("acme/line/secret"), "secret, authz.rules[0] (line 13)")
		expect(t, "another topic", alice.gets("acme/hall/1"), "goes on")
	}
	expect(t, "the first", alice.gets("acme/line/1"), "goes on")
	expect(t, "the second", alice.gets("acme/line/1"), "goes on")
	expect(t, "the third", alice.gets("acme/line/1"), "quota down: deliveries")
}

// TestQuotasOfRetained: what does not go on does not count, and what is refused for
// the quota is not taken for the message that is there.
func TestQuotasOfRetained(t *testing.T) {
	const retain = 1
	b := loadQuotas(t)
	eve, alice := newMember(t, b, "eve", "state"), newMember(t, b, "alice", "line-b")
	for range 5 {
		expect(t, "denied", eve.sends("line/1", "x", retain), "no rule matches")
	}
	expect(t, "the first", eve.sends("hall/1", "x", retain), "goes on")
	expect(t, "the second", eve.sends("hall/2", "x", retain), "goes on")
	expect(t, "somebody else's", alice.sends("hall/3", "x", retain), "goes on")
	expect(t, "the third", eve.sends("hall/3", "x", retain), "quota state: retained_messages, retained_bytes")
	expect(t, "not retained", eve.sends("hall/3", "x", 0), "goes on")
	expect(t, "one of them again", eve.sends("hall/1", "y", retain), "goes on")
	expect(t, "cleared", eve.sends("hall/1", "", retain), "goes on")
	expect(t, "so there is room", eve.sends("hall/4", "x", retain), "goes on")
}

// TestQuotasOverReload: what is used of a limit stays used whatever else changes.
func TestQuotasOverReload(t *testing.T) {
	b := loadQuotas(t)
	alice := newMember(t, b, "alice", "line-a")
	alice.sends("line/1", "x", 0)
	alice.sends("line/1", "x", 0)
	text := quotas
	for _, edit := range []struct{ old, new, want string }{
		{"name: state, groups: [state]", "name: other, groups: [state]", "quota line-a: messages"},
		{"action: drop}\n  - {name: other", "action: disconnect}\n  - {name: other", "quota line-a: messages"},
		{"rewrite:", "limits: {publish_rate: {rate: 7}}\nrewrite:", "quota line-a: messages"},
		{"burst: 2}, action: disc", "burst: 3}, action: disc", "goes on"},
	} {
		text = strings.Replace(text, edit.old, edit.new, 1)
		next, err := loadText(t, text, b)
		if err != nil {
			t.Fatal(err)
		}
		b = next
		expect(t, edit.new, newMember(t, b, "alice", "line-a").sends("line/1", "x", 0), edit.want)
	}
}

// TestQuotaTopics: a mistake is shown at its place.
func TestQuotaTopics(t *testing.T) {
	for _, filter := range []string{"a/#/b", "$share/g/a", ""} {
		_, err := loadText(t, anybody+`quotas: [{name: a, topics: [b, "`+filter+`"], messages: {rate: 1, burst: 1}}]`+"\n", nil)
		if err == nil || !strings.Contains(err.Error(), "quotas[0].topics[1]: no topic filter") {
			t.Errorf("%q: %v", filter, err)
		}
	}
}

// TestQuotaDocumentation: what the documentation offers to copy is a configuration.
func TestQuotaDocumentation(t *testing.T) {
	docs, err := os.ReadFile("../../docs/quotas.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(docs), "```yaml\n")
	text, _, found := strings.Cut(after, "```\n")
	b, err := loadText(t, anybody+text, nil)
	if err != nil || !found || len(b.config.Quotas) < 3 {
		t.Errorf("%v:\n%s", err, text)
	}
}
