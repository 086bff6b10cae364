package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// An operator who does not know what the clients do lets them be watched, takes
// the rules that are proposed, and enforces them: all goes on as before, and
// nothing else.
func TestLearn(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	watched := settings{broker: b.address(), rules: []string{`{name: old, users: [nobody], allow: [publish], topics: ["old"]}`}}
	watched.more = "  mode: monitor\nbroker_profile: legacy"
	p := startProxy(t, watched)
	if r := mqttward(t, "", "check", "-c", p.file("mqttward.yaml")); r.code != 0 || !strings.Contains(r.stdout+r.stderr, "authz.mode: monitor: nothing is denied, only reported") {
		t.Errorf("check does not warn: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	traffic := func(p *proxy) (refused []string) {
		t.Helper()
		for _, user := range []string{"alice", "bob", "carol"} {
			c := connection(user)
			c.WillMessage = &paho.WillMessage{Topic: "status/" + user, Payload: []byte("gone"), Retain: true}
			client, _ := p.connect5(t, c)
			for _, code := range client.subscribe(t, 1, "to/"+user+"/#") {
				if code >= 0x80 {
					refused = append(refused, user+" subscribe")
				}
			}
			message := &paho.Publish{Topic: "data/" + user + "/temp", QoS: 1, Payload: []byte("20")}
			if client.publish(t, message) != 0 {
				refused = append(refused, user+" publish")
			}
			if user == "alice" {
				client.publish(t, &paho.Publish{Topic: "to/alice/1", QoS: 1, Payload: []byte("x")})
				if topic, _ := client.next(t); topic != "to/alice/1" {
					t.Errorf("alice gets %s", topic)
				}
			}
			_ = client.Disconnect(&paho.Disconnect{})
		}
		return refused
	}
	if refused := traffic(p); refused != nil {
		t.Errorf("refused while only watched: %q", refused)
	}
	for _, e := range []event{
		{"msg": "publish would be denied", "username": "bob", "topic": "data/bob/temp", "rule": "no rule matches"},
		{"msg": "subscribe would be denied", "username": "bob", "filter": "to/bob/#"},
		{"msg": "connect would be denied", "username": "bob"},
		{"msg": "delivery would be denied", "username": "alice", "topic": "to/alice/1"},
	} {
		p.awaitEvent(t, e)
	}
	m := p.metrics(t)
	for action, want := range map[string]float64{"publish": 4, "subscribe": 3, "will": 3, "receive": 1} {
		if got := m[`mqttward_decisions_total{action="`+action+`",outcome="monitored"}`]; got != want {
			t.Errorf("%s: %v monitored, want %v", action, got, want)
		}
	}

	if r := p.verb(t, "acl", "unused"); r.code != 1 || r.stdout != "old, authz.rules[0] (line 10)\n" {
		t.Errorf("unused: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := p.verb(t, "acl", "observed"); r.code != 0 || !strings.Contains(r.stdout, "to/alice/1") || !strings.Contains(r.stdout, "no rule matches") {
		t.Errorf("observed: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	saved := p.verb(t, "acl", "observed", "--json")
	write(t, p.file("observed.json"), saved.stdout)
	fromFile := mqttward(t, "", "acl", "learn", "--from", p.file("observed.json"))
	learned := p.verb(t, "acl", "learn")
	const want = `# Proposed from what 3 clients did.
# packets: 3, users: 3
- users: ['*']
  allow: [publish]
  topics:
    - data/${username}/temp
  retain: false
# packets: 3, users: 3
- users: ['*']
  allow: [will]
  topics:
    - status/${username}
  retain: true
# packets: 3, users: 3
- users: ['*']
  allow: [subscribe]
  topics:
    - to/${username}/#
# packets: 1, users: 1
- users: [alice]
  allow: [publish]
  topics:
    - to/alice/1
  retain: false
`
	if learned.code != 0 || learned.stdout != want || learned.stderr != "" {
		t.Errorf("learn: exit %d\n%s%s", learned.code, learned.stdout, learned.stderr)
	}
	if fromFile.stdout != learned.stdout {
		t.Errorf("from a file:\n%s%s", fromFile.stdout, fromFile.stderr)
	}

	write(t, p.file("learned.yaml"), learned.stdout)
	enforced := watched
	enforced.more = "  files: [{type: rules, path: learned.yaml}]\nbroker_profile: legacy"
	p.configure(t, enforced)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if refused := traffic(p); refused != nil {
		t.Errorf("refused by the rules that were learned: %q", refused)
	}
	bob, _ := p.connect5(t, connection("bob"))
	if code := bob.publish(t, &paho.Publish{Topic: "data/alice/temp", QoS: 1, Payload: []byte("20")}); code != 0x87 {
		t.Errorf("bob publishes in alice's name: 0x%02X", code)
	}
	if codes := bob.subscribe(t, 1, "to/#"); codes[0] != 0x87 {
		t.Errorf("bob reads everybody's: 0x%02X", codes[0])
	}
	if r := p.verb(t, "acl", "unused"); r.code != 1 || r.stdout != "old, authz.rules[0] (line 10)\n" {
		t.Errorf("unused: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// A file of rules that is half written, or wrong, changes nothing: what was in force
// stays so, and the error says where.
func TestRuleFileMistakes(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := settings{broker: b.address(), rules: []string{`{deny: [publish], topics: ["secret/#"]}`}}
	s.more = "  files: [{type: rules, path: rules.yaml, users: [alice, bob]}]\nbroker_profile: legacy"
	dir := proxyFolder(t, s)
	const good = "- {users: [alice, carol], allow: [publish, subscribe], topics: [\"a/#\", \"secret/x\"]}\n"
	write(t, dir+"/rules.yaml", good)
	p := startProxyIn(t, dir)
	alice, _ := p.connect5(t, connection("alice"))
	carol, _ := p.connect5(t, connection("carol"))
	publishes := func(c *client5, topic string) byte {
		return c.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("x")})
	}
	for mistake, want := range map[string]string{
		good + "- {users: [bob], allow: [publish":                             ": is not YAML: ",
		good + "- {users: [bob], alow: [publish], topics: [b]}\n":             `rules.yaml:2: rules[1].alow: unknown key; did you mean "allow"?`,
		good + "- {users: [bob], allow: [publish], topics: [\"b/#/c\"]}\n":    "rules[1] (line 2): no topic filter: b/#/c",
		good + "- {users: [], allow: [publish], topics: [b]}\n":               "rules.yaml:2: rules[1].users: is an empty list",
		good + "- {allow: [publish], topics: [b], times: [\"25:00-1:00\"]}\n": "no time of day",
		"": "rules.yaml: is empty",
	} {
		write(t, p.file("rules.yaml"), mistake)
		err := p.Reload()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "authz.files[0].path: ") {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if got := publishes(alice, "a/1"); got != 0 {
			t.Errorf("the rules are gone: 0x%02X", got)
		}
	}
	if err := os.Remove(p.file("rules.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is gone: %v", err)
	}
	if publishes(alice, "secret/x") != 0x87 {
		t.Error("the rules of a file come before those of the configuration")
	}
	if publishes(carol, "a/1") != 0x87 {
		t.Error("the rules of a file are for others, too, than its entry says")
	}
	write(t, p.file("rules.yaml"), strings.Replace(good, "a/#", "b/#", 1))
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if publishes(alice, "a/1") != 0x87 || publishes(alice, "b/1") != 0 {
		t.Error("new rules are not in force")
	}
}
