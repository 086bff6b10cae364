package mosquitto

import (
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// parser is ParseACL or ParseDynsec.
type parser func(data []byte, name string) ([]authz.Rule, []string, error)

func policyOf(t *testing.T, parse parser, text string, o authz.Options) *authz.Policy {
	t.Helper()
	rules, _, err := parse([]byte(text), "file")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := authz.New(rules, o)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// session is that of "username/clientid", of which either may be missing.
func session(who string) *filters.Session {
	username, clientID, named := strings.Cut(who, "|")
	if !named {
		clientID = "c1"
	}
	return &filters.Session{Version: packets.V5, ClientID: clientID, Identity: filters.Identity{Username: username}}
}

// ask answers "publish a/b", "will a/b", "receive a/b", "subscribe a/#" or
// "connect".
func ask(policy *authz.Policy, who, question string) authz.Decision {
	s := session(who)
	v := policy.View(s)
	action, topic, _ := strings.Cut(question, " ")
	switch action {
	case "publish", "will":
		return v.Publish(noon, authz.Message{Topic: []byte(topic), Will: action == "will"})
	case "receive":
		return v.Receive(noon, authz.Message{Topic: []byte(topic)})
	case "subscribe":
		return v.Subscribe(noon, []byte(topic), 1)
	case "connect":
		return v.Connect(noon, s.ClientID, false)
	}
	panic(question)
}

// asked is a client's question; of it the rule that decides, with "allow " or
// "deny " before it. "deny" alone is that none does.
type asked struct{ who, question, want string }

func (q asked) check(t *testing.T, policy *authz.Policy) {
	t.Helper()
	d := ask(policy, q.who, q.question)
	got := "deny " + d.Rule
	if d.Allowed {
		got = "allow " + d.Rule
	}
	got = strings.TrimSuffix(got, " no rule matches")
	if got != q.want {
		t.Errorf("%q asks %s: %s, want %s", q.who, q.question, got, q.want)
	}
}

// findings is what is wrong with a file, or is warned of.
func findings(parse parser, text string) (warnings, problem string) {
	_, list, err := parse([]byte(text), "file")
	if err != nil {
		problem = err.Error()
	}
	return strings.Join(list, "\n"), problem
}
