package mosquitto

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters/authz"
)

const plant = `{
"defaultACLAccess": {"publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
"clients": [
  {"username": "ada", "textName": "Ada", "encoded_password": "$7$1$AA==$AA==",
   "roles": [{"rolename": "low", "priority": 1}, {"rolename": "high", "priority": 2}]},
  {"username": "bob", "clientid": "b-1", "roles": [{"rolename": "own"}]},
  {"username": "eve", "disabled": true, "roles": [{"rolename": "own"}]},
  {"username": "dan"},
  {"username": "kim", "roles": [{"rolename": "narrow"}, {"rolename": "own", "priority": -2}]},
  {"username": "c*", "roles": [{"rolename": "shared"}]},
  {"username": "nil", "clientid": ""}
],
"groups": [
  {"groupname": "b", "roles": [{"rolename": "low"}], "clients": [{"username": "dan", "priority": 1}]},
  {"groupname": "a", "roles": [{"rolename": "deny"}], "clients": [{"username": "dan"}, {"username": "ada"}, {"username": "bob", "priority": 7}]},
  {"groupname": "nobody", "roles": [{"rolename": "public"}]}
],
"roles": [
  {"rolename": "low", "acls": [
    {"acltype": "publishClientSend", "topic": "x/#", "allow": true},
    {"acltype": "publishClientSend", "topic": "y/#", "priority": -5, "allow": true},
    {"acltype": "publishClientSend", "topic": "y/locked"},
    {"acltype": "publishClientReceive", "topic": "secret/#", "allow": false}]},
  {"rolename": "high", "acls": [{"acltype": "PUBLISHCLIENTSEND", "topic": "x/no", "allow": false}]},
  {"rolename": "deny", "acls": [
    {"acltype": "publishClientSend", "topic": "#", "allow": false},
    {"acltype": "subscribePattern", "topic": "g/#", "allow": true}]},
  {"rolename": "own", "acls": [
    {"acltype": "publishClientSend", "topic": "c/%c/%u/#", "allow": true},
    {"acltype": "subscribePattern", "topic": "c/%c/#", "allow": true},
    {"acltype": "subscribeLiteral", "topic": "lit/%u", "allow": true},
    {"acltype": "subscribePattern", "topic": "lit/#", "allow": true, "priority": 9},
    {"acltype": "subscribeLiteral", "topic": "lit/+", "priority": -9}]},
  {"rolename": "narrow", "allowWildcardSubs": false, "acls": [
    {"acltype": "subscribePattern", "topic": "c/k/#", "allow": true}]},
  {"rolename": "shared", "acls": [
    {"acltype": "subscribePattern", "topic": "$share/g/s/#", "allow": true},
    {"acltype": "subscribeLiteral", "topic": "$share/h/s/+", "allow": true},
    {"acltype": "subscribePattern", "topic": "$share/+/t", "allow": true},
    {"acltype": "subscribePattern", "topic": "p/#", "allow": true},
    {"acltype": "subscribeLiteral", "topic": "q/#", "allow": true}]},
  {"rolename": "public", "acls": [
    {"acltype": "subscribePattern", "topic": "public/#", "allow": true},
    {"acltype": "subscribePattern", "topic": "u/%u", "allow": true}]}
],
"anonymousGroup": "nobody",
"changeIndex": 7}`

func TestParseDynsec(t *testing.T) {
	policy := policyOf(t, ParseDynsec, plant, authz.Options{})
	role := func(name string, i int) string { return fmt.Sprintf("file, role %q, acls[%d]", name, i) }
	const receives = "allow file, defaultACLAccess.publishClientReceive"
	for _, tt := range []asked{
		{"ada", "publish x/no", "deny " + role("high", 0)}, // the role of a higher priority first
		{"ada", "publish x/yes", "allow " + role("low", 0)},
		{"ada", "will x/no", "deny " + role("high", 0)},
		{"ada", "publish y/a", "allow " + role("low", 1)},
		{"ada", "publish y/locked", "deny " + role("low", 2)}, // and so an ACL; its default is to deny
		{"ada", "publish z", "deny " + role("deny", 0)},       // groups behind the client's own roles
		{"ada", "subscribe g/x", "allow " + role("deny", 1)},
		{"ada", "receive secret/x", "deny " + role("low", 3)},
		{"ada", "receive z", receives},
		{"dan", "publish x/yes", "allow " + role("low", 0)}, // group b has the higher priority
		{"bob|b-1", "publish x/yes", "deny " + role("deny", 0)},

		{"bob|b-1", "publish c/b-1/bob/x", "allow " + role("own", 0)},
		{"bob|b-1", "publish c/b-1/ada/x", "deny " + role("deny", 0)},
		{"bob|b-1", "subscribe c/b-1/#", "allow " + role("own", 1)},
		{"bob|b-1", "subscribe c/+/#", "deny"},
		{"bob|b-1", "subscribe lit/%u", "allow " + role("own", 2)}, // a literal puts nothing in
		{"bob|b-1", "subscribe lit/bob", "allow " + role("own", 3)},
		{"bob|b-1", "subscribe lit/+", "deny " + role("own", 4)}, // literals before patterns, whatever their priority

		{"bob|b-1", "connect", "allow file, client \"bob\", clientid"},
		{"bob|b-2", "connect", "deny file, client \"bob\", clientid"},
		{"nil|b-2", "connect", "deny file, client \"nil\", clientid"},
		{"ada|b-2", "connect", "allow"},
		{"eve", "connect", "deny file, client \"eve\", disabled"},
		{"eve", "receive z", "deny file, client \"eve\", disabled"},
		{"eve", "publish c/c1/eve/x", "deny file, client \"eve\", disabled"},

		{"kim|k", "subscribe c/k/+", "deny file, role \"narrow\", allowwildcardsubs"},
		{"kim|k", "subscribe $share/g/+", "deny file, role \"narrow\", allowwildcardsubs"},
		{"kim|k", "subscribe c/k/x", "allow " + role("narrow", 0)},
		{"kim|k", "publish c/k/kim", "allow " + role("own", 0)},

		{"c*", "subscribe $share/g/s/x", "allow " + role("shared", 0)},
		{"c*", "subscribe s/x", "deny"},
		{"c*", "subscribe $share/i/s/x", "deny"},
		{"c*", "subscribe $share/h/s/+", "allow " + role("shared", 1)},
		{"c*", "subscribe $share/h/s/x", "deny"},
		{"c*", "subscribe $share/i/t", "allow " + role("shared", 2)},
		{"c*", "subscribe p/x", "allow " + role("shared", 3)},
		{"c*", "subscribe $share/g/p/x", "deny"}, // an ACL about all of a topic is not about its groups
		{"c*", "subscribe q/#", "allow " + role("shared", 4)},
		{"c*", "subscribe $share/g/q/#", "deny"},
		{"c*", "receive s/x", receives}, // deliveries are about the topic
		{"cx", "subscribe p/x", "deny"},

		{"", "subscribe public/x", "allow " + role("public", 0)},
		{"", "subscribe u/", "deny"},
		{"", "receive z", receives},
		{"who", "receive z", "deny"}, // the file does not know them
		{"who", "subscribe public/x", "deny"},
		{"who", "connect", "allow"},

		{"ada", "receive $CONTROL/x", "deny file, defaultACLAccess.publishClientReceive"},
		{"ada", "receive $share/g/a", "deny file: no message is about $share"},
		{"ada", "publish $SYS/x", "deny file: $SYS is the broker's"},
		{"ada", "publish $SYS/broker/connection/x/state", "deny"},
	} {
		tt.check(t, policy)
	}
}

// TestDefaults: what no role decides, and nobody's word for $CONTROL.
func TestDefaults(t *testing.T) {
	const head = `{"clients":[{"username":"ada","roles":[{"rolename":"r"}]}],"roles":[{"rolename":"r","acls":[{"acltype":"publishClientSend","topic":"$CONTROL/#","allow":true}]}]`
	policy := policyOf(t, ParseDynsec, head+`,"DefaultAclAccess":{"publishclientsend":true,"SUBSCRIBE":true}}`, authz.Options{})
	for _, tt := range []asked{
		{"ada", "publish a", "allow file, defaultACLAccess.publishClientSend"},
		{"ada", "publish $x", "allow file, defaultACLAccess.publishClientSend"},
		{"ada", "publish $CONTROL/x", `allow file, role "r", acls[0]`},
		{"", "publish $CONTROL/x", "deny file, defaultACLAccess.publishClientSend"},
		{"", "publish $CONTROLS", "deny file, defaultACLAccess.publishClientSend"},
		{"", "publish a", "allow file, defaultACLAccess.publishClientSend"},
		{"ada", "subscribe #", "allow file, defaultACLAccess.subscribe"},
		{"ada", "subscribe $share/g/#", "allow file, defaultACLAccess.subscribe"},
		{"ada", "subscribe $CONTROL/#", "deny file, defaultACLAccess.subscribe"},
		{"ada", "subscribe $share/g/$CONTROL/#", "deny file, defaultACLAccess.subscribe"},
		{"ada", "receive a", "deny"}, // what is not said is false
		{"who", "publish a", "deny"},
	} {
		tt.check(t, policy)
	}
	policy = policyOf(t, ParseDynsec, head+"}", authz.Options{})
	for _, question := range []string{"publish a", "subscribe a", "receive a"} {
		asked{"ada", question, "deny"}.check(t, policy)
	}
}

// TestBound: any client identifier may be the only one of a client.
func TestBound(t *testing.T) {
	for _, id := range []string{"a+b", "#", "$share/g/x", "${username}"} {
		policy := policyOf(t, ParseDynsec, fmt.Sprintf(`{"clients":[{"username":"ada","clientid":%q}]}`, id), authz.Options{})
		asked{"ada|" + id, "connect", `allow file, client "ada", clientid`}.check(t, policy)
		asked{"ada|x", "connect", `deny file, client "ada", clientid`}.check(t, policy)
	}
}

// TestShareRules: clients with the same roles in the same order share rules.
func TestShareRules(t *testing.T) {
	var clients []string
	for i := range 1000 {
		clients = append(clients, fmt.Sprintf(`{"username":"u%d","roles":[{"rolename":"r"},{"rolename":"s"}]}`, i))
	}
	text := `{"clients":[` + strings.Join(clients, ",") + `],"roles":[
		{"rolename":"s","acls":[{"acltype":"publishClientSend","topic":"%u","allow":true}]},
		{"rolename":"r","acls":[{"acltype":"publishClientSend","topic":"a","allow":true}]}]}`
	rules, _, err := ParseDynsec([]byte(text), "file")
	if err != nil || len(rules) != len(reserved(""))+2 {
		t.Fatalf("%d rules, error %v", len(rules), err)
	}
	policy := policyOf(t, ParseDynsec, text, authz.Options{})
	asked{"u999", "publish u999", `allow file, role "s", acls[0]`}.check(t, policy)
	asked{"u999", "publish u1", "deny"}.check(t, policy)
}

// TestTooManyRules: clients that have large roles in orders of their own.
func TestTooManyRules(t *testing.T) {
	const number = 40
	var clients, roles, acls []string
	for i := range 600 {
		acls = append(acls, fmt.Sprintf(`{"acltype":"publishClientSend","topic":"%d"}`, i))
	}
	shuffled := rand.New(rand.NewPCG(1, 1))
	for i := range 200 {
		var has []string
		for place, r := range shuffled.Perm(number) {
			has = append(has, fmt.Sprintf(`{"rolename":"r%d","priority":%d}`, r, place))
		}
		clients = append(clients, fmt.Sprintf(`{"username":"u%d","roles":[%s]}`, i, strings.Join(has, ",")))
	}
	for i := range number {
		roles = append(roles, fmt.Sprintf(`{"rolename":"r%d","acls":[%s]}`, i, strings.Join(acls, ",")))
	}
	text := `{"clients":[` + strings.Join(clients, ",") + `],"roles":[` + strings.Join(roles, ",") + `]}`
	if _, problem := findings(ParseDynsec, text); !strings.HasPrefix(problem, "roles: need more than 250000 rules") || strings.Contains(problem, "\n") {
		t.Errorf("error %q", problem)
	}
	text = strings.NewReplacer(strings.Join(clients, ","), clients[0]).Replace(text)
	if _, problem := findings(ParseDynsec, text); problem != "" {
		t.Errorf("one order: error %q", problem)
	}
}

func TestDynsecErrors(t *testing.T) {
	half, _, _ := strings.Cut(plant, `"groups"`)
	acl := func(fields string) string { return `{"roles":[{"rolename":"r","acls":[{` + fields + `}]}]}` }
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "line 1: ends too early"},
		{"half-written", half, "line 12: ends too early"},
		{"half a word", plant[:len(plant)-20], "line "},
		{"no JSON", "{\n\"roles\": [\n}", "line 3: "},
		{"a list", "[]", "line 1: is not a JSON object"},
		{"two objects", "{}\n{}", "line 2: more behind the end"},
		{"junk behind", "{}\n\nx", "line 3: more behind the end"},
		{"a key twice", "{\"roles\":[],\n\"Roles\":[]}", `line 2: the key "roles" stands twice`},
		{"deep", strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), "line 1: is nested more than 32 deep"},
		{"Latin-1", "{\"a\":\"\xfc\"}", "is not text in UTF-8"},
		{"NUL", `{"a":"x\u0000"}`, "line 1: a text with NUL"},
		{"roles", `{"roles":{}}`, "roles: is not an array"},
		{"role", `{"roles":[1]}`, "roles[0]: is not an object"},
		{"rolename", `{"roles":[{"rolename":1}]}`, "roles[0].rolename: is not a text"},
		{"allowwildcardsubs", `{"roles":[{"rolename":"r","allowwildcardsubs":"false"}]}`, "roles[0].allowwildcardsubs: is neither true nor false"},
		{"allow", acl(`"acltype":"publishClientSend","topic":"a","allow":1`), "roles[0].acls[0].allow: is neither true nor false"},
		{"priority", acl(`"acltype":"publishClientSend","topic":"a","priority":"1"`), "roles[0].acls[0].priority: is not a number"},
		{"topic", acl(`"acltype":"publishClientSend","topic":"a#"`), `roles[0].acls[0].topic: no topic filter: "a#"`},
		{"too long", acl(`"acltype":"subscribePattern","topic":"` + strings.Repeat("a", 65536) + `"`), "roles[0].acls[0].topic: no topic filter"},
		{"disabled", `{"clients":[{"username":"u","disabled":"yes"}]}`, "clients[0].disabled: is neither true nor false"},
		{"defaults", `{"defaultACLAccess":[]}`, "defaultACLAccess: is not an object"},
		{"default", `{"defaultACLAccess":{"subscribe":"true"}}`, "defaultACLAccess.subscribe: is neither"},
		{"all of them", `{"groups":1,"clients":2}`, "clients: is not an array\ngroups: is not an array"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rules, _, err := ParseDynsec([]byte(tt.text), "file")
			if err == nil || rules != nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%d rules, error %v, want %q", len(rules), err, tt.want)
			}
		})
	}
}

func TestDynsecWarnings(t *testing.T) {
	const r = `"roles":[{"rolename":"r"}],`
	for _, tt := range []struct{ text, want string }{
		{plant, ""},
		{"\ufeff{}", ""},
		{`{"roles":[{"acls":[]}]}`, "roles[0]: is left out: it has no rolename"},
		{`{"roles":[{"rolename":"r"},{"rolename":"r"}]}`, `roles[1]: is left out: there is a role "r" before it`},
		{`{"roles":[{"rolename":"r","acls":[{"topic":"a"}]}]}`, "roles[0].acls[0]: is left out: it has no acltype"},
		{`{"roles":[{"rolename":"r","acls":[{"acltype":"publishClientSend","topic":""}]}]}`, "roles[0].acls[0]: is left out: it has no topic"},
		{`{"roles":[{"rolename":"r","acls":[{"acltype":"publish","topic":"a"}]}]}`, `roles[0].acls[0]: is left out: there is no acltype "publish"`},
		{
			`{"roles":[{"rolename":"r","acls":[{"acltype":"subscribePattern","topic":"a"},{"acltype":"subscribepattern","topic":"a","allow":true}]}]}`,
			"roles[0].acls[1]: is left out: there is one of its type and topic before it",
		},
		{`{"roles":[{"rolename":"r","acls":[{"acltype":"subscribePattern","topic":"a%u"}]}]}`, "roles[0].acls[0].topic: %u is text, as it is not a whole level"},
		{`{"roles":[{"rolename":"r","acls":[{"acltype":"unsubscribePattern","topic":"a"}]}]}`, "the right to unsubscribe is not judged: a client may always give up what it receives"},
		{`{"defaultACLAccess":{"unsubscribe":false}}`, "the right to unsubscribe is not judged: a client may always give up what it receives"},
		{`{"roles":[{"rolename":"r","acls":[{"acltype":"subscribeLiteral","topic":"$share/+/a"}]}]}`, `roles[0].acls[0]: is left out: nothing can be subscribed to as "$share/+/a"`},
		{`{"clients":[{}]}`, "clients[0]: is left out: it has no username"},
		{`{"clients":[{"username":"u"},{"username":"u"}]}`, `clients[1]: is left out: there is a client "u" before it`},
		{`{"clients":[{"username":"u","roles":[{"rolename":"x"}]}]}`, `clients[0].roles[0]: is left out: there is no role "x"`},
		{`{` + r + `"clients":[{"username":"u","roles":[{"rolename":"r"},{"rolename":"r","priority":3}]}]}`, `clients[0].roles[1]: is left out: the role "r" stands before it`},
		{`{"groups":[{"groupname":"g"},{"groupname":"g"}]}`, `groups[1]: is left out: there is a group "g" before it`},
		{`{"groups":[{"groupname":"g","clients":[{"username":"u"}]}]}`, `groups[0].clients[0]: is left out: there is no client "u"`},
		{
			`{"clients":[{"username":"u"}],"groups":[{"groupname":"g","clients":[{"username":"u"},{"username":"u"}]}]}`,
			`groups[0].clients[1]: is left out: the client "u" stands before it`,
		},
		{`{"anonymousGroup":"g"}`, `anonymousGroup: there is no group "g"`},
	} {
		if warnings, problem := findings(ParseDynsec, tt.text); warnings != tt.want || problem != "" {
			t.Errorf("%.80s: warnings %q and error %q, want %q", tt.text, warnings, problem, tt.want)
		}
	}
}

// TestMemberships: without a priority it is -1, and of two alike the first by
// name is asked first.
func TestMemberships(t *testing.T) {
	const roles = `"roles":[{"rolename":"a","acls":[{"acltype":"publishClientSend","topic":"#"}]},
		{"rolename":"b","acls":[{"acltype":"publishClientSend","topic":"x/${username}"}]}]`
	for _, tt := range []struct{ a, b, want string }{
		{"", "", "a"},
		{`,"priority":-1`, "", "a"},
		{"", `,"priority":0`, "b"},
		{`,"priority":-2`, "", "b"},
		{`,"priority":-100001`, `,"priority":-100000`, "a"},
	} {
		own := fmt.Sprintf(`{"clients":[{"username":"u","roles":[{"rolename":"b"%s},{"rolename":"a"%s}]}],%s}`, tt.b, tt.a, roles)
		groups := fmt.Sprintf(`{"clients":[{"username":"u"}],"groups":[
			{"groupname":"b","roles":[{"rolename":"b"}],"clients":[{"username":"u"%s}]},
			{"groupname":"a","roles":[{"rolename":"a"}],"clients":[{"username":"u"%s}]}],%s}`, tt.b, tt.a, roles)
		for _, text := range []string{own, groups} {
			policy := policyOf(t, ParseDynsec, text, authz.Options{})
			d := ask(policy, "u", "publish x/${username}")
			if !strings.Contains(d.Rule, fmt.Sprintf("role %q, acls[0]", tt.want)) {
				t.Errorf("%s is asked first, want %s:\n%s", d.Rule, tt.want, text)
			}
		}
	}
}

// TestPriority: priorities end at 100000 on both sides, and lose what is behind
// the point.
func TestPriority(t *testing.T) {
	for _, tt := range []struct {
		first, second string
		want          string
	}{
		{"1", "2", "acls[1]"},
		{"2", "1", "acls[0]"},
		{"1", "1", "acls[0]"},
		{"100000", "1e300", "acls[0]"},
		{"-100000", "-1e9", "acls[0]"},
		{"1.2", "1.9", "acls[0]"},
		{"-1", "null", "acls[1]"},
	} {
		text := fmt.Sprintf(`{"clients":[{"username":"u","roles":[{"rolename":"r"}]}],"roles":[{"rolename":"r","acls":[
			{"acltype":"publishClientSend","topic":"a","priority":%s},{"acltype":"publishClientSend","topic":"+","priority":%s}]}]}`, tt.first, tt.second)
		asked{"u", "publish a", `deny file, role "r", ` + tt.want}.check(t, policyOf(t, ParseDynsec, text, authz.Options{}))
	}
}

func FuzzParseDynsec(f *testing.F) {
	f.Add([]byte(plant))
	f.Add([]byte(`{"clients":[{"username":"u","clientid":"a+","disabled":false}],"defaultACLAccess":{"subscribe":true}}`))
	f.Add([]byte(`{"roles":[{"rolename":"r","acls":[{"acltype":"subscribeLiteral","topic":"$share/g/${x}/#"}]}],"clients":[{"username":"u","roles":[{"rolename":"r"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) { compiles(t, ParseDynsec, data) })
}
