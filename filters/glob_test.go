package filters_test

import (
	"testing"

	"github.com/mqttward/mqttward/filters"
)

func TestGlob(t *testing.T) {
	tests := []struct {
		pattern, value string
		want           bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"*", "a/b", true},
		{"a*", "a", true},
		{"a*", "ba", false},
		{"*a", "ba", true},
		{"*a", "ab", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*c", "axbxc", true},
		{"a*b*c", "acxbc", true},
		{"a*b*c", "abbcx", false},
		{"a*b*c", "acb", false},
		{"*ab*ab", "ab", false},
		{"*ab*ab", "aabab", true},
		{"**", "x", true},
		{"a**b", "ab", true},
		{"*a*", "bab", true},
		{"*a*", "bbb", false},
		{"[a]?", "[a]?", true}, // only "*" is special
		{"[a]?", "ab", false},
	}
	for _, tt := range tests {
		if got := filters.Glob(tt.pattern, tt.value); got != tt.want {
			t.Errorf("Glob(%q, %q) = %v", tt.pattern, tt.value, got)
		}
	}
}
