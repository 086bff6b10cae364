package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/filters/authz/mosquitto"
	"github.com/mqttward/mqttward/packets"
)

// startDynsecCases starts a Mosquitto with a file that is written out, and
// returns the rules of the same.
func startDynsecCases(t *testing.T) (*reference, *authz.Policy) {
	t.Helper()
	type list = []object
	grant := func(kind, topic string) object { return object{"acltype": kind, "topic": topic, "allow": true} }
	client := func(name, role string, more object) object {
		c := dynsecClient(t, name)
		c["roles"] = list{{"rolename": role}}
		for key, value := range more {
			c[key] = value
		}
		return c
	}
	b, err := json.Marshal(object{
		"defaultACLAccess": object{"publishClientReceive": true},
		"clients": list{
			client("ada", "levels", nil),
			client("bob", "roots", object{"clientid": "b-1"}),
			client("eve", "levels", object{"disabled": true}),
			client("kim", "narrow", object{"clientid": ""}),
			client("lou", "narrow", nil),
		},
		"roles": list{
			{"rolename": "levels", "acls": list{
				grant("publishClientSend", "c/%c"), grant("subscribePattern", "u/%u/#"), grant("subscribeLiteral", "l/%u"),
				grant("subscribePattern", "+/#"), grant("publishClientSend", "$CONTROL/#"),
			}},
			{"rolename": "roots", "acls": list{grant("subscribePattern", "#"), grant("subscribePattern", "$share/g/#")}},
			{"rolename": "narrow", "allowwildcardsubs": false, "acls": list{grant("subscribePattern", "a/#")}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	rules, _, err := mosquitto.ParseDynsec(b, "dynamic-security.json")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := authz.New(rules, authz.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return startDynsec(t, string(b)), policy
}

// TestMosquittoDynsecDifferences holds each difference between the dynamic
// security of Mosquitto 2.0 and the rules, and beside it what is the same.
func TestMosquittoDynsecDifferences(t *testing.T) {
	t.Parallel()
	r, policy := startDynsecCases(t)
	ada, bob, lou := account{"ada", "c1"}, account{"bob", "b-1"}, account{"lou", "c1"}
	for _, tt := range []struct {
		name string
		account
		action, topic    string
		broker, expected bool
	}{
		{"values are put in, as in 2.1", ada, "publish", "c/c1", false, true},
		{"where 2.0 has text", ada, "publish", "c/%c", true, false},
		{"another's value", ada, "publish", "c/c2", false, false},
		{"a literal is text", ada, "subscribe", "l/%u", true, true},
		{"all below all levels is all, as in 2.0", ada, "subscribe", "#", true, true},
		{"# holds no $, as in 2.1", bob, "subscribe", "$x/a", true, false},
		{"nor a Shared Subscription", bob, "subscribe", "$share/h/a", true, false},
		{"but what is named", bob, "subscribe", "$share/g/a/+", true, true},
		{"no wildcards, as in 2.1", lou, "subscribe", "a/+", true, false},
		{"without", lou, "subscribe", "a/b", true, true},
		{"$CONTROL is granted by name", ada, "publish", "$CONTROL/x", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.connect(t, r.judged)
			defer c.Close()
			q := question{tt.account, tt.action, tt.topic, false}
			if tt.action == "publish" {
				q.allowed = c.publishAll([]string{tt.topic})[0]
			} else {
				q.allowed = c.subscribeAll([]string{tt.topic})[0]
			}
			if d := q.decide(policy.View(tt.session())); q.allowed != tt.broker || d.Allowed != tt.expected {
				t.Errorf("Mosquitto says %v, the rules %+v", q.allowed, d)
			}
		})
	}
}

// TestMosquittoDynsecConnect: clients that are disabled, and those bound to a
// client identifier.
func TestMosquittoDynsecConnect(t *testing.T) {
	t.Parallel()
	r, policy := startDynsecCases(t)
	for _, tt := range []struct {
		account
		want bool
	}{
		{account{"ada", "any"}, true},
		{account{"bob", "b-1"}, true},
		{account{"bob", "b-2"}, false},
		{account{"eve", "any"}, false},
		{account{"kim", "any"}, false},
		{account{"", "any"}, true},
		{account{"who", "any"}, true}, // by the password file
	} {
		c, reason := tt.tryConnect(t, r.judged)
		c.Close()
		d := policy.View(tt.session()).Connect(time.Time{}, tt.clientID, false)
		if (reason == packets.Success) != tt.want || d.Allowed != tt.want {
			t.Errorf("%+v: Mosquitto answers %#x, the rules %+v, want %v", tt.account, reason, d, tt.want)
		}
	}
}
