package filters

import (
	"strings"
	"testing"
)

func TestClientIDsMatch(t *testing.T) {
	tests := []struct {
		pattern, user, id string
		want              bool
	}{
		{"${username}", "bob", "bob", true},
		{"${username}", "bob", "bob2", false},
		{"${username}", "bob", "", false},
		{"${username}", "", "", false},
		{"${username}-*", "bob", "bob-", true},
		{"${username}-*", "bob", "bob-7", true},
		{"${username}-*", "bob", "bob", false},
		{"${username}-*", "bob", "eve-bob-7", false},
		{"*-${username}", "bob", "7-bob", true},
		{"a*b*c", "bob", "a-b-c", true},
		{"a*b*c", "bob", "abc", true},
		{"a*b*c", "bob", "acb", false},
		{"a*b*bc", "bob", "abc", false},
		{"a*a", "bob", "a", false},
		{"*", "bob", "anything", true},
		{"**", "bob", "anything", true},
		{"fixed", "bob", "fixed", true},

		// A star in a name is no pattern, and a wildcard no name.
		{"${username}", "b*", "bob", false},
		{"${username}", "b*", "b*", true},
		{"${username}*", "+", "+1", false},
		{"${claims.none}*", "bob", "bob", false},
	}
	for _, tt := range tests {
		ids, err := ParseClientIDs([]string{tt.pattern})
		if err != nil {
			t.Fatal(err)
		}
		s := &Session{ClientID: tt.id, Identity: Identity{Username: tt.user}}
		if got := ids.Match(s); got != tt.want {
			t.Errorf("%q for %q under %q: %v", tt.id, tt.user, tt.pattern, got)
		}
	}
	if !ClientIDs(nil).Match(&Session{ClientID: "any"}) {
		t.Error("without templates any identifier is right")
	}
	if (ClientIDs{}).Match(&Session{ClientID: "any"}) {
		t.Error("an empty list allows one")
	}
}

func TestClientIDsAssign(t *testing.T) {
	tests := []struct {
		patterns []string
		prefix   string
		random   bool
		none     bool
	}{
		{nil, "auto-", true, false},
		{[]string{"${username}", "${username}-*"}, "bob-", true, false},
		{[]string{"${claims.none}-*", "x*y"}, "x", true, false},
		{[]string{"${claims.none}", "${username}"}, "bob", false, false},
		{[]string{"${claims.none}"}, "", false, true},
	}
	for _, tt := range tests {
		ids, err := ParseClientIDs(tt.patterns)
		if err != nil {
			t.Fatal(err)
		}
		s := &Session{Identity: Identity{Username: "bob"}}
		first, ok := ids.Assign(s)
		second, _ := ids.Assign(s)
		switch {
		case tt.none:
			if ok || first != "" {
				t.Errorf("%q: assigned %q", tt.patterns, first)
			}
			continue
		case !ok || !strings.HasPrefix(first, tt.prefix):
			t.Errorf("%q: assigned %q, %v", tt.patterns, first, ok)
		case tt.random == (first == second):
			t.Errorf("%q: assigned %q, then %q", tt.patterns, first, second)
		}
		s.ClientID = first
		if !ids.Match(s) {
			t.Errorf("%q: %q is assigned and does not match", tt.patterns, first)
		}
	}
}

func TestParseClientIDsErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"":             "empty template",
		"a-${clientid": "without a closing }",
		"${clientid}":  "would allow any",
		"x${user}*":    "unknown placeholder",
	} {
		_, err := ParseClientIDs([]string{"ok", pattern})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", pattern, err, want)
		}
	}
}
