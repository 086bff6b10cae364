package aws

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets"
)

var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

func device(id string) *filters.Session {
	return &filters.Session{
		Version: packets.V5, ClientID: id,
		Identity:   filters.Identity{Username: "bob"},
		RemoteAddr: netip.MustParseAddrPort("10.1.2.3:4000"),
		Certificate: &x509.Certificate{
			Subject: pkix.Name{CommonName: "plc7"}, DNSNames: []string{"plc7.example"},
			URIs: []*url.URL{{Scheme: "urn", Opaque: "plc7"}}, EmailAddresses: []string{"plc7@example.com"},
		},
	}
}

// arn writes topic/a for the whole of its name.
func arn(resource string) string { return "arn:aws:iot:eu-central-1:123456789012:" + resource }

// allow and deny are statements; resources are divided by spaces.
func allow(actions, resources string) string { return entry("Allow", actions, resources, "") }

func deny(actions, resources string) string { return entry("Deny", actions, resources, "") }

func entry(effect, actions, resources, condition string) string {
	quote := func(list string, with func(string) string) string {
		var all []string
		for _, s := range strings.Fields(list) {
			all = append(all, fmt.Sprintf("%q", with(s)))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return fmt.Sprintf(`{"Effect":%q,"Action":%s,"Resource":%s%s}`, effect,
		quote(actions, func(s string) string { return "iot:" + s }),
		quote(resources, func(s string) string {
			if s == "*" {
				return s
			}
			return arn(s)
		}), condition)
}

func document(statements ...string) string {
	return "{\"Version\":\"2012-10-17\",\n\"Statement\":[\n" + strings.Join(statements, ",\n") + "]}"
}

func view(t testing.TB, policy string, s *filters.Session) *authz.View {
	t.Helper()
	rules, _, err := ParsePolicy([]byte(policy), "policy.json")
	if err != nil {
		t.Fatalf("%s: %v", policy, err)
	}
	p, err := authz.New(rules, authz.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p.View(s)
}

// ask answers "publish t", "retain t", "subscribe f", "receive t", and "connect id"
// with "will", "persistent" or both behind it.
func ask(t testing.TB, v *authz.View, question string) bool {
	t.Helper()
	verb, topic, _ := strings.Cut(question, " ")
	m := authz.Message{Topic: []byte(topic), Retain: verb == "retain"}
	switch verb {
	case "publish", "retain":
		return v.Publish(noon, m).Allowed
	case "subscribe":
		return v.Subscribe(noon, m.Topic, 0).Allowed
	case "receive":
		return v.Receive(noon, m).Allowed
	case "connect":
		words := strings.Fields(topic)
		return v.Attempt(noon, authz.Attempt{
			ClientID: words[0], Will: strings.Contains(topic, "will"), Persistent: strings.Contains(topic, "persistent"),
		}).Allowed
	}
	t.Fatalf("no question: %s", question)
	return false
}

// TestPolicies: AWS IoT Core Developer Guide, by the pages that the names begin with.
func TestPolicies(t *testing.T) {
	attributes := func(operator, list string) string {
		return fmt.Sprintf(`{%q:{"iot:ConnectAttributes":[%s]}}`, operator, list)
	}
	source := func(operator string) string {
		return fmt.Sprintf(`{%q:{"aws:SourceIp":["10.0.0.0/8","::1"]}}`, operator)
	}
	const elsewhere = `{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`
	tests := []struct{ name, policy, yes, no string }{
		{
			"Actions: each alone", document(allow("Connect", "client/d1"), allow("Publish", "topic/a"), allow("Subscribe", "topicfilter/b"), allow("Receive", "topic/c")),
			"connect d1; publish a; subscribe b; receive c", "connect d2; publish b; publish c; subscribe a; subscribe c; receive a; receive b; retain a",
		},
		{"Actions: in any case", document(allow("pUBLISH", "topic/a")), "publish a", "publish b"},
		{"Actions: all", document(allow("*", "*")), "connect d1; publish a; retain a; subscribe #; receive $SYS/x; subscribe $share/g/a", "connect d1 will"},
		{"Actions: wildcards", document(allow("*Publish", "topic/a")), "publish a; retain a", "subscribe a; connect d1"},
		{"Actions: a resource of another type", document(allow("Publish Subscribe", "topic/a")), "publish a", "subscribe a"},
		{"Default deny", document(allow("Publish", "topic/x")), "publish x", "connect d1; publish a; subscribe a; receive a"},
		{"Evaluation: a deny counts wherever it stands", document(allow("*", "*"), deny("Publish", "topic/a/*")), "publish a; publish b; retain b; receive a/b", "publish a/b; retain a/b"},
		{"Evaluation: connect", document(allow("Connect", "*"), deny("Connect", "client/d2")), "connect d1", "connect d2"},
		{"Wildcards: any characters", document(allow("Publish", "topic/a/*/c topic/d?")), "publish a/b/c; publish a/b/b/c; publish a//c; publish dx", "publish a/c; publish d; publish dxx"},
		{"Wildcards: those of MQTT are themselves", document(allow("Subscribe", "topicfilter/a/+ topicfilter/b/#"), allow("Publish Receive", "topic/a/+")), "subscribe a/+; subscribe b/#", "subscribe a/b; subscribe b/c; subscribe b; subscribe a/#; publish a/b; receive a/b"},
		{"Wildcards: a topic filter is compared as text", document(allow("Subscribe", "topicfilter/a/*")), "subscribe a/#; subscribe a/+/b; subscribe a/b", "subscribe a; subscribe #; subscribe +/b"},
		{"Wildcards: a deny stops no wider filter", document(allow("Subscribe Receive", "topicfilter/a/* topic/a/*"), deny("Subscribe", "topicfilter/a/restricted/*")), "subscribe a/#; subscribe a/+/x; receive a/restricted/x", "subscribe a/restricted/#; subscribe a/restricted/x"},
		{"Wildcards: but a deny to receive does", document(allow("Subscribe Receive", "*"), deny("Receive", "topic/a/restricted/*")), "subscribe a/#; receive a/x", "receive a/restricted/x"},
		{"Receive: not implied", document(allow("Subscribe", "*")), "subscribe a", "receive a"},
		{"Shared subscriptions: named whole", document(allow("Subscribe", "topicfilter/$share/g/a")), "subscribe $share/g/a", "subscribe a; subscribe $share/h/a"},
		{"Shared subscriptions: not by the filter within", document(allow("Subscribe", "topicfilter/a")), "subscribe a", "subscribe $share/g/a"},
		{"Retained: needs both", document(allow("Publish", "topic/a/*"), allow("RetainPublish", "topic/*/x")), "publish a/y; retain a/x", "retain a/y; retain b/x; publish b/x"},
		{"Retained: not alone", document(allow("RetainPublish", "topic/a")), "", "retain a; publish a"},
		{"Retained: denied", document(allow("Publish RetainPublish", "*"), deny("RetainPublish", "topic/a")), "publish a; retain b", "retain a"},
		{"Retained: of both conditions", document(entry("Allow", "Publish", "*", source("IpAddress")), entry("Allow", "RetainPublish", "*", source("NotIpAddress"))), "publish a", "retain a"},
		{"Retained: of the condition on publishing", document(entry("Allow", "Publish", "topic/a", elsewhere), entry("Allow", "Publish", "topic/b", source("NotIpAddress")), allow("RetainPublish", "*")), "", "retain a; retain b; publish a"},
		{"Conditions: another address", document(entry("Allow", "Publish", "topic/a", elsewhere)), "", "publish a"},
		{"Will: needs the condition", document(allow("Connect", "*")), "connect d1; connect d1 persistent", "connect d1 will; connect d1 will persistent"},
		{"Will: has the condition", document(entry("Allow", "Connect", "client/d1", attributes("ForAllValues:StringEquals", `"LastWill"`))), "connect d1; connect d1 will", "connect d2 will; connect d1 will persistent; connect d1 persistent"},
		{"Will: and a persistent session", document(entry("Allow", "Connect", "*", attributes("ForAllValues:StringEquals", `"LastWill","PersistentConnect"`))), "connect d1; connect d1 will; connect d1 will persistent; connect d1 persistent", ""},
		{"Connect: all but persistent sessions", document(entry("Allow", "Connect", "*", attributes("ForAllValues:StringNotEquals", `"PersistentConnect"`))), "connect d1; connect d1 will", "connect d1 persistent; connect d1 will persistent"},
		{"Connect: persistent sessions denied", document(allow("Connect", "*"), entry("Deny", "Connect", "*", attributes("ForAnyValue:StringEquals", `"PersistentConnect"`))), "connect d1", "connect d1 persistent"},
		{"Connect: default features", document(entry("Allow", "Connect", "*", attributes("ForAllValues:StringEquals", ""))), "connect d1", "connect d1 will; connect d1 persistent; connect d1 will persistent"},
		{"Connect: must have both", document(entry("Allow", "Connect", "*", attributes("ForAllValues:StringEquals", `"PersistentConnect","LastWill"`)), entry("Deny", "Connect", "*", attributes("ForAllValues:StringEquals", `"PersistentConnect"`)), entry("Deny", "Connect", "*", attributes("ForAllValues:StringEquals", `"LastWill"`)), entry("Deny", "Connect", "*", attributes("ForAllValues:StringEquals", ""))), "connect d1 will persistent", "connect d1; connect d1 will; connect d1 persistent"},
		{"Conditions: the address", document(entry("Allow", "Publish", "topic/a", source("IpAddress")), entry("Allow", "Publish", "topic/b", source("NotIpAddress"))), "publish a", "publish b"},
		{"Conditions: of a deny", document(allow("Publish", "*"), entry("Deny", "Publish", "topic/a", source("IpAddress")), entry("Deny", "Publish", "topic/b", source("NotIpAddress"))), "publish b", "publish a"},
		{
			"Variables", document(allow("Connect", "client/${iot:ClientId}"), allow("Publish", "topic/i/${iot:ClientId} topic/s/${aws:SourceIp} topic/c/${iot:Certificate.Subject.CommonName}"),
				allow("Publish", "topic/d/${iot:Certificate.Subject.AlternativeName.DNSName} topic/u/${iot:Certificate.Subject.AlternativeName.UniformResourceIdentifier} topic/e/${iot:Certificate.Subject.AlternativeName.RFC822Name} topic/x${$}y")),
			"connect d1; publish i/d1; publish s/10.1.2.3; publish c/plc7; publish d/plc7.example; publish u/urn:plc7; publish e/plc7@example.com; publish x$y", "publish i/d2; publish i/${iot:ClientId}; publish c/x",
		},
	}
	for _, tt := range tests {
		v := view(t, tt.policy, device("d1"))
		for want, questions := range map[bool]string{true: tt.yes, false: tt.no} {
			for q := range strings.SplitSeq(questions, ";") {
				if q = strings.TrimSpace(q); q != "" && ask(t, v, q) != want {
					t.Errorf("%s: %s: %v", tt.name, q, !want)
				}
			}
		}
	}
}

// TestUnsafeValues: "X.509 Certificate AWS IoT Core policy variables": a value with
// one of * $ + ? # is not put in.
func TestUnsafeValues(t *testing.T) {
	for _, id := range []string{"*", "?1", "d$1", "+", "#", "", "a/b"} {
		v := view(t, document(allow("Publish", "topic/${iot:ClientId} topic/b")), device(id))
		for _, topic := range []string{id, "d1", "x", "${iot:ClientId}"} {
			if ask(t, v, "publish "+topic) {
				t.Errorf("%q may publish to %s", id, topic)
			}
		}
		if !ask(t, v, "publish b") {
			t.Errorf("%q: what needs no value is void", id)
		}
		v = view(t, document(allow("Publish", "*"), deny("Publish", "topic/s/${iot:ClientId}")), device(id))
		if ask(t, v, "publish s/"+id) || !ask(t, v, "publish x") {
			t.Errorf("%q gets out from under a deny", id)
		}
	}
}

func TestPlaces(t *testing.T) {
	policy := document(allow("Connect GetRetainedMessage", "client/d1"), allow("Publish", "topicfilter/a"), deny("Publish", "topic/a thing/x"))
	rules, warnings, err := ParsePolicy([]byte(policy), "policy.json")
	if err != nil || len(rules) != 4 || rules[1].Place != "policy.json:5" || rules[2].Place != "policy.json:3" || rules[3].Place != "policy.json:1" {
		t.Errorf("%+v, %v", rules, err)
	}
	for i, want := range []string{"line 3: iot:GetRetainedMessage", "line 4: the statement is about nothing", "line 5: thing"} {
		if len(warnings) != 3 || !strings.HasPrefix(warnings[i], want) {
			t.Errorf("%q, want %s", warnings, want)
		}
	}
}

// TestErrors: nothing of a file that is wrong somewhere is applied.
func TestErrors(t *testing.T) {
	good := allow("Connect", "*")
	with := func(condition string) string { return document(good, entry("Allow", "Connect", "*", condition)) }
	for policy, want := range map[string]string{
		"":                      "line 1: no JSON",
		"[]":                    "line 1: no policy",
		"{\n\"a":                "line 2: no JSON",
		document(good) + "\n{}": "line 4: more behind",
		`{"Version":"2012-10-17",` + "\n" + `"Version":"2012-10-17"}`:                    `line 2: "Version" comes twice`,
		document(good, strings.Replace(good, `"Effect"`, `"Effect":"Deny","Effect"`, 1)): `line 4: "Effect" comes twice`,
		document(good, strings.Replace(good, `"Resource"`, `"NotResource"`, 1)):          `line 4: no element of a statement here: "NotResource"`,
		document(good, strings.Replace(good, `"Action"`, `"NotAction"`, 1)):              `line 4: no element of a statement here: "NotAction"`,
		document(good, strings.Replace(good, `"Action"`, `"action"`, 1)):                 `line 4: no element of a statement here: "action"`,
		document(good, strings.Replace(good, `"Allow"`, `"allow"`, 1)):                   "line 4: Effect",
		document(good, strings.Replace(good, `"Effect":"Allow",`, ``, 1)):                "line 4: Effect",
		document(good, `{"Effect":"Allow","Action":"iot:Connect"}`):                      "line 4: no Resource",
		document(good, `{"Effect":"Allow","Resource":"*"}`):                              "line 4: no Action",
		document(good, `{"Effect":"Allow","Resource":"*","Action":[]}`):                  "line 4: wants a string",
		document(good, `{"Effect":"Allow","Resource":[1],"Action":"iot:Connect"}`):       "line 4: wants a string",
		document(good, `1`):                  "line 4: no statement",
		document(good, allow("Publsh", "*")): `line 4: no action of AWS IoT Core: "iot:Publsh"`,
		document(good, `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`):           "line 4: no action",
		document(good, allow("Publish", "topik/a")):                                           "line 4: no type of a resource",
		document(good, allow("Publish", "topic*")):                                            "line 4: no type of a resource",
		document(good, allow("Publish", "topic/")):                                            "line 4: no name of a resource",
		document(good, `{"Effect":"Allow","Action":"iot:Publish","Resource":"topic/a"}`):      "line 4: no resource",
		document(good, `{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:r:a:topic/a"}`): "line 4: no resource",
		document(good, allow("Publish", "topic/${iot:Connection.Thing.ThingName}")):           "line 4: no policy variable here: ${iot:Connection.Thing.ThingName}",
		document(good, allow("Publish", "topic/${iot:ClientId")):                              "line 4: no policy variable here",
		document(good, allow("Publish", "topic/${username}")):                                 "line 4: no policy variable here",
		document(): "line 1: Statement",
		with(`{}`): "line 4: no Condition",
		with(`{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}`):               "line 4: no condition here: Bool",
		with(`{"IpAddress":{"aws:VpcSourceIp":"10.0.0.0/8"}}`):                    "line 4: no condition here",
		with(`{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}`):                      "line 4: no network",
		with(`{"IpAddress":{"aws:SourceIp":"::ffff:10.0.0.0/104"}}`):              "line 4: no network",
		with(`{"IpAddress":{}}`):                                                  "line 4: IpAddress wants an object",
		with(`{"IpAddress":{"aws:SourceIp":[]}}`):                                 "line 4: wants a string",
		with(`{"StringEquals":{"iot:ConnectAttributes":[]}}`):                     "line 4: no condition here",
		with(`{"StringEquals":{"iot:ConnectAttributes":"LastWill"}}`):             "line 4: no condition here",
		with(`{"ForAllValues:StringEquals":{"iot:ConnectAttributes":"LastWil"}}`): "line 4: no attribute",
		with(`{"ForAllValues:StringEquals":{"iot:ConnectAttributes":"LastWill"},"ForAnyValue:StringEquals":{"iot:ConnectAttributes":"LastWill"}}`): "line 4: iot:ConnectAttributes may come once",
		document(good, entry("Allow", "Connect Publish", "*", `{"ForAllValues:StringEquals":{"iot:ConnectAttributes":"LastWill"}}`)):               "line 4: iot:ConnectAttributes is of iot:Connect only",
		strings.Replace(document(good), "2012-10-17", "2008-10-17", 1):                                                                             "line 1: Version",
		`{"Statement":[` + good + `]}`:                                  "line 1: Version",
		`{"Version":"2012-10-17"}`:                                      "line 1: Statement",
		`{"Version":"2012-10-17","Statment":[]}`:                        `line 1: no element of a policy: "Statment"`,
		document(good, strings.Repeat(`[`, 20)+strings.Repeat(`]`, 20)): "line 4: nested deeper",
		document(strings.Repeat(good+",", 1000) + good):                 "line 2: more than 1000 statements",
		document("\xff"):                                                "line 1: the file is no UTF-8",
		document(good, `"\ud800"`):                                      "line 4: no character",

		document(good, allow("Publish RetainPublish", strings.Repeat("topic/a ", 101))): "line 4: more than 10000 pairs",
	} {
		rules, _, err := ParsePolicy([]byte(policy), "policy.json")
		if err == nil || !strings.HasPrefix(err.Error(), want) || rules != nil {
			t.Errorf("%.300s: %v, want %s; %d rules", policy, err, want, len(rules))
		}
	}
}

// TestHalf: a file that is half written gives nothing.
func TestHalf(t *testing.T) {
	policy := document(allow("Connect", "*"), deny("Publish", "topic/a"))
	for n := range len(policy) {
		if rules, _, err := ParsePolicy([]byte(policy[:n]), "policy.json"); err == nil || rules != nil {
			t.Errorf("%q: %d rules", policy[:n], len(rules))
		}
	}
}

// FuzzPolicy: whatever is read compiles.
func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{
		document(allow("*", "*")),
		document(entry("Deny", "Publish RetainPublish Receive", "topic/a/${iot:ClientId}/* topic/?", `{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`)),
		document(entry("Allow", "Connect", "client/${iot:ClientId}", `{"ForAllValues:StringEquals":{"iot:ConnectAttributes":["LastWill"]}}`)),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, _, err := ParsePolicy(data, "policy.json")
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
		v := p.View(device("d1"))
		v.Publish(noon, authz.Message{Topic: []byte("a/d1"), Retain: true})
		v.Subscribe(noon, []byte("$share/g/a/+"), 1)
		v.Connect(noon, "d1", true)
	})
}
