package mosquitto

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters/authz"
)

const example = `# the clients without a name
topic read public/#
user ada

topic read a/#
topic deny a/secret/#
topic write a/out
user bob
topic a b
topic readwrite with space/x
  topic   write   indented
pattern deny devices/%c/locked
pattern readwrite devices/%c/#
pattern read users/%u/+
user ada
topic readwrite devices/c1/locked
topic write $SYS/#
topic $x/+
topic read read
topic write
`

func TestParseACL(t *testing.T) {
	policy := policyOf(t, ParseACL, strings.Replace(example, "topic a b\n", "", 1), authz.Options{})
	const (
		patterns = "file: names with + or # get nothing from patterns"
		system   = "file: $SYS is the broker's"
		shares   = "file: no message is about $share"
	)
	tests := []asked{
		{"", "receive public/a", "allow file:2"},
		{"", "subscribe public/a", "allow file:2"},
		{"", "publish public/a", "deny"},
		{"eve", "receive public/a", "deny"}, // topic lines before the first user are not for everybody
		{"ada", "receive public/a", "deny"},

		{"ada", "receive a/x", "allow file:5"},
		{"ada", "receive a", "allow file:5"},
		{"ada", "publish a/x", "deny"},
		{"ada", "publish a/out", "allow file:7"},
		{"ada", "receive a/secret", "deny file:6"}, // a deny comes first wherever it stands
		{"ada", "publish a/secret/x", "deny file:6"},
		{"ada", "subscribe a/#", "allow file:5"},
		{"ada", "subscribe a/secret/x", "deny file:6"},
		{"ada", "subscribe #", "deny"},
		{"bob", "receive a/x", "deny"},
		{"bob", "publish with space/x", "allow file:9"},
		{"bob", "publish indented", "allow file:10"},

		{"eve|c1", "publish devices/c1/x", "allow file:12"}, // patterns are for all
		{"|c1", "publish devices/c1/x", "allow file:12"},
		{"eve|c2", "publish devices/c1/x", "deny"},
		{"eve|c1", "publish devices/c1/locked", "deny file:11"},
		{"ada|c1", "publish devices/c1/locked", "allow file:15"}, // what a user's block allows no pattern denies
		{"eve", "receive users/eve/x", "allow file:13"},
		{"eve", "receive users//x", "deny"},
		{"", "receive users//x", "deny"},
		{"eve", "subscribe users/eve/+", "allow file:13"},
		{"eve", "subscribe users/+/+", "deny"},

		{"a+b", "receive users/a+b/x", "deny " + patterns},
		{"eve|#", "receive users/eve/x", "deny " + patterns},
		{"|+", "publish devices/a/x", "deny " + patterns},
		{"a/b|c1", "receive users/a/b", "deny"}, // a value is compared within one level
		{"eve|a/b", "publish devices/a/b", "deny"},

		{"ada", "publish $SYS/x", "deny " + system},
		{"ada", "publish $SYSTEM", "deny " + system},
		{"ada", "publish $SYS/broker/connection/b/state", "allow file:16"},
		{"bob", "publish $SYS/broker/connection/b/state", "deny"},
		{"ada", "publish $x/a", "allow file:17"},
		{"ada", "receive $x/a", "allow file:17"},
		{"ada", "publish $share/g/a", "deny " + shares},
		{"ada", "receive $shared", "deny " + shares},
		{"ada", "receive read", "allow file:18"},
		{"ada", "receive write", "allow file:19"}, // a topic of that name
		{"ada", "publish write", "allow file:19"},
		{"ada", "will a/secret", "deny file:6"},
		{"ada", "will a/out", "allow file:7"},
		{"ada", "subscribe $share/g/a/x", "allow file:5"},
		{"ada", "subscribe $share/g/b", "deny"},
		{"ada", "connect", "allow"},
	}
	for _, tt := range tests {
		tt.check(t, policy)
	}
}

// TestFilterDeliveries: Mosquitto grants every subscription, and judges what it
// delivers. Only Shared Subscriptions are judged here all the same.
func TestFilterDeliveries(t *testing.T) {
	policy := policyOf(t, ParseACL, "user ada\ntopic read a/#\ntopic deny a/b\n", authz.Options{FilterDeliveries: true})
	for _, tt := range []asked{
		{"ada", "subscribe #", "allow subscribe: filter"},
		{"eve", "subscribe a/b", "allow subscribe: filter"},
		{"ada", "subscribe $share/g/a/#", "allow file:2"},
		{"ada", "subscribe $share/g/#", "deny"},
		{"ada", "receive a/b", "deny file:3"},
		{"ada", "receive a/c", "allow file:2"},
		{"eve", "receive a/c", "deny"},
	} {
		tt.check(t, policy)
	}
}

// TestCoverage: the vectors of Mosquitto's own test of filters in filters.
func TestCoverage(t *testing.T) {
	for _, tt := range []struct {
		acl, filter string
		want        bool
	}{
		{"foo/+/bar", "foo/#", false},
		{"foo/+/x/#", "foo/baz/x", true},
		{"foo/+/x/#", "foo/baz/x/+", true},
		{"foo/+/x/#", "foo/baz/x/#", true},
		{"foo/+/x/#", "foo/baz/+/#", false},
		{"/+//#", "/foo///#", true},
		{"#", "#", true},
		{"#", "+", true},
		{"#", "$SYS/up", false},
		{"$SYS/#", "$SYS/up", true},
		{"$SYS/#", "$SYS", true},
		{"$SYS/+", "$SYS/#", false},
		{"$SYS/+/#", "$SYS/uptime", true},
		{"+", "#", false},
		{"/#", "+", false},
		{"/+", "#", false},
		{"+/+", "topic/topic", true},
		{"a/b/c/d/+", "a/b/c/d/", true},
		{"+", "+", true},
		{"/#", "/+", true},
		{"/+", "+", false},
		{"+/+", "topic/topic/", false},
		{"$SYS/+/a", "$SYS/a/+", false},
		{"a/b/c/d/", "a/b/c/d/+", false},
		{"t/+", "t/#", false},
		{"#", "$share/g/#", true}, // what is in it is judged
	} {
		policy := policyOf(t, ParseACL, "topic read "+tt.acl, authz.Options{})
		if d := ask(policy, "", "subscribe "+tt.filter); d.Allowed != tt.want {
			t.Errorf("%s, %s: %+v, want %v", tt.acl, tt.filter, d, tt.want)
		}
		if strings.HasPrefix(tt.filter, "$share/") {
			continue
		}
		dynsec := fmt.Sprintf(`{"groups":[{"groupname":"g","roles":[{"rolename":"r"}]}],"anonymousGroup":"g",
			"roles":[{"rolename":"r","acls":[{"acltype":"subscribePattern","topic":%q,"allow":true}]}]}`, tt.acl)
		if d := ask(policyOf(t, ParseDynsec, dynsec, authz.Options{}), "", "subscribe "+tt.filter); d.Allowed != tt.want {
			t.Errorf("dynamic security: %s, %s: %+v, want %v", tt.acl, tt.filter, d, tt.want)
		}
	}
}

// TestDenyPart: a subscription that is wider than what is denied is granted, and
// the denied part not delivered.
func TestDenyPart(t *testing.T) {
	policy := policyOf(t, ParseACL, "topic deny a/secret/#\ntopic read #\n", authz.Options{})
	for _, filter := range []string{"a/+/x", "#", "+/secret/x", "b/#"} {
		asked{"", "subscribe " + filter, "allow file:2"}.check(t, policy)
	}
	asked{"", "subscribe a/secret/+", "deny file:1"}.check(t, policy)
	asked{"", "receive a/secret/x", "deny file:1"}.check(t, policy)
	asked{"", "receive a/b/x", "allow file:2"}.check(t, policy)
}

// TestNobody: a file that says nothing denies everything [CVE-2018-12550].
func TestNobody(t *testing.T) {
	for _, text := range []string{"", "\n", "# a comment\n", "user ada\n", "user ada\ntopic deny a\n", "pattern deny %u\n"} {
		policy := policyOf(t, ParseACL, text, authz.Options{})
		for _, who := range []string{"", "ada"} {
			for _, question := range []string{"publish b", "receive b", "subscribe b", "will b", "subscribe #"} {
				if d := ask(policy, who, question); d.Allowed {
					t.Errorf("%q: %s of %q: %+v", text, question, who, d)
				}
			}
		}
		if warnings, _ := findings(ParseACL, text); !strings.Contains(warnings, "no line allows anything") {
			t.Errorf("%q: warnings %q", text, warnings)
		}
	}
}

func TestACLErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown word", "topic a\nallow a\n", `line 2: begins with "allow"`},
		{"capitals", "Topic a", `line 1: begins with "Topic"`},
		{"comment that is indented", " # comment", `line 1: begins with "#"`},
		{"tab between words", "topic\tread a", `line 1: begins with "topic\tread"`},
		{"tab before the only word", "topic \t#", `line 1: no topic filter: "\t#"`},
		{"half a line", "topic read a/#\nus", `line 2: begins with "us"`},
		{"unknown access", "user u\ntopic Read a", `line 2: no access: "Read"`},
		{"a topic with spaces, without access", "topic foo bar", `line 1: no access: "foo"`},
		{"subscribe of other products", "topic subscribe a", `line 1: no access: "subscribe"`},
		{"no filter", "topic", "line 1: no topic filter"},
		{"pattern without filter", "pattern   ", "line 1: no topic filter"},
		{"no user", "user \n", "line 1: user without a name"},
		{"misplaced #", "topic read a/#/b", `line 1: no topic filter: "a/#/b"`},
		{"part of a level", "topic write a+", `line 1: no topic filter: "a+"`},
		{"in a share", "topic write $share/g/a#", `line 1: no topic filter: "$share/g/a#"`},
		{"too long", "topic write " + strings.Repeat("a", 65536), "line 1: a topic filter of 65536 bytes"},
		{"too deep", "\n\ntopic write " + strings.Repeat("a/", 201), "line 3: a topic filter with more than 200 separators"},
		{"NUL", "topic a\x00b", "line 1: is not text"},
		{"Latin-1", "user J\xfcrgen\ntopic deny a", "line 1: is not text"},
		{"all of them", "x\ntopic a\ny\n", "line 1: begins with \"x\", and not with user, topic, pattern or, in its first column, #\nline 3: begins with \"y\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rules, _, err := ParseACL([]byte(tt.text), "file")
			if err == nil || rules != nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%d rules, error %v, want %q", len(rules), err, tt.want)
			}
		})
	}
	_, problem := findings(ParseACL, strings.Repeat("x\n", 1000))
	if got := strings.Count(problem, "\n") + 1; got != maxErrors {
		t.Errorf("%d errors are reported", got)
	}
}

func TestACLWarnings(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"topic a\n", ""},
		{"pattern %c/a\npattern a/%u/%c", ""},
		{strings.Repeat("topic read "+strings.Repeat("/", 200)+"\n", 1), ""},
		{"pattern a/#", "line 1: a pattern without %c and %u is for every client"},
		{"pattern a%c/b", "line 1: %c is text, as it is not a whole level; Mosquitto before 2.1 puts the client's name in"},
		{"topic x\npattern %u/%ux", "line 2: %u is text, as it is not a whole level; Mosquitto before 2.1 puts the client's name in"},
		{"topic a/%u", "line 1: %c and %u are text in a topic line; those of a pattern line stand for a client"},
		{"topic a\ntopic $share/g/a", "line 2: decides nothing: no message is about $share/g/a"},
		{"topic \ta", "line 1: a control character is part of the topic filter, and only a space separates words: nothing can match it"},
		{"topic read\ta", "line 1: a control character is part of the topic filter, and only a space separates words: nothing can match it"},
	} {
		if warnings, problem := findings(ParseACL, tt.text); warnings != tt.want || problem != "" {
			t.Errorf("%q: warnings %q and error %q, want %q", tt.text, warnings, problem, tt.want)
		}
	}
}

// TestText: what means something elsewhere is text.
func TestText(t *testing.T) {
	policy := policyOf(t, ParseACL, "user a*\ntopic ${username}/x\ntopic =y\ntopic deny z\r\nuser  b c \ntopic w\npattern ${clientid}/p%c\npattern read q%u\n", authz.Options{})
	for _, tt := range []asked{
		{"a*", "publish ${username}/x", "allow file:2"},
		{"a*", "publish a*/x", "deny"},
		{"ab", "publish ${username}/x", "deny"},
		{"a*", "publish =y", "allow file:3"},
		{"a*", "publish y", "deny"},
		{"a*", "publish z", "deny file:4"},
		{"b c", "publish w", "allow file:6"},
		{"b", "publish w", "deny"},
		{"|c1", "publish ${clientid}/p%c", "allow file:7"},
		{"|c1", "publish c1/pc1", "deny"},
		{"eve", "receive q%u", "allow file:8"},
		{"", "receive q%u", "deny"}, // a pattern with %u anywhere is not for those without a name
	} {
		tt.check(t, policy)
	}
}

func FuzzParseACL(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("topic deny $share/+/a\npattern %c/%u/+\nuser u\ntopic read ${x}/$\n"))
	f.Add([]byte("user u\ntopic write $share/g\npattern read $\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) { compiles(t, ParseACL, data) })
}

// compiles: whatever is read makes a policy, and asking it does not fail.
func compiles(t *testing.T, parse parser, data []byte) {
	t.Helper()
	rules, _, err := parse(data, "file")
	if err != nil {
		if rules != nil || err.Error() == "" {
			t.Errorf("%d rules with the error %q", len(rules), err)
		}
		return
	}
	policy, err := authz.New(rules, authz.Options{})
	if err != nil {
		t.Fatalf("a file that is read does not compile: %v", err)
	}
	for _, question := range []string{"publish a", "receive $share/g/a", "subscribe $share/g/#", "connect"} {
		if d := ask(policy, "u|c", question); d.Rule == "" {
			t.Errorf("%s: nothing decides", question)
		}
	}
}
