package topics

import (
	"strings"
	"testing"
)

var matchTests = []struct {
	filter, name string
	want         bool
}{
	// MQTT 5.0 section 4.7.1.2.
	{"sport/tennis/player1/#", "sport/tennis/player1", true},
	{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
	{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
	{"sport/#", "sport", true},
	{"sport/#", "sports", false},
	{"sport/#", "spor", false},
	{"#", "sport", true},
	{"#", "/", true},
	// Section 4.7.1.3.
	{"sport/tennis/+", "sport/tennis/player1", true},
	{"sport/tennis/+", "sport/tennis/player2", true},
	{"sport/tennis/+", "sport/tennis/player1/ranking", false},
	{"sport/+", "sport", false},
	{"sport/+", "sport/", true},
	{"+/+", "/finance", true},
	{"/+", "/finance", true},
	{"+", "/finance", false},
	{"+/tennis/#", "sport/tennis", true},
	{"+/tennis/#", "sport/tennis/a/b", true},
	{"sport/+/player1", "sport/tennis/player1", true},
	{"sport/+/player1", "sport//player1", true},
	{"sport/+/player1", "sport/player1", false},
	// Section 4.7.2: names that start with "$".
	{"#", "$SYS/monitor/Clients", false},
	{"+/monitor/Clients", "$SYS/monitor/Clients", false},
	{"+", "$SYS", false},
	{"+/#", "$SYS", false},
	{"$SYS/#", "$SYS/monitor/Clients", true},
	{"$SYS/#", "$SYS", true},
	{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
	{"$SYS/+/+", "$SYS/a/$b", true},
	{"a/+", "a/$b", true},
	{"/#", "/$SYS", true},
	// Section 4.7.3: case, leading and trailing slashes, empty levels.
	{"ACCOUNTS", "Accounts", false},
	{"/a", "a", false},
	{"a", "/a", false},
	{"a", "a/", false},
	{"a/", "a", false},
	{"/", "/", true},
	{"+", "/", false},
	{"+/+", "/", true},
	{"+/+/+", "/", false},
	{"a//b", "a//b", true},
	{"a//b", "a/b", false},
	{"a/+/b", "a//b", true},
	{"/#", "/", true},
	{"/#", "a", false},
	{"+/#", "a", true},
	{"+/#", "/", true},
	{"+/+/#", "a", false},
	{"a", "ab", false},
	{"ab", "a", false},
	{"a/b/c", "a/b/c", true},
	{"a/b/c", "a/b", false},
	// The share is for the caller to take out.
	{"$share/g/t", "t", false},
	// The empty name is not a name.
	{"#", "", false},
	{"+", "", false},
	{"/#", "", false},
}

func TestMatch(t *testing.T) {
	for _, test := range matchTests {
		if got := Match(test.filter, test.name); got != test.want {
			t.Errorf("Match(%q, %q) = %v", test.filter, test.name, got)
		}
		if got := Match([]byte(test.filter), []byte(test.name)); got != test.want {
			t.Errorf("Match([]byte(%q), []byte(%q)) = %v", test.filter, test.name, got)
		}
		if got := referenceMatch(test.filter, test.name); got != test.want {
			t.Errorf("the reference is wrong: %q, %q: %v", test.filter, test.name, got)
		}
	}
}

// TestDeep takes the deepest names there are, which overflowed the stack of
// brokers that recurse (CVE-2019-11779).
func TestDeep(t *testing.T) {
	slashes := strings.Repeat("/", 65535)
	pluses := strings.Repeat("+/", 32767) + "+"
	levels := strings.Repeat("/", 32767)
	tests := []struct {
		what      string
		got, want bool
	}{
		{"a valid name", ValidName(slashes), true},
		{"a valid filter", ValidFilter(pluses), true},
		{"slashes match themselves", Match(slashes, slashes), true},
		{"pluses match as many empty levels", Match(pluses, levels), true},
		{"pluses do not match fewer levels", Match(pluses, levels[1:]), false},
		{"# matches any depth", Match("#", slashes), true},
		{"pluses cover slashes", Covers(pluses, levels), true},
		{"slashes do not cover pluses", Covers(levels, pluses), false},
		{"pluses overlap slashes", Overlaps(pluses, levels), true},
		{"pluses do not overlap more levels", Overlaps(pluses, slashes), false},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: %v", test.what, test.got)
		}
	}
}

// referenceMatch is the specification, level by level, for valid arguments.
func referenceMatch(filter, name string) bool {
	levels, names := strings.Split(filter, "/"), strings.Split(name, "/")
	if name == "" || strings.HasPrefix(name, "$") && (levels[0] == "+" || levels[0] == "#") {
		return false
	}
	for i, level := range levels {
		if level == "#" {
			return true
		}
		if i == len(names) || level != "+" && level != names[i] {
			return false
		}
	}
	return len(levels) == len(names)
}

func FuzzMatch(f *testing.F) {
	for _, test := range matchTests {
		f.Add(test.filter, test.name)
	}
	f.Fuzz(func(t *testing.T, filter, name string) {
		got := Match(filter, name) // must end, whatever it is given
		if got != Match([]byte(filter), []byte(name)) {
			t.Errorf("Match(%q, %q) is not the same for bytes", filter, name)
		}
		if !ValidFilter(filter) || !ValidName(name) {
			return
		}
		if got != referenceMatch(filter, name) {
			t.Errorf("Match(%q, %q) = %v", filter, name, got)
		}
		// A name is the filter that matches it alone.
		if ValidFilter(name) && (Covers(filter, name) != got || Overlaps(filter, name) != got) {
			t.Errorf("Match(%q, %q) = %v, Covers and Overlaps differ", filter, name, got)
		}
	})
}
