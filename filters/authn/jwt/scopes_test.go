package jwt

import (
	"strings"
	"testing"
)

var scopesOf = Scopes{ResourceServer: "rabbitmq", Prefix: "rabbitmq.", Claim: "scope", VHost: "/"}

func TestScope(t *testing.T) {
	c := claims{"sub": "u1", "dotted": "a.b", "slash": "a/b", "star": "a*", "plus": "+", "hash": "#", "sys": "$SYS", "list": []any{"x"}, "o": map[string]any{"p": "in"}}
	for scope, want := range map[string]string{ // "": nothing is allowed
		"rabbitmq.read:*/*/*":                      "*",
		"rabbitmq.read:%2F/amq.topic/a.b.c":        "a/b/c",
		"rabbitmq.read:%2f/amq.topic/a.*":          "a/*",
		"rabbitmq.write:*/amq.*/x*y.z":             "x*y/z",
		"rabbitmq.read:*/*topic/*":                 "*",
		"rabbitmq.read:*/a*q*.to*c/k":              "k",
		"rabbitmq.read:{vhost}/amq.topic/k":        "k",
		"rabbitmq.write:*/*/u-{sub}.*":             "u-u1/*",
		"rabbitmq.write:*/*/{dotted}.x":            "a.b/x", // one level, as the claim is
		"rabbitmq.write:*/*/{o.p}":                 "in",
		"rabbitmq.write:*/*/a%20b":                 "a b",
		"rabbitmq.read:*/*":                        "", // not about topics
		"rabbitmq.read:*":                          "",
		"rabbitmq.read:":                           "",
		"rabbitmq.read":                            "",
		"rabbitmq.":                                "",
		"":                                         "",
		"read:*/*/*":                               "",
		"other.read:*/*/*":                         "",
		"rabbitmq.configure:*/*/*":                 "",
		"rabbitmq.tag:administrator":               "",
		"rabbitmq.READ:*/*/*":                      "",
		"rabbitmq.read:other/*/*":                  "",
		"rabbitmq.read:*/amq.direct/*":             "",
		"rabbitmq.read:*/amq.topic2/*":             "",
		"rabbitmq.read:*/amq.topic/a/b":            "",
		"rabbitmq.read:*/amq.topic/":               "",
		"rabbitmq.read:*/amq.topic/a%2Fb":          "", // no routing key of a topic
		"rabbitmq.read:*/amq.topic/a%2Ab":          "", // a star to the letter
		"rabbitmq.read:*/amq.topic/a%zz":           "",
		"rabbitmq.read:*/amq.topic/%2B":            "",
		"rabbitmq.read:*/amq.topic/#":              "",
		"rabbitmq.read:*/amq.topic/{sub":           "",
		"rabbitmq.read:*/amq.topic/{}":             "",
		"rabbitmq.read:*/amq.topic/{none}":         "",
		"rabbitmq.read:*/amq.topic/{list}":         "",
		"rabbitmq.read:*/amq.topic/{slash}":        "",
		"rabbitmq.read:*/amq.topic/{star}":         "",
		"rabbitmq.read:*/amq.topic/{plus}":         "",
		"rabbitmq.read:*/amq.topic/x{hash}":        "",
		"rabbitmq.read:*/amq.topic/{sys}.broker":   "",
		"rabbitmq.read:*/amq.topic/{vhost}":        "",
		"rabbitmq.read:*/{su*b}/k":                 "",
		"rabbitmq.read:aa*aa/amq.topic/overlapped": "",
	} {
		got, ok := scopesOf.permission(scope, c)
		glob := strings.Join(got.Globs, "|")
		if ok != (want != "") || glob != want {
			t.Errorf("%q: got %q, %v; want %q", scope, glob, ok, want)
		}
		if ok && (got.Publish != strings.Contains(scope, "write") || got.Subscribe == got.Publish) {
			t.Errorf("%q allows %+v", scope, got)
		}
	}
	short := Scopes{ResourceServer: "r", Prefix: "", Claim: "scope", VHost: "aaa"}
	if _, ok := short.permission("read:aa*aa/amq.topic/k", c); ok {
		t.Error("the head and the tail of a pattern share a letter")
	}
}

func TestScopes(t *testing.T) {
	for _, test := range []struct {
		name  string
		claim any
		rules int
		err   string
	}{
		{"text", "openid rabbitmq.read:*/*/a rabbitmq.write:*/*/b", 2, ""},
		{"list", []any{"openid", "rabbitmq.read:*/*/a"}, 1, ""},
		{"nothing of ours", "openid profile", 0, ""},
		{"number", 1, 0, "is no list"},
		{"too many", strings.Repeat("x ", maxScopes+1), 0, "is no list of at most 1000 scopes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := scopesOf.permissions(claims{"scope": test.claim})
			wants(t, err, test.err, "")
			if err == nil && (!p.Closed || len(p.Rules) != test.rules) {
				t.Errorf("got %+v", p)
			}
		})
	}
	if p, err := scopesOf.permissions(claims{}); err != nil || !p.Closed || p.Rules != nil {
		t.Errorf("no claim: %+v, %v", p, err)
	}
}

// Whatever a scope says, no glob holds what would mean more in a filter.
func FuzzScope(f *testing.F) {
	for _, seed := range []string{"rabbitmq.read:*/*/a.b", "rabbitmq.write:%2F/amq.topic/{sub}.*", "rabbitmq.read:*/{vhost}*/%", "{"} {
		f.Add(seed, "u")
	}
	f.Fuzz(func(t *testing.T, scope, sub string) {
		p, ok := scopesOf.permission(scope, claims{"sub": sub})
		if !ok {
			return
		}
		if len(p.Globs) != 1 || p.Globs[0] == "" || strings.ContainsAny(p.Globs[0], "+#\x00") || p.Publish == p.Subscribe {
			t.Errorf("%q: %+v", scope, p)
		}
	})
}
