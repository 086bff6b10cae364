package topics

import (
	"strings"
	"testing"
)

func TestValidName(t *testing.T) {
	tests := []struct {
		name string
		want bool
	}{
		{"a", true},
		{"/", true},
		{"a//b/", true},
		{"$SYS/broker/version", true},
		{"$share/g/t", true}, // a strange name, but a name
		{"Accounts payable", true},
		{"\ufeffa", true},
		{strings.Repeat("/", 65535), true},
		{strings.Repeat("/", 65536), false},
		{"", false},
		{"a\x00", false},
		{"+", false},
		{"a/+", false},
		{"a+", false},
		{"#", false},
		{"a/#", false},
		{"a#b", false},
	}
	for _, test := range tests {
		if got := ValidName(test.name); got != test.want {
			t.Errorf("ValidName(%.40q) = %v", test.name, got)
		}
		if got := ValidName([]byte(test.name)); got != test.want {
			t.Errorf("ValidName([]byte(%.40q)) = %v", test.name, got)
		}
	}
}

func TestValidFilter(t *testing.T) {
	tests := []struct {
		filter string
		want   bool
	}{
		{"a", true},
		{"/", true},
		{"#", true},
		{"+", true},
		{"+/+/#", true},
		{"/+", true},
		{"+/", true},
		{"sport/+/player1", true},
		{"sport/tennis/#", true},
		{"$SYS/#", true},
		{strings.Repeat("/", 65535), true},
		{strings.Repeat("/", 65536), false},
		{"", false},
		{"a\x00b", false},
		{"sport/tennis#", false},
		{"sport/tennis/#/ranking", false},
		{"#/", false},
		{"##", false},
		{"+#", false},
		{"sport+", false},
		{"+a", false},
		{"a/+b/c", false},
		{"++", false},

		{"$share", true}, // does not start with "$share/": an ordinary filter
		{"$shared/g", true},
		{"$share/g/t", true},
		{"$share/g//", true},
		{"$share/g/#", true},
		{"$share/g/+/t", true},
		{"$share/g/$SYS/#", true},
		{"$share/g/$share", true},
		{"$share/", false},
		{"$share/g", false},
		{"$share/g/", false},
		{"$share//", false},
		{"$share//t", false},
		{"$share/+/t", false},
		{"$share/#", false},
		{"$share/#/t", false},
		{"$share/g+/t", false},
		{"$share/g\x00/t", false},
		{"$share/g/t#", false},
		{"$share/g/t+/x", false},
		{"$share/g/t\x00", false},
		{"$share/g/$share/h/t", false},
		{"$share/g/$share/h", false},
		{"$share/g/" + strings.Repeat("a", 65535-9), true},
		{"$share/g/" + strings.Repeat("a", 65535-8), false},
	}
	for _, test := range tests {
		if got := ValidFilter(test.filter); got != test.want {
			t.Errorf("ValidFilter(%.40q) = %v", test.filter, got)
		}
		if got := ValidFilter([]byte(test.filter)); got != test.want {
			t.Errorf("ValidFilter([]byte(%.40q)) = %v", test.filter, got)
		}
	}
}

func TestShare(t *testing.T) {
	tests := []struct {
		filter, group, rest string
		shared              bool
	}{
		{"$share/g/t", "g", "t", true},
		{"$share/g/a/+/#", "g", "a/+/#", true},
		{"$share/g//a", "g", "/a", true},
		{"$share/g/$SYS/#", "g", "$SYS/#", true},
		{"$share/a b/#", "a b", "#", true},
		{"", "", "", false},
		{"t", "", "t", false},
		{"$share", "", "$share", false},
		{"$share/", "", "$share/", false},
		{"$share/g", "", "$share/g", false},
		{"$share/g/", "", "$share/g/", false},
		{"$share//t", "", "$share//t", false},
		{"$SHARE/g/t", "", "$SHARE/g/t", false},
		{"$shared/g/t", "", "$shared/g/t", false},
	}
	for _, test := range tests {
		group, rest, shared := Share(test.filter)
		if group != test.group || rest != test.rest || shared != test.shared {
			t.Errorf("Share(%q) = %q, %q, %v", test.filter, group, rest, shared)
		}
		g, r, shared := Share([]byte(test.filter))
		if string(g) != test.group || string(r) != test.rest || shared != test.shared {
			t.Errorf("Share([]byte(%q)) = %q, %q, %v", test.filter, g, r, shared)
		}
	}
}

func FuzzValid(f *testing.F) {
	f.Add("a/+/#")
	f.Add("$share/g/#")
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := ValidName(s), referenceValid(s) && !strings.ContainsAny(s, "+#"); got != want {
			t.Errorf("ValidName(%q) = %v", s, got)
		}
		want := referenceValid(s)
		if inner, shared := strings.CutPrefix(s, "$share/"); shared {
			group, rest, _ := strings.Cut(inner, "/")
			want = want && group != "" && !strings.ContainsAny(group, "+#") &&
				rest != "" && referenceValid(rest) && !strings.HasPrefix(rest, "$share/")
		}
		if got := ValidFilter(s); got != want {
			t.Errorf("ValidFilter(%q) = %v", s, got)
		}
	})
}

// referenceValid is the grammar of filters without shares, level by level.
func referenceValid(filter string) bool {
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if level == "#" && i < len(levels)-1 || len(level) > 1 && strings.ContainsAny(level, "+#") {
			return false
		}
	}
	return filter != "" && len(filter) <= 65535 && !strings.Contains(filter, "\x00")
}
