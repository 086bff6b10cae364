package emqx

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets"
)

var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

func view(t testing.TB, acl string, s *filters.Session) *authz.View {
	t.Helper()
	rules, _, err := ParseACL([]byte(acl), "acl.conf")
	if err != nil {
		t.Fatalf("%s: %v", acl, err)
	}
	p, err := authz.New(rules, authz.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p.View(s)
}

func bob() *filters.Session {
	return &filters.Session{
		Version: packets.V5, ClientID: "c1", Listener: "factory",
		Identity:    filters.Identity{Username: "bob"},
		RemoteAddr:  netip.MustParseAddrPort("10.1.2.3:4000"),
		Certificate: &x509.Certificate{Subject: pkix.Name{CommonName: "plc7"}},
	}
}

// ask answers "publish t", "subscribe f" and "receive t"; a digit behind the verb
// is the QoS, and r is retain.
func ask(t testing.TB, v *authz.View, question string) bool {
	t.Helper()
	verb, topic, _ := strings.Cut(question, " ")
	m := authz.Message{Topic: []byte(topic)}
	if at := strings.IndexAny(verb, "012"); at > 0 {
		m.QoS = packets.QoS(verb[at] - '0')
		m.Retain = strings.HasSuffix(verb, "r")
		verb = verb[:at]
	}
	switch verb {
	case "publish":
		return v.Publish(noon, m).Allowed
	case "subscribe":
		return v.Subscribe(noon, m.Topic, m.QoS).Allowed
	case "receive":
		return v.Receive(noon, m).Allowed
	}
	t.Fatalf("no question: %s", question)
	return false
}

type table struct{ name, acl, yes, no string }

func (tt table) run(t *testing.T) {
	t.Helper()
	v := view(t, tt.acl, bob())
	for want, questions := range map[bool]string{true: tt.yes, false: tt.no} {
		for q := range strings.SplitSeq(questions, ";") {
			if q = strings.TrimSpace(q); q != "" && ask(t, v, q) != want {
				t.Errorf("%s: %s: %v", tt.name, q, !want)
			}
		}
	}
}

// TestClients: EMQX documentation, "Use ACL File" (docs.emqx.com, access-control/
// authz/file), the second position of a tuple.
func TestClients(t *testing.T) {
	yes := func(name, who string) table {
		return table{name, "{allow, " + who + `, publish, ["a"]}.`, "publish a", "publish b"}
	}
	no := func(name, who string) table {
		return table{name, "{allow, " + who + `, publish, ["a"]}.`, "", "publish a"}
	}
	for _, tt := range []table{
		yes("all", "all"),
		yes("user", `{user, "bob"}`), yes("username", `{username, "bob"}`), no("another user", `{user, "eve"}`),
		yes("expression", `{user, {re, "^b.b$"}}`), yes("expression within", `{user, {re, "o"}}`), no("another expression", `{user, {re, "^o"}}`),
		no("a name is no pattern", `{user, "b*"}`), yes("escape", `{user, {re, "^\\w+$"}}`),
		yes("client", `{client, "c1"}`), yes("clientid", `{clientid, {re, "^c[0-9]$"}}`), no("another client", `{clientid, "c2"}`),
		yes("address", `{ipaddr, "10.1.2.3"}`), yes("network", `{ipaddr, "10.9.9.9/8"}`), no("another network", `{ipaddr, "10.2.0.0/16"}`),
		yes("networks", `{ipaddrs, ["::1", "10.1.0.0/16"]}`), no("other networks", `{ipaddrs, ["::1", "192.0.2.0/24"]}`),
		yes("listener", `{listener, "factory"}`), yes("listener by expression", `{listener, {re, "^fac"}}`), no("another listener", `{listener, "tcp:default"}`),
		yes("and", `{'and', [{user, "bob"}, {ipaddr, "10.0.0.0/8"}]}`), no("and, in part", `{'and', [{user, "bob"}, {client, "c2"}]}`),
		no("and, of two names", `{'and', [{user, "bob"}, {user, "eve"}]}`),
		yes("or", `{'or', [{user, "eve"}, {client, "c1"}]}`), no("or, neither", `{'or', [{user, "eve"}, {client, "c2"}]}`),
		yes("and of or", `{'and', [{'or', [{user, "eve"}, {user, "bob"}]}, {'or', [{client, "c1"}, {client, "c2"}]}]}`),
		no("and of or, in part", `{'and', [{'or', [{user, "eve"}, {user, "bob"}]}, {'or', [{client, "c3"}, {client, "c2"}]}]}`),
		yes("or of and", `{'or', [{'and', [{user, "eve"}, {client, "c1"}]}, {'and', [{user, "bob"}, {client, "c1"}]}]}`),
		no("or of and, crossed", `{'or', [{'and', [{user, "eve"}, {client, "c1"}]}, {'and', [{user, "bob"}, {client, "c2"}]}]}`),
		{"a deny for one of two", `{deny, {'or', [{user, "eve"}, {user, "bob"}]}, all, ["a"]}. {allow, all}.`, "publish b; receive b", "publish a; subscribe a; receive a"},
		{"the first that matches", `{allow, {user, "bob"}, all, ["a"]}. {deny, all}. {allow, all}.`, "publish a; subscribe a; receive a", "publish b; subscribe b; receive b"},
	} {
		tt.run(t)
	}
}

// TestActions: the same page, the third position, and EMQX's change feat-11132
// (QoS and retain).
func TestActions(t *testing.T) {
	for _, tt := range []table{
		{"publish", `{allow, all, publish, ["a"]}.`, "publish0 a; publish2r a", "subscribe a; receive a"},
		{"subscribe", `{allow, all, subscribe, ["a"]}.`, "subscribe0 a; subscribe2 a; receive a; receive2 a", "publish a"},
		{"all", `{allow, all, all, ["a"]}.`, "publish1 a; subscribe a; receive a", "publish b"},
		{"QoS", `{allow, all, {publish, [{qos, 1}]}, ["a"]}.`, "publish1 a; publish1r a", "publish0 a; publish2 a"},
		{"list of QoS", `{allow, all, {publish, [{qos, [0, 1]}]}, ["a"]}.`, "publish0 a; publish1 a", "publish2 a"},
		{"QoS twice", `{allow, all, {publish, [{qos, 0}, {qos, 1}]}, ["a"]}.`, "publish0 a; publish1 a", "publish2 a"},
		{"retain", `{allow, all, {publish, [{qos, 1}, {retain, false}]}, ["a"]}.`, "publish1 a", "publish1r a; publish0 a"},
		{"retained", `{allow, all, {publish, [{retain, true}]}, ["a"]}.`, "publish1r a", "publish1 a"},
		{"retain or not", `{allow, all, {publish, [{retain, all}]}, ["a"]}.`, "publish1r a; publish0 a", ""},
		{"QoS of a subscription, not of its messages", `{allow, all, {subscribe, [{qos, 1}]}, ["a"]}.`, "subscribe1 a; receive0 a; receive1 a", "subscribe0 a; subscribe2 a"},
		{"QoS that is denied", `{deny, all, {subscribe, [{qos, 2}]}, ["a"]}. {allow, all}.`, "subscribe1 a; receive2 a", "subscribe2 a"},
		{"all with options", `{allow, all, {all, [{qos, 0}, {retain, false}]}, ["a"]}.`, "publish0 a; subscribe0 a", "publish0r a; publish1 a; subscribe1 a"},
	} {
		tt.run(t)
	}
}

// TestTopics: the same page, the fourth position; how filters are compared:
// emqx_topic:match/2; topics that begin with $: emqx#15771.
func TestTopics(t *testing.T) {
	for _, tt := range []table{
		{"filter", `{allow, all, all, ["a/+", "b/#"]}.`, "publish a/x; subscribe a/+; subscribe b/#; subscribe b; receive b/c", "publish a/x/y; publish a; subscribe a/x/#; receive a/x/y"},
		{"# is one level for +", `{allow, all, subscribe, ["a/+"]}.`, "subscribe a/#; receive a/b", "subscribe a/b/#; subscribe #; receive a/b/c; receive a; subscribe $share/g/a/#"},
		{"and where it denies", `{deny, all, subscribe, ["a/+"]}. {allow, all}.`, "subscribe a; subscribe #; receive a/b/c", "subscribe a/#; subscribe $share/g/a/#; subscribe $queue/a/b; receive a/b"},
		{"a deny does not stop what is wider", `{deny, all, subscribe, ["a/secret"]}. {allow, all, subscribe, ["a/#"]}.`, "subscribe a/#; subscribe a/+; receive a/x", "subscribe a/secret; receive a/secret"},
		{"eq", `{deny, all, subscribe, [{eq, "#"}, "eq +/#"]}. {allow, all, all, ["#"]}.`, "subscribe a/#; subscribe +/+; receive a; publish a", "subscribe #; subscribe +/#; subscribe $queue/#"},
		{"eq that allows", `{allow, all, all, [{eq, "a/#"}]}.`, "subscribe a/#; receive a/b", "subscribe a/b; publish a/b; receive b"},
		{"eq of a name", `{deny, all, all, [{eq, "a"}]}. {allow, all}.`, "publish b", "publish a; subscribe a; receive a"},
		{"# is not $", `{allow, all, all, ["#"]}.`, "publish a; subscribe #; subscribe a/#; receive a", "publish $SYS/x; publish $delayed/5/$SYS/x; subscribe $SYS/#; receive $SYS/x; subscribe $queue/$SYS/#; subscribe $exclusive/$SYS/#; subscribe $queue/a"},
		{"+ is not $", `{allow, all, all, ["+/x"]}.`, "publish a/x", "publish $SYS/x; subscribe $SYS/x; receive $SYS/x"},
		{"all is $", `{allow, all, all, all}.`, "publish $SYS/x; subscribe $SYS/#; receive $SYS/x; subscribe #", ""},
		{"all in a list", `{allow, all, publish, ["a", all]}.`, "publish $SYS/x", "subscribe a"},
		{"allow all", `{allow, all}.`, "publish $SYS/x; subscribe $SYS/#; receive $SYS/x; subscribe #; subscribe $share/g/a", ""},
		{"deny all", `{deny, all}. {allow, all}.`, "", "publish $SYS/x; subscribe $SYS/#; receive $SYS/x; subscribe #; publish a"},
		{"clientid", `{allow, all, all, ["d/${clientid}/#"]}.`, "publish d/c1/x; publish $delayed/5/d/c1; subscribe d/c1/#; receive d/c1", "publish d/c2/x; subscribe d/+/#; receive d/c2"},
		{"username", `{allow, all, all, ["d/${username}"]}.`, "publish d/bob", "publish d/eve; publish d/${username}"},
		{"common name", `{allow, all, all, ["d/${cert_common_name}"]}.`, "publish d/plc7", "publish d/x"},
		{"shared", `{allow, all, subscribe, ["a/#"]}. {deny, all}.`, "subscribe $share/g/a/b; subscribe $share/g/a/#; subscribe $exclusive/a/b", "subscribe $share/g/b; subscribe $queue/a/b; subscribe $queue/b; subscribe $exclusive/b; publish $queue/a/b"},
		{"a queue by its name", `{allow, all, subscribe, ["$queue/a"]}.`, "subscribe $queue/a", "subscribe a; receive a"},
		{"shared that is denied", `{deny, all, all, ["a"]}. {allow, all}.`, "publish $delayed/5/b", "subscribe $share/g/a; subscribe $queue/a; subscribe $exclusive/a; publish $delayed/5/a"},
		{"the file that EMQX comes with", `
{allow, {username, {re, "^dashboard$"}}, subscribe, ["$SYS/#"]}.
{allow, {ipaddr, "127.0.0.1"}, all, ["$SYS/#", "#"]}.
{deny, all, subscribe, ["$SYS/#", {eq, "#"}, {eq, "+/#"}]}. %% all
{allow, all}.`, "publish a; subscribe a/#; receive a", "subscribe $SYS/#; subscribe #; subscribe +/#; receive $SYS/x"},
		{"nothing", `%% nothing`, "", "publish a; subscribe a; receive a"},
		{"nothing that matches", `{deny, all, publish, ["a"]}.`, "", "publish b; subscribe a"},
	} {
		tt.run(t)
	}
}

// TestMissing: a rule that allows and whose placeholder has no safe value does not
// match; one that denies is about any value.
func TestMissing(t *testing.T) {
	for _, s := range []*filters.Session{{ClientID: ""}, {ClientID: "+"}, {ClientID: "a/b"}} {
		if v := view(t, `{allow, all, all, ["d/${clientid}"]}.`, s); ask(t, v, "publish d/x") || ask(t, v, "subscribe d/+") {
			t.Errorf("%q: a missing value allows", s.ClientID)
		}
		v := view(t, `{deny, all, all, ["d/${clientid}", "e"]}. {allow, all}.`, s)
		for _, denied := range []string{"publish d/x", "subscribe d/x", "subscribe d/#", "receive d/x", "publish e"} {
			if ask(t, v, denied) {
				t.Errorf("%q: %s", s.ClientID, denied)
			}
		}
		if !ask(t, v, "publish d/x/y") || !ask(t, v, "publish f/x") {
			t.Errorf("%q: other topics are denied", s.ClientID)
		}
	}
	anonymous := &filters.Session{ClientID: "c1"}
	if v := view(t, `{allow, {user, {re, ""}}, publish, ["a"]}.`, anonymous); ask(t, v, "publish a") {
		t.Error("a client without a user name has any")
	}
}

func TestAttributes(t *testing.T) {
	s := bob()
	s.Identity.Claims = map[string]string{"client_attrs.site": "berlin"}
	v := view(t, `{allow, all, publish, ["${client_attrs.site}/#", "x/${client_attrs.line}"]}.`, s)
	if !ask(t, v, "publish berlin/a") || ask(t, v, "publish paris/a") || ask(t, v, "publish x/a") {
		t.Error("an attribute is not put in, or one that is missing is")
	}
}

func TestListeners(t *testing.T) {
	for acl, want := range map[string]bool{`factory`: true, `'factory'`: true, `"factory"`: true, `{re, "^fac"}`: true, `'tcp:default'`: false} {
		if v := view(t, `{allow, {listener, `+acl+`}, publish, ["a"]}.`, bob()); ask(t, v, "publish a") != want {
			t.Errorf("listener %s: want %v", acl, want)
		}
	}
}

// TestControl: all topics are not those that administer a Mosquitto.
func TestControl(t *testing.T) {
	control := []string{"publish $CONTROL/dynamic-security/v1", "subscribe $CONTROL/#", "subscribe $share/g/$CONTROL/+/v1", "receive $CONTROL/x"}
	for _, q := range control {
		if ask(t, view(t, `{allow, all}.`, bob()), q) {
			t.Errorf("%s: allowed", q)
		}
		if !ask(t, view(t, `{allow, {user, "bob"}, all, ["$CONTROL/#"]}.`, bob()), q) {
			t.Errorf("%s: denied where it is named", q)
		}
	}
}

// TestPlaces: decisions name the line, and warnings and rules come in order.
func TestPlaces(t *testing.T) {
	rules, warnings, err := ParseACL([]byte("%% x\n{allow, {listener, \"l\"},\n publish, [\"a\"]}.\n{deny, all, all, []}.\n"), "acl.conf")
	if err != nil || len(rules) != 2 || rules[1].Place != "acl.conf:2" {
		t.Errorf("%+v, %v", rules, err)
	}
	if len(warnings) != 2 || !strings.HasPrefix(warnings[0], "line 2: ") || !strings.HasPrefix(warnings[1], "line 4: ") {
		t.Errorf("%q", warnings)
	}
}

// TestErrors: nothing of a file that is wrong somewhere is applied.
func TestErrors(t *testing.T) {
	for acl, want := range map[string]string{
		`{allow, all`:                  "line 2: a comma or }",
		`{allow, all}`:                 "line 2: a full stop is missing",
		`{allow, all}.x`:               "line 2: a full stop is missing",
		`{allow all}.`:                 "line 2: a comma or }",
		`{allow, "all}.`:               "line 2: a string that does not end",
		"{allow, \"\xff\"}.":           "line 2: no UTF-8",
		`{reject, all}.`:               "line 2: wants allow or deny",
		`{allow, everybody}.`:          "line 2: wants all",
		`{allow, all, publish}.`:       "line 2: no rule",
		`allow.`:                       "line 2: no rule",
		`Allow.`:                       "line 2: unexpected 'A'",
		`{allow, all, pubsub, ["a"]}.`: "line 2: no action",
		`{allow, all, {publish, [{qos, 3}]}, []}.`:              "line 2: no QoS",
		`{allow, all, {publish, [{qos, []}]}, []}.`:             "line 2: no QoS",
		`{allow, all, {publish, [{qoS, 1}]}, []}.`:              "line 2: no option",
		`{allow, all, {publish, [retain]}, []}.`:                "line 2: no option",
		`{allow, all, {publish, [{retain, yes}]}, []}.`:         "line 2: no retain",
		`{allow, all, {subscribe, [{retain, true}]}, []}.`:      "line 2: no option",
		`{allow, all, {publish, 1}, []}.`:                       "line 2: wants a list of options",
		`{allow, {usr, "bob"}, all, ["a"]}.`:                    "line 2: no condition on clients: usr",
		`{allow, {user, bob}, all, ["a"]}.`:                     "line 2: no name",
		`{allow, {user, ""}, all, ["a"]}.`:                      "line 2: no name",
		`{allow, {user, {re, "("}}, all, ["a"]}.`:               "line 2: error parsing regexp",
		`{allow, {user, {re, "(?=a)"}}, all, ["a"]}.`:           "line 2: error parsing regexp",
		`{allow, {user, {re, "\d"}}, all, ["a"]}.`:              `line 2: no escape sequence: \d`,
		`{allow, {ipaddr, "10.0.0.0/33"}, all, ["a"]}.`:         "line 2: no network",
		`{allow, {ipaddr, "::ffff:10.0.0.1"}, all, ["a"]}.`:     "line 2: no network",
		`{allow, {ipaddrs, []}, all, ["a"]}.`:                   "line 2: ipaddrs wants",
		`{allow, {zone, "z"}, all, ["a"]}.`:                     "line 2: zone: clients have none",
		`{allow, {client_attr, "n", "v"}, all, ["a"]}.`:         "line 2: client_attr: clients have none",
		`{deny, {security_profile, legacy}, all, ["a"]}.`:       "line 2: security_profile: clients have none",
		`{allow, {'and', []}, all, ["a"]}.`:                     "line 2: 'and' wants a list",
		`{deny, {'or', []}, all, ["a"]}.`:                       "line 2: 'or' wants a list",
		`{allow, all, all, "a"}.`:                               "line 2: wants a list of topics",
		`{allow, all, all, [a]}.`:                               "line 2: no topic",
		`{allow, all, all, ["a/#/b"]}.`:                         "line 2: no topic filter",
		`{allow, all, all, [""]}.`:                              "line 2: ",
		`{allow, all, all, [{eq, "a#"}]}.`:                      "line 2: no topic filter",
		`{allow, all, all, [{eq, "${clientid}"}]}.`:             "line 2: eq takes placeholders",
		`{allow, all, all, ["${clientId}"]}.`:                   "line 2: no placeholder here: ${clientId}",
		`{allow, all, all, ["a/${clientid"]}.`:                  "line 2: no placeholder here",
		`{allow, all, all, ["a/${client_attrs.}"]}.`:            "line 2: no placeholder here",
		`{allow, all, all, ["a/${client_attrs.x"]}.`:            "line 2: no placeholder here",
		`{allow, all, all, ["a/%c"]}.`:                          "line 2: \"a/%c\": placeholders of EMQX 4",
		`{allow, all, all, ["$share/g/a"]}.`:                    "line 2: \"$share/g/a\": of a shared",
		`{allow, {ipaddr, "::ffff:10.0.0.0/104"}, all, ["a"]}.`: "line 2: no network",
		`[` + strings.Repeat("1,", maxTerms):                    "line 2: more than 1048576 terms",
		strings.Repeat("[", 40):                                 "line 2: nested deeper",
		`{allow, `:                                              "line 2: the file ends",
		`{deny, all, all, ["a""b"]}.`:                           "line 2: a comma is missing",
		`{deny, 99999999999, all, ["a"]}.`:                      "line 2: no number",
		`{allow, ` + strings.Repeat(`{'and', [{'or', [all, all, all, all, all, all, all, all, all, all]}, `, 4) + `all` + strings.Repeat("]}", 4) + `, all, ["a"]}.`: "line 2: more than 1000 alternatives",
	} {
		rules, _, err := ParseACL([]byte("{allow, all}.\n"+acl), "acl.conf")
		if err == nil || !strings.HasPrefix(err.Error(), want) || rules != nil {
			t.Errorf("%.300s: %v, %d rules", acl, err, len(rules))
		}
	}
}

// TestHalf: a file that is half written has at most the rules that are whole.
func TestHalf(t *testing.T) {
	const acl = "{allow, {user, \"b\\x{62}\"}, publish, [\"a\"]}.\n{deny, all}."
	for n := range len(acl) {
		rules, _, err := ParseACL([]byte(acl[:n]), "acl.conf")
		whole := strings.TrimSpace(acl[:n])
		if first, _, _ := strings.Cut(acl, "\n"); whole == "" || whole == first {
			continue
		}
		if err == nil || rules != nil {
			t.Errorf("%q: %d rules, %v", acl[:n], len(rules), err)
		}
	}
}

// TestEscapes: Erlang reference manual, "Data Types", "Escape Sequences".
func TestEscapes(t *testing.T) {
	for source, want := range map[string]string{`"\x41"`: "A", `"\x{e4}"`: "ä", `"\101"`: "A", `"\""`: `"`, `"\\"`: `\`, `"\s"`: " ", `"a%b"`: "a%b"} {
		terms, err := readTerms(source + ". %% end")
		if err != nil || len(terms) != 1 || terms[0].text != want {
			t.Errorf("%s: %+v, %v", source, terms, err)
		}
	}
	for _, source := range []string{`"\x"`, `"\xäb"`, `"\x{110000}"`, `"\x{d800}"`, `"\x{`, `"\q"`, `"\^a"`, `"\`} {
		if terms, err := readTerms(source + "."); err == nil {
			t.Errorf("%s: %+v", source, terms)
		}
	}
}

// FuzzACL: whatever is read compiles.
func FuzzACL(f *testing.F) {
	for _, seed := range []string{
		`{allow, all}.`, `{deny, {'or', [{user, "a"}, {'and', [{client, {re, "x"}}, {ipaddrs, ["::/0"]}]}]}, {all, [{qos, [0, 1]}, {retain, all}]}, ["a/${clientid}", {eq, "#"}, all]}.`,
		"%% c\n{allow, {listener, \"l\"}, subscribe, [\"+/\\x{41}\"]}.",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, _, err := ParseACL(data, "acl.conf")
		if err != nil {
			if rules != nil || !strings.HasPrefix(err.Error(), "line ") {
				t.Fatalf("%d rules, %v", len(rules), err)
			}
			return
		}
		p, err := authz.New(rules, authz.Options{})
		if err != nil {
			t.Fatal(err)
		}
		v := p.View(bob())
		v.Publish(noon, authz.Message{Topic: []byte("a/c1")})
		v.Subscribe(noon, []byte("$share/g/a/+"), 1)
		v.Receive(noon, authz.Message{Topic: []byte("a")})
	})
}
