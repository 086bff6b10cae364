package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/filters/authz/mosquitto"
)

// aclAccounts are who is asked about: named in files and not, without a name, and
// with names that mean something in topic filters. No two have a client
// identifier in common.
var aclAccounts = []account{
	{"", "c1"},
	{"ada", "c2"},
	{"bob", "ada"},
	{"eve", "c3"},
	{"c1", "b"},
	{"a+b", "c4"},
	{"bob", "#"},
	{"", "+"},
	{"a/b", "c5"},
	{"ada", "a/b"},
	{"$x", "c6"},
	{"a*", "$x"},
}

var aclLevels = []string{"a", "b", "", "ada", "bob", "c1", "c2"}

// aclFile makes an acl_file.
func (d dice) aclFile() string {
	var lines []string
	topics := func(word string, levels []string) {
		for range d.IntN(5) {
			access := d.of("", "read ", "write ", "readwrite ", "deny ")
			lines = append(lines, word+access+d.filter(levels...)+d.of("", "", " ", "\r"))
		}
	}
	topics("topic ", aclLevels)
	for range 1 + d.IntN(6) { // some of them the same
		lines = append(lines, d.of("", "# comment", "  "), "user "+d.of("ada", "bob", " c1", "a+b", "a/b", "$x", "a*"))
		topics(d.of("topic ", "topic  ", " topic "), aclLevels)
		if d.IntN(3) == 0 {
			topics("pattern ", append([]string{"%c", "%u"}, aclLevels...))
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// aclException names the differences between Mosquitto 2.0 with an acl_file and
// the rules.
func aclException(file string) func(question, authz.Decision) string {
	filled := false
	for line := range strings.Lines(file) {
		filled = filled || strings.HasPrefix(line, "pattern") && strings.Contains(line, "%")
	}
	return func(q question, d authz.Decision) string {
		switch {
		case q.action == "subscribe" && strings.HasPrefix(q.topic, "$share/") && q.allowed:
			return "a Shared Subscription is judged: what one of a group must not get is lost for all"
		case filled && strings.Contains(q.username+q.clientID, "/"):
			return "a name with / is no level: Mosquitto before 2.1 puts it in as several"
		case filled && strings.HasPrefix(q.topic, "$") && strings.Contains(q.username+q.clientID, "$"):
			return "a name with $ begins no topic of the broker: Mosquitto before 2.1 lets it"
		}
		return ""
	}
}

func TestMosquittoACLFile(t *testing.T) {
	t.Parallel()
	const files = 80
	used := make(map[string]int)
	for seed := range uint64(files) {
		d := newDice(seed)
		text := d.aclFile()
		rules, _, err := mosquitto.ParseACL([]byte(text), "acl")
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		policy, err := authz.New(rules, authz.Options{FilterDeliveries: true})
		if err != nil {
			t.Fatal(err)
		}
		q := questions{accounts: aclAccounts, readers: aclAccounts}
		q.publish = append(times(40, func() string { return d.topic(aclLevels...) }), "$share/g/a", "$share", "$shared/a", "$SYS")
		q.subscribe = append(times(20, func() string { return d.filter(aclLevels...) }), "#", "+/+", "$share/g/a/#", "$share/h/#", "$share/g/"+d.filter(aclLevels...))
		for _, topic := range q.publish {
			// Not even who is free sends the broker's own.
			if !strings.HasPrefix(topic, "$") || strings.HasPrefix(topic, "$x") || strings.HasSuffix(topic, "/state") && strings.Count(topic, "/") == 4 {
				q.receive = append(q.receive, topic)
			}
		}
		path := filepath.Join(t.TempDir(), "acl")
		write(t, path, text)
		r := startReference(t, "acl_file "+path)
		compare(t, text, policy, r.ask(t, q), aclException(text), used)
		r.end()
	}
	t.Log(used)
	if used["equal"] < 80_000 {
		t.Errorf("only %d answers were compared", used["equal"])
	}
	for _, kind := range []string{"allowed publish", "denied publish", "allowed receive", "denied receive", "allowed subscribe"} {
		if used[kind] < 500 {
			t.Errorf("only %d times %s", used[kind], kind)
		}
	}
}
