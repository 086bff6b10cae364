package e2e

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/filters/authz/mosquitto"
	"github.com/mqttward/mqttward/packets/topics"
)

// object is one in JSON.
type object = map[string]any

// dynsecAccounts are who a file has; behind them are those whom it does not know,
// or who have no name.
var (
	dynsecAccounts = []account{{"ada", "c1"}, {"bob", "ada"}, {"c1", "c2"}, {"a+b", "c3"}, {"a/b", "#"}, {"a*", "$x"}, {"kim", "a/b"}}
	strangers      = []account{{"who", "c4"}, {"bo", "c5"}}
	nameless       = []account{{"", "c6"}, {"", "+"}}
)

// hash returns everybody's password as files of Mosquitto have it: the salt, and
// what PBKDF2 makes of it in one round.
func hash(t *testing.T) (salt, key string) {
	t.Helper()
	raw := []byte("twelve bytes")
	derived, err := pbkdf2.Key(sha512.New, everybodys, raw, 1, 64)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(derived)
}

func dynsecClient(t *testing.T, username string) object {
	t.Helper()
	salt, key := hash(t)
	return object{"username": username, "salt": salt, "password": key, "iterations": 1}
}

// startDynsec starts a Mosquitto with the plugin. The strangers log in by a
// password file.
func startDynsec(t *testing.T, text string) *reference {
	t.Helper()
	plugins, err := filepath.Glob("/usr/lib/*/mosquitto_dynamic_security.so")
	if err != nil || len(plugins) == 0 {
		t.Fatalf("no plugin for dynamic security: %v", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "dynamic-security.json"), text)
	salt, key := hash(t)
	var users strings.Builder
	for _, a := range strangers {
		fmt.Fprintf(&users, "%s:$7$1$%s$%s\n", a.username, salt, key)
	}
	write(t, filepath.Join(dir, "users"), users.String())
	return startReference(t, fmt.Sprintf("password_file %s/users\nplugin %s\nplugin_opt_config_file %s/dynamic-security.json", dir, plugins[0], dir))
}

var dynsecLevels = []string{"a", "b", "", "ada", "c1"}

// dynsecFile makes a dynamic-security.json, and the topics that it names. In an
// open one everybody whom it knows may subscribe to everything; without wildRoots
// no topic begins with a wildcard.
func (d dice) dynsecFile(t *testing.T, open, wildRoots bool) (text string, named []string) {
	t.Helper()
	var roles, clients, groups []object
	for i := range 6 {
		var acls []object
		for range d.IntN(8) {
			topic := d.filter(dynsecLevels...)
			if d.IntN(5) == 0 {
				topic = d.of("$share/g/", "$share/+/", "$share/h/") + topic
			}
			if !wildRoots {
				topic = rooted(topic)
			}
			named = append(named, topic)
			acls = append(acls, d.with(object{
				"acltype": d.of("publishClientSend", "publishClientReceive", "SubscribePattern", "subscribepattern", "subscribeLiteral", "unsubscribePattern"),
				"topic":   topic, d.of("allow", "Allow"): d.IntN(3) > 0,
			}))
		}
		roles = append(roles, object{d.of("rolename", "roleName"): fmt.Sprint("r", i), "acls": acls})
	}
	var acls []object
	for _, root := range roots {
		acls = append(acls, object{"acltype": "subscribeLiteral", "topic": root, "allow": true})
	}
	roles = append(roles, object{"rolename": "open", "acls": acls})
	some := func() (list []object) {
		for range d.IntN(4) {
			list = append(list, d.with(object{"rolename": fmt.Sprint("r", d.IntN(7))})) // r6 there is not
		}
		if open {
			list = append(list, object{"rolename": "open", "priority": 9})
		}
		return list
	}
	for _, a := range dynsecAccounts {
		client := dynsecClient(t, a.username)
		client["roles"] = some()
		clients = append(clients, client)
	}
	for i := range 4 {
		group := object{"groupname": fmt.Sprint("g", i), "roles": some()}
		var members []object
		for range d.IntN(6) {
			members = append(members, d.with(object{"username": dynsecAccounts[d.IntN(len(dynsecAccounts))].username}))
		}
		group["clients"] = members
		groups = append(groups, group)
	}
	d.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
	file := object{"roles": roles, "clients": clients, "groups": groups}
	if open || d.IntN(4) > 0 {
		file["anonymousGroup"] = fmt.Sprint("g", d.IntN(4))
	}
	if d.IntN(4) > 0 {
		defaults := object{}
		for _, action := range []string{"publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"} {
			if d.IntN(4) > 0 {
				defaults[action] = d.IntN(2) == 0
			}
		}
		file["defaultACLAccess"] = defaults
	}
	b, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b), named
}

// rooted returns a filter that does not begin with a wildcard.
func rooted(filter string) string {
	if strings.HasPrefix(filter, "+") || filter == "#" {
		return "a/" + filter
	}
	return filter
}

// with may give an object a priority.
func (d dice) with(o object) object {
	if d.IntN(2) == 0 {
		o["priority"] = d.IntN(5) - 2
	}
	return o
}

// dynsecException names the differences between Mosquitto's dynamic security and
// the rules.
func dynsecException(wildRoots bool) func(question, authz.Decision) string {
	return func(q question, d authz.Decision) string {
		if wildRoots && q.action == "subscribe" && strings.HasPrefix(q.topic, "$") {
			return "a subscribePattern that begins with a wildcard holds no subscription that begins with $: before 2.1 it does"
		}
		return ""
	}
}

func TestMosquittoDynsec(t *testing.T) {
	t.Parallel()
	const files = 60
	used := make(map[string]int)
	for seed := range uint64(files) {
		d, open, wildRoots := newDice(seed+1000), seed%2 == 0, seed%4 < 2
		text, named := d.dynsecFile(t, open, wildRoots)
		rules, _, err := mosquitto.ParseDynsec([]byte(text), "dynamic-security.json")
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		policy, err := authz.New(rules, authz.Options{})
		if err != nil {
			t.Fatal(err)
		}
		q := questions{accounts: slices.Concat(dynsecAccounts, strangers, nameless)}
		q.publish = append(times(30, func() string { return d.topic(dynsecLevels...) }), "$share/g/a", "$SYS", "$CONTROL/x")
		q.subscribe = append(times(20, func() string { return d.filter(dynsecLevels...) }), "#", "+/+", "$share/g/a/#", "$CONTROL/#")
		for _, topic := range named {
			if topics.ValidFilter(topic) {
				q.subscribe = append(q.subscribe, topic)
			}
			if name := strings.NewReplacer("+", "a", "#", "b").Replace(topic); len(q.publish) < 60 {
				q.publish = append(q.publish, name)
			}
		}
		if open {
			q.readers = slices.Concat(dynsecAccounts, nameless)
			for _, topic := range q.publish {
				if !strings.HasPrefix(topic, "$") || strings.HasPrefix(topic, "$x") {
					q.receive = append(q.receive, topic)
				}
			}
		}
		r := startDynsec(t, text)
		compare(t, text, policy, r.ask(t, q), dynsecException(wildRoots), used)
		r.end()
	}
	t.Log(used)
	if used["equal"] < 60_000 {
		t.Errorf("only %d answers were compared", used["equal"])
	}
	for _, action := range []string{"publish", "receive", "subscribe"} {
		if used["allowed "+action] < 2000 || used["denied "+action] < 2000 {
			t.Errorf("only %d times allowed and %d denied: %s", used["allowed "+action], used["denied "+action], action)
		}
	}
}
