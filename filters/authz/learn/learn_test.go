package learn

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets"
)

func act(user, action, topic string, groups ...string) authz.Act {
	return authz.Act{Actor: authz.Actor{User: user, ClientID: user + "-1", Groups: groups}, Action: action, Topic: topic, Count: 10}
}

func retained(a authz.Act) authz.Act { a.Retain = true; return a }

func TestPropose(t *testing.T) {
	var many []authz.Act
	for i := range maxVariants + 1 {
		many = append(many, act("bob", "publish", fmt.Sprintf("bob/sensor/%d/temp", i)))
	}
	tests := []struct {
		name string
		acts []authz.Act
		want string // YAML
	}{
		{"one client", []authz.Act{act("bob", "publish", "data/bob/temp"), act("bob", "subscribe", "command/#")}, `
# packets: 10, users: 1
- users: [bob]
  allow: [subscribe]
  topics:
    - command/#
# packets: 10, users: 1
- users: [bob]
  allow: [publish]
  topics:
    - data/bob/temp
  retain: false
`},
		{"a level that is the user's", []authz.Act{act("bob", "publish", "data/bob/temp"), act("eve", "publish", "data/eve/temp")}, `
# packets: 20, users: 2
- users: [bob, eve]
  allow: [publish]
  topics:
    - data/${username}/temp
  retain: false
`},
		{"of everybody", []authz.Act{act("a", "subscribe", "in/a/#"), act("b", "subscribe", "in/b/#"), act("c", "subscribe", "in/c/#")}, `
# packets: 30, users: 3
- users: ['*']
  allow: [subscribe]
  topics:
    - in/${username}/#
`},
		{"a group", []authz.Act{
			act("a", "publish", "edge/a/up", "edge"), act("b", "publish", "edge/b/up", "edge"), act("b", "publish", "spare", "edge"), act("c", "publish", "edge/x/up"),
		}, `
# packets: 10, users: 1
- users: [b]
  allow: [publish]
  topics:
    - spare
  retain: false
# packets: 10, users: 1
- users: [c]
  allow: [publish]
  topics:
    - edge/x/up
  retain: false
# packets: 20, users: 2
- groups: [edge]
  allow: [publish]
  topics:
    - edge/${username}/up
  retain: false
`},
		{"a level that is the group's", []authz.Act{
			act("a", "subscribe", "line-a/#", "line-a"), act("b", "subscribe", "line-a/#", "line-a"), act("c", "subscribe", "line-b/#", "line-b"), act("d", "subscribe", "line-b/#", "line-b"),
		}, `
# packets: 40, users: 4
- groups: [line-a, line-b]
  allow: [subscribe]
  topics:
    - ${group}/#
`},
		{"several actions", []authz.Act{act("bob", "publish", "a"), act("bob", "subscribe", "a"), act("bob", "will", "a"), act("bob", "receive", "a")}, `
# packets: 30, users: 1
- users: [bob]
  allow: [publish, subscribe]
  topics:
    - a
  retain: false
`},
		{"retained and not", []authz.Act{act("bob", "publish", "a"), retained(act("bob", "publish", "a")), retained(act("bob", "publish", "b")), retained(act("bob", "will", "w"))}, `
# packets: 20, users: 1
- users: [bob]
  allow: [publish]
  topics:
    - a
# packets: 10, users: 1
- users: [bob]
  allow: [publish]
  topics:
    - b
  retain: true
# packets: 10, users: 1
- users: [bob]
  allow: [will]
  topics:
    - w
  retain: true
`},
		{"a delivery without a subscription", []authz.Act{act("bob", "receive", "a/b"), act("bob", "subscribe", "c/#"), act("bob", "receive", "c/d")}, `
# packets: 10, users: 1
- users: [bob]
  allow: [receive]
  topics:
    - a/b
# packets: 10, users: 1
- users: [bob]
  allow: [subscribe]
  topics:
    - c/#
`},
		{"many in one level", many, `
# packets: 170, users: 1
- users: [bob]
  allow: [publish]
  topics:
    - bob/sensor/+/temp
  retain: false
`},
		{"one within another", []authz.Act{act("bob", "subscribe", "a/#"), act("bob", "subscribe", "a/b"), act("bob", "subscribe", "$share/g/a/c"), act("bob", "subscribe", "$share/g/a/+")}, `
# packets: 40, users: 1
- users: [bob]
  allow: [subscribe]
  topics:
    - $share/g/a/+
    - a/#
`},
		{"nobody", []authz.Act{act("", "publish", "=a/${username}"), act("eve", "publish", "b")}, `
# packets: 10, users: 1
- anonymous: true
  allow: [publish]
  topics:
    - ==a/${$}{username}
  retain: false
# packets: 10, users: 1
- users: [eve]
  allow: [publish]
  topics:
    - b
  retain: false
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules := Propose(tt.acts)
			got, err := YAML(rules)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimPrefix(tt.want, "\n"); string(got) != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if missing := Replay(rules, tt.acts); missing != nil {
				t.Errorf("not allowed: %+v", missing)
			}
		})
	}
}

// TestReplay: what rules do not allow is told.
func TestReplay(t *testing.T) {
	acts := []authz.Act{act("bob", "publish", "a"), act("bob", "publish", "b"), act("eve", "publish", "a"), act("bob", "subscribe", "a")}
	missing := Replay([]Rule{{Users: []string{"bob"}, Allow: []string{"publish"}, Topics: []string{"a"}}}, acts)
	if len(missing) != 3 || missing[0].Topic != "b" || missing[1].User != "eve" || missing[2].Action != "subscribe" {
		t.Errorf("%+v", missing)
	}
	if missing := Replay([]Rule{{Allow: []string{"publish"}, Topics: []string{"a/#/b"}}}, acts); len(missing) != 4 {
		t.Errorf("rules that are wrong allow: %+v", missing)
	}
}

// TestProposalAllows: whatever clients did, the proposal allows it, and it gives
// nobody what only others did.
func TestProposalAllows(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	users := []string{"ann", "bob", "cid", "dee", ""}
	groups := map[string][]string{"ann": {"line-a"}, "bob": {"line-a", "office"}, "cid": {"line-b"}, "dee": {"line-b"}}
	for range 300 {
		var acts []authz.Act
		for range 1 + random.IntN(40) {
			user := pick(users...)
			levels := make([]string, 1+random.IntN(3))
			for i := range levels {
				levels[i] = pick("x", "y", user, user+"-1", "line-a", "line-b", "$s", "")
			}
			topic := strings.Join(levels, "/")
			if topic == "" {
				continue
			}
			action := pick("publish", "will", "subscribe", "receive")
			if action == "subscribe" {
				topic = pick("", "$share/g/") + topic + pick("", "/#", "/+")
			}
			a := act(user, action, topic, groups[user]...)
			a.QoS, a.Retain = packets.QoS(random.IntN(3)), action != "subscribe" && action != "receive" && random.IntN(2) == 0
			acts = append(acts, a)
		}
		rules := Propose(acts)
		if missing := Replay(rules, acts); missing != nil {
			proposal, _ := YAML(rules)
			t.Fatalf("not allowed: %+v\n%s", missing, proposal)
		}
		stranger := act("mallory", "publish", "x")
		if len(Replay(rules, []authz.Act{stranger})) == 0 {
			t.Fatalf("a stranger may publish to x")
		}
	}
}

// TestProposeStars: who has a name with "*" gets no rule that is for others, too,
// and Replay tells of it.
func TestProposeStars(t *testing.T) {
	acts := []authz.Act{
		act("*", "subscribe", "#"), act("bo*", "publish", "a"),
		act("x", "publish", "b", "*"), act("y", "publish", "b", "*"),
	}
	rules := Propose(acts)
	for _, other := range []authz.Act{act("eve", "subscribe", "#"), act("bob", "publish", "a"), act("eve", "publish", "b", "staff")} {
		if missing := Replay(rules, []authz.Act{other}); len(missing) != 1 {
			t.Errorf("%s may %s %s", other.User, other.Action, other.Topic)
		}
	}
	if missing := Replay(rules, acts); len(missing) != 2 {
		t.Errorf("left out: %+v", missing)
	}
}
