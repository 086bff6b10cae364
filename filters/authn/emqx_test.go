package authn

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

var subject = ACLSubject{Username: "bob", ClientID: "c1", Listener: "mqtts", RemoteAddr: netip.MustParseAddr("::ffff:192.168.5.7")}

func TestParseACLObject(t *testing.T) {
	rule := func(name string, pub, sub bool, topics ...string) filters.Permission {
		return filters.Permission{Name: name, Publish: pub, Subscribe: sub, Topics: topics}
	}
	for _, test := range []struct {
		name, acl string
		want      []filters.Permission
	}{
		{
			"as documented",
			`{"pub":["p/${username}","eq lit/a"],"sub":["s/${clientid}","s2/#"],"all":["x/#"]}`,
			[]filters.Permission{
				rule("acl.pub[0]", true, false, "p/${username}"),
				rule("acl.pub[1]", true, false, "=lit/a"),
				rule("acl.sub[0]", false, true, "s/${clientid}"),
				rule("acl.sub[1]", false, true, "s2/#"),
				rule("acl.all[0]", true, true, "x/#"),
			},
		},
		{"nothing is allowed", ` {} `, nil},
		{"lists that are empty or null", `{"pub":[],"sub":null}`, nil},
		{"other keys", `{"comment":{"pub":["a"]},"pub":["b"]}`, []filters.Permission{rule("acl.pub[0]", true, false, "b")}},
		{
			"names of EMQX",
			`{"pub":["a/${cert_common_name}/${client_attrs.site}"]}`,
			[]filters.Permission{rule("acl.pub[0]", true, false, "a/${cert.cn}/${claims.client_attrs.site}")},
		},
		{"a literal filter", `{"sub":["eq a/#"]}`, []filters.Permission{rule("acl.sub[0]", false, true, "=a/#")}},
		{"a literal that looks like a template", `{"pub":["eq lit/${username}"]}`, []filters.Permission{rule("acl.pub[0]", true, false, "=lit/${$}{username}")}},
		{"a placeholder that is escaped", `{"pub":["${$}{username}"]}`, []filters.Permission{rule("acl.pub[0]", true, false, "${$}{username}")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := ParseACL(json.RawMessage(test.acl), subject)
			if err != nil {
				t.Fatal(err)
			}
			if !p.Closed || !reflect.DeepEqual(p.Rules, test.want) {
				t.Errorf("got %+v\nwant %+v, closed", p, test.want)
			}
		})
	}
}

func TestParseACLList(t *testing.T) {
	yes, no := true, false
	allow := func(change func(p *filters.Permission)) []filters.Permission {
		p := filters.Permission{Name: "acl[0]", Publish: true, Topics: []string{"t"}}
		change(&p)
		return []filters.Permission{p}
	}
	unchanged := func(*filters.Permission) {}
	// Each is what a rule that allows to publish to t has besides.
	for more, want := range map[string][]filters.Permission{
		``:                            allow(unchanged),
		`,"username":"x","other":{}`:  allow(unchanged),
		`,"topic":"u","topics":["v"]`: nil, // topic stands twice
		`,"qos":1`:                    allow(func(p *filters.Permission) { p.QoS = []packets.QoS{1} }),
		`,"qos":"1"`:                  allow(func(p *filters.Permission) { p.QoS = []packets.QoS{1} }),
		`,"qos":"0, 1"`:               allow(func(p *filters.Permission) { p.QoS = []packets.QoS{0, 1} }),
		"," + "\"qos\":[ 0,\t2\r\n]":  allow(func(p *filters.Permission) { p.QoS = []packets.QoS{0, 2} }),
		`,"qos":["0",2]`:              allow(func(p *filters.Permission) { p.QoS = []packets.QoS{0, 2} }),
		`,"qos":null`:                 allow(unchanged),
		`,"retain":true`:              allow(func(p *filters.Permission) { p.Retain = &yes }),
		`,"retain":1`:                 allow(func(p *filters.Permission) { p.Retain = &yes }),
		`,"retain":"true"`:            allow(func(p *filters.Permission) { p.Retain = &yes }),
		`,"retain":"1"`:               allow(func(p *filters.Permission) { p.Retain = &yes }),
		`,"retain":false`:             allow(func(p *filters.Permission) { p.Retain = &no }),
		`,"retain":0`:                 allow(func(p *filters.Permission) { p.Retain = &no }),
		`,"retain":"false"`:           allow(func(p *filters.Permission) { p.Retain = &no }),
		`,"retain":"0"`:               allow(func(p *filters.Permission) { p.Retain = &no }),
		`,"retain":"all"`:             allow(unchanged),
		`,"retain":null`:              allow(unchanged),

		`,"clientid_re":"^c[0-9]$"`:             allow(unchanged),
		`,"clientid_re":"^d"`:                   {},
		`,"username_re":"o"`:                    allow(unchanged),
		`,"username_re":"^o"`:                   {},
		`,"listener":"mqtts"`:                   allow(unchanged),
		`,"listener":"mqtt"`:                    {},
		`,"listener_re":"s$"`:                   allow(unchanged),
		`,"listener_re":"^s$"`:                  {},
		`,"ipaddr":"192.168.5.0/24"`:            allow(unchanged),
		`,"ipaddr":"192.168.5.9/24"`:            allow(unchanged),
		`,"ipaddr":"192.168.6.0/24"`:            {},
		`,"ipaddr":"192.168.5.7"`:               allow(unchanged),
		`,"ipaddr":"::ffff:192.168.5.7"`:        allow(unchanged),
		`,"ipaddr":"192.168.5.8"`:               {},
		`,"ipaddr":"fe80::/10"`:                 {},
		`,"listener":"mqtts","clientid_re":"x"`: {}, // all must hold

		`,"qos":3`: nil, `,"qos":[]`: nil, `,"qos":[3]`: nil, `,"qos":"0,3"`: nil, `,"qos":""`: nil, `,"qos":true`: nil,
		`,"qos":{}`: nil, `,"qos":[[1]]`: nil, `,"qos":"[1]"`: nil, `,"qos":1.5`: nil, `,"qos":[null]`: nil,
		`,"retain":""`: nil, `,"retain":"null"`: nil, `,"retain":2`: nil, `,"retain":"yes"`: nil, `,"retain":[true]`: nil,
		`,"clientid_re":"("`: nil, `,"username_re":"(?!a)"`: nil, `,"listener_re":"["`: nil, `,"clientid_re":1`: nil,
		`,"ipaddr":"192.168.5.0/33"`: nil, `,"ipaddr":"::ffff:192.168.5.0/120"`: nil, `,"ipaddr":""`: nil, `,"ipaddr":"host"`: nil,
		`,"zone":"z"`: nil, `,"zone_re":"z"`: nil, `,"zone":{}`: nil,
		`,"Permission":"deny"`: nil, `,"perMiſſion":"deny"`: nil,
	} {
		acl := `[{"permission":"allow","action":"publish","topic":"t"` + more + `}]`
		p, err := ParseACL(json.RawMessage(acl), subject)
		switch {
		case want == nil && err == nil:
			t.Errorf("%s: got %+v, want an error", acl, p)
		case want == nil:
		case err != nil:
			t.Errorf("%s: %v", acl, err)
		case p.Closed || !reflect.DeepEqual(p.Rules, want) && len(p.Rules)+len(want) > 0:
			t.Errorf("%s:\n got %+v\nwant %+v, open", acl, p, want)
		}
	}
}

// TestParseACLOrder: the first that matches decides, so that none may be lost,
// and each tells where it stands.
func TestParseACLOrder(t *testing.T) {
	p, err := ParseACL(json.RawMessage(`[
		{"permission":"allow","action":"pub","topic":"a","topics":["b"]},
		{"permission":"allow","action":"all","topic":"n","clientid_re":"nobody"},
		{"permission":"deny","action":"sub","topics":["b","eq c/#"]},
		{"permission":"allow","action":"all","topics":["eq x/${username}","d"]},
		{"permission":"allow","action":"subscribe","topic":"eq x/${username}"},
		{"permission":"deny","action":"all","topic":"#"}]`), subject)
	if err != nil {
		t.Fatal(err)
	}
	want := &filters.Permissions{Rules: []filters.Permission{
		{Name: "acl[0]", Publish: true, Topics: []string{"a"}},
		{Name: "acl[2]", Deny: true, Subscribe: true, Topics: []string{"b", "=c/#"}},
		{Name: "acl[3]", Publish: true, Subscribe: true, Topics: []string{"=x/${$}{username}", "d"}},
		{Name: "acl[4]", Subscribe: true, Topics: []string{"=x/${$}{username}"}},
		{Name: "acl[5]", Deny: true, Publish: true, Subscribe: true, Topics: []string{"#"}},
	}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v\nwant %+v", p, want)
	}
}

func TestParseACLRefuses(t *testing.T) {
	for _, acl := range []string{
		"", " ", "null", "true", "1", `"a"`, "{", "[", "[}", `{"pub":["a"]} {}`, `{"pub":["a"]}]`,
		`{"pub":"a"}`, `{"pub":[1]}`, `{"pub":[null]}`, `{"pub":[""]}`, `{"pub":["a"],"pub":["b"]}`, `{"pub":["a"],"Pub":[]}`,
		`{"pub":["a/#/b"]}`, `{"pub":["a+"]}`, `{"pub":["a/${nobody}"]}`, `{"pub":["a/${zone}"]}`, `{"pub":["a/${username"]}`,
		`{"pub":["eq "]}`, `{"pub":["eq a#"]}`, `{"pub":["=a"]}`, `{"pub":["a\u0000"]}`,
		`[null]`, `[1]`, `[[]]`, `[{}]`,
		`[{"action":"all","topic":"a"}]`, `[{"permission":"Allow","action":"all","topic":"a"}]`,
		`[{"permission":"allow","topic":"a"}]`, `[{"permission":"allow","action":"receive","topic":"a"}]`,
		`[{"permission":"allow","action":"all"}]`, `[{"permission":"allow","action":"all","topics":[]}]`,
		`[{"permission":"allow","action":"all","topics":"a"}]`, `[{"permission":"allow","action":"all","topic":["a"]}]`,
		`[{"permission":"allow","action":"all","topic":""}]`,
		`[{"permission":"allow","action":"all","topic":"a"},{"permission":"deny","action":"all","topic":"a+"}]`,
		// Not understood, even where its conditions do not hold.
		`[{"permission":"deny","action":"all","topic":"a+","clientid_re":"nobody"}]`,
		"[" + strings.Repeat(`{"permission":"allow","action":"all","topic":"a"},`, maxPermissions) + `{"permission":"deny","action":"all","topic":"#"}]`,
		`{"pub":[` + strings.Repeat(`"a",`, maxPermissions) + `"b"]}`,
		strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000),
	} {
		if p, err := ParseACL(json.RawMessage(acl), subject); err == nil {
			t.Errorf("%.100s: got %+v, want an error", acl, p)
		}
	}
}

// FuzzParseACL: whatever is accepted can be enforced as it stands.
func FuzzParseACL(f *testing.F) {
	for _, acl := range []string{
		`{"pub":["p/${username}","eq lit/a"],"sub":["s/${clientid}","s2/#"],"all":["x/#"]}`,
		`[{"permission":"allow","action":"publish","topic":"t/${clientid}"},
		  {"permission":"allow","action":"subscribe","topic":"eq t/1/#","qos":[1]},
		  {"permission":"deny","action":"publish","topics":["t/2"],"retain":true},
		  {"permission":"deny","action":"all","topic":"t/3","ipaddr":"192.168.5.0/24","clientid_re":"^c"}]`,
		`[{"permission":"allow","action":"all","topic":"$share/g/a","qos":"0,1","retain":"all"}]`,
	} {
		f.Add([]byte(acl))
	}
	f.Fuzz(func(t *testing.T, acl []byte) {
		p, err := ParseACL(acl, subject)
		if err != nil {
			if p != nil {
				t.Error("permissions along with an error")
			}
			return
		}
		if len(p.Rules) > maxPermissions || p.Closed != (strings.TrimSpace(string(acl))[0] == '{') {
			t.Errorf("%d rules, closed %v", len(p.Rules), p.Closed)
		}
		for _, r := range p.Rules {
			if err := enforceable(r, p.Closed); err != nil {
				t.Errorf("%+v: %v", r, err)
			}
		}
	})
}

func enforceable(r filters.Permission, closed bool) error {
	switch {
	case r.Name == "" || len(r.Topics) == 0 || r.Globs != nil || !r.Publish && !r.Subscribe:
		return fmt.Errorf("a rule about nothing")
	case r.Deny && closed:
		return fmt.Errorf("the object form denies nothing by itself")
	case slices.ContainsFunc(r.QoS, func(q packets.QoS) bool { return q > 2 }) || r.QoS != nil && len(r.QoS) == 0:
		return fmt.Errorf("QoS")
	}
	for _, topic := range r.Topics {
		literal, isLiteral := strings.CutPrefix(topic, "=")
		parsed, err := filters.ParseTemplate(literal)
		if err != nil {
			return err
		}
		if isLiteral && len(parsed.Placeholders()) > 0 {
			return fmt.Errorf("a literal with a placeholder: %q", topic)
		}
		text, ok := parsed.ExpandTopic(func(string) (string, bool) { return "v", true })
		if !ok || !topics.ValidFilter(text) {
			return fmt.Errorf("no filter: %q", topic)
		}
	}
	return nil
}

// TestParseACLWithoutID: a client without an identifier is assigned one that may be
// any: what is allowed to some is not, and what is denied to some is.
func TestParseACLWithoutID(t *testing.T) {
	nameless := subject
	nameless.ClientID = ""
	p, err := ParseACL(json.RawMessage(`[
		{"permission":"deny","action":"all","topic":"a","clientid_re":"^auto"},
		{"permission":"deny","action":"all","topic":"b","clientid_re":"^auto","username_re":"^nobody$"},
		{"permission":"allow","action":"all","topic":"c","clientid_re":""}]`), nameless)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Rules) != 1 || p.Rules[0].Name != "acl[0]" {
		t.Errorf("got %+v", p.Rules)
	}
}

// TestParseACLMany: a proof is no place for a whole policy.
func TestParseACLMany(t *testing.T) {
	const rule = `{"permission":"allow","action":"all","topic":"a"},`
	for n, ok := range map[int]bool{maxPermissions: true, maxPermissions + 1: false} {
		list := "[" + strings.TrimSuffix(strings.Repeat(rule, n), ",") + "]"
		object := `{"pub":[` + strings.TrimSuffix(strings.Repeat(`"a",`, n), ",") + "]}"
		for _, acl := range []string{list, object} {
			if _, err := ParseACL(json.RawMessage(acl), subject); (err == nil) != ok {
				t.Errorf("%d rules: %v", n, err)
			}
		}
	}
}
