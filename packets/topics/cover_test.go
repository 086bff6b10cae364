package topics

import (
	"strings"
	"testing"
)

var coverTests = []struct {
	grant, filter string
	want          bool
}{
	// Mosquitto's unit test.
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
	{"$SYS/+/#", "$SYS/uptime", true},
	{"$SYS/+", "$SYS/#", false},
	{"$SYS/+/a", "$SYS/a/+", false},
	{"+", "#", false},
	{"/#", "+", false},
	{"/+", "#", false},
	{"+", "+", true},
	{"/#", "/+", true},
	{"/+", "+", false},
	{"+/+", "topic/topic", true},
	{"+/+", "topic/topic/", false},
	{"a/b/c/d/+", "a/b/c/d/", true},
	{"a/b/c/d/", "a/b/c/d/+", false},
	// Our own.
	{"t/+", "t/#", false},
	{"t/+", "t/x/#", false},
	{"t/#", "t", true},
	{"t/#", "t/+/+", true},
	{"t/+/#", "t/#", false}, // "t"
	{"t/+/#", "t/+", true},
	{"t", "t/#", false},
	{"t/a", "t/+", false},
	{"+/#", "#", true},
	{"+/#", "+", true},
	{"+/+/#", "#", false},
	{"+/#", "$SYS/#", false},
	{"+/#", "$SYS", false},
	{"+", "$SYS", false},
	{"#", "$share/g/t", false},
	{"#", "+/t", true},
	{"/+/#", "/#", true}, // the parent would be the empty name
	{"+/+/#", "/#", true},
	{"/+/+/#", "/#", false},
	{"#", "/#", true},
	{"a", "", false},
	{"#", "", false},
}

func TestCovers(t *testing.T) {
	for _, test := range coverTests {
		if got := Covers(test.grant, test.filter); got != test.want {
			t.Errorf("Covers(%q, %q) = %v", test.grant, test.filter, got)
		}
		if got := Covers([]byte(test.grant), []byte(test.filter)); got != test.want {
			t.Errorf("Covers([]byte(%q), []byte(%q)) = %v", test.grant, test.filter, got)
		}
	}
}

func TestCoversShared(t *testing.T) {
	_, rest, shared := Share("$share/g/#")
	if !shared || !Covers("#", rest) {
		t.Error("# does not cover what is inside $share/g/#")
	}
	if _, rest, _ = Share("$share/g/$SYS/#"); Covers("#", rest) {
		t.Error("# covers what is inside $share/g/$SYS/#")
	}
}

var overlapTests = []struct {
	a, b string
	want bool
}{
	{"a/secret/#", "a/+/x", true},
	{"a/secret/#", "#", true},
	{"a/secret/#", "+/secret/x", true},
	{"a/secret/#", "+/secret", true},
	{"a/secret/#", "a/#", true},
	{"a/secret/#", "b/#", false},
	{"a/secret/#", "+", false},
	{"a/secret/#", "+/public/#", false},
	{"a", "a", true},
	{"a", "b", false},
	{"a", "a/", false},
	{"a", "a/#", true},
	{"a/", "a/#", true},
	{"a/", "a/+", true},
	{"a/", "a/+/#", true},
	{"a", "a/+/#", false},
	{"a", "a/+", false},
	{"a/+", "+/b", true},
	{"a/+/c", "+/b/d", false},
	{"+/b", "/#", true},
	{"+/+", "/", true},
	{"+", "/#", false}, // only in the empty name, which is not a name
	{"+", "/+", false},
	{"+", "+", true},
	{"#", "$SYS/#", false},
	{"+/x", "$SYS/x", false},
	{"$SYS/+", "$SYS/#", true},
	{"$SYS/#", "$SYS", true},
	{"#", "#", true},
	{"#", "/#", true},
}

func TestOverlaps(t *testing.T) {
	for _, test := range overlapTests {
		if got := Overlaps(test.a, test.b); got != test.want {
			t.Errorf("Overlaps(%q, %q) = %v", test.a, test.b, got)
		}
		if got := Overlaps([]byte(test.b), []byte(test.a)); got != test.want {
			t.Errorf("Overlaps([]byte(%q), []byte(%q)) = %v", test.b, test.a, got)
		}
	}
}

// TestExact compares Covers and Overlaps, for all pairs of filters of up to
// three levels, with their definitions over all names of up to four.
func TestExact(t *testing.T) {
	names := paths([]string{"", "a", "b", "z", "$"}, 4) // no filter says "z"
	filters := paths([]string{"", "a", "b", "$", "+"}, 3)
	for _, parent := range paths([]string{"", "a", "b", "$", "+"}, 2) {
		filters = append(filters, parent+"/#")
	}
	filters = append(filters, "#", "/#")

	matched := make([][]bool, len(filters))
	for i, filter := range filters {
		matched[i] = make([]bool, len(names))
		for j, name := range names {
			matched[i][j] = referenceMatch(filter, name)
		}
	}
	for i, a := range filters {
		for j, b := range filters {
			covers, overlaps := compare(matched[i], matched[j])
			if got := Covers(a, b); got != covers {
				t.Errorf("Covers(%q, %q) = %v", a, b, got)
			}
			if got := Overlaps(a, b); got != overlaps {
				t.Errorf("Overlaps(%q, %q) = %v", a, b, got)
			}
		}
	}
}

// compare reports whether a holds wherever b does, and whether both hold
// anywhere.
func compare(a, b []bool) (covers, overlaps bool) {
	covers = true
	for i := range b {
		covers = covers && (a[i] || !b[i])
		overlaps = overlaps || a[i] && b[i]
	}
	return covers, overlaps
}

// paths returns all topics of 1 to depth of the levels but the empty one.
func paths(levels []string, depth int) []string {
	var all []string
	last := levels
	for range depth {
		for _, path := range last {
			if path != "" {
				all = append(all, path)
			}
		}
		var next []string
		for _, parent := range last {
			for _, level := range levels {
				next = append(next, parent+"/"+level)
			}
		}
		last = next
	}
	return all
}

func FuzzCovers(f *testing.F) {
	for _, test := range coverTests {
		f.Add(test.grant, test.filter)
	}
	for _, test := range overlapTests {
		f.Add(test.a, test.b)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		covers, overlaps := Covers(a, b), Overlaps(a, b) // must end, whatever they are given
		if !ValidFilter(a) || !ValidFilter(b) {
			return
		}
		if want := referenceCovers(a, b); covers != want {
			t.Errorf("Covers(%q, %q) = %v", a, b, covers)
		}
		if overlaps != Overlaps(b, a) {
			t.Errorf("Overlaps(%q, %q) is not symmetric", a, b)
		}
		if covers && !overlaps {
			t.Errorf("%q covers %q, but they do not overlap", a, b)
		}
		if !Covers(a, a) || !Overlaps(a, a) {
			t.Errorf("%q does not cover or overlap itself", a)
		}
	})
}

// referenceCovers tries grant on the names that tell: filter with a word that
// grant does not have for "+", and for "#" nothing, one level, and more levels
// than grant has.
func referenceCovers(grant, filter string) bool {
	word := "w"
	for strings.Contains(grant, word) {
		word += "w"
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if level == "+" {
			levels[i] = word
		}
	}
	last := len(levels) - 1
	if levels[last] != "#" {
		return referenceMatch(grant, strings.Join(levels, "/"))
	}
	parent := strings.Join(levels[:last], "/")
	levels[last] = word
	child := strings.Join(levels, "/")
	deep := child + strings.Repeat("/"+word, strings.Count(grant, "/")+1)
	return (parent == "" || referenceMatch(grant, parent)) &&
		referenceMatch(grant, child) && referenceMatch(grant, deep)
}
