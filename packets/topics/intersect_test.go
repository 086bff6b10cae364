package topics

import (
	"strings"
	"testing"
)

var intersectTests = []struct {
	a, b, want string // want: empty if they do not meet
}{
	{"a", "a", "a"},
	{"a", "b", ""},
	{"a", "+", "a"},
	{"+", "+", "+"},
	{"a/+", "+/b", "a/b"},
	{"a/+/c", "+/b/d", ""},
	{"a/+/c", "+/b/+", "a/b/c"},
	{"a/+/#", "+/b", "a/b"},
	{"#", "a/+", "a/+"},
	{"#", "#", "#"},
	{"#", "/#", "/#"},
	{"+/#", "#", "+/#"},
	{"+/#", "a", "a"}, // "#" is no level
	{"+/#", "a/b", "a/b"},
	{"+/#", "a/#", "a/#"},
	{"a/#", "a", "a"}, // the parent
	{"a/#", "+", "a"},
	{"a/#", "+/#", "a/#"},
	{"a/#", "a/b/#", "a/b/#"},
	{"a/#", "+/b/#", "a/b/#"},
	{"a/+", "a/#", "a/+"},
	{"a/+/#", "a/#", "a/+/#"},
	{"a/+/#", "a", ""},
	{"a/", "a/+", "a/"},
	{"a/", "a/#", "a/"},
	{"a/", "a/+/#", "a/"},
	{"a", "a/", ""},
	{"+/+", "/", "/"},
	{"+", "/#", ""}, // the empty name, which is none
	{"+", "/+", ""},
	{"#", "$SYS/#", ""},
	{"+/x", "$SYS/x", ""},
	{"$SYS/#", "$SYS/+/x", "$SYS/+/x"},
	{"$SYS/#", "$SYS", "$SYS"},
	{"$SYS/+", "$SYS/#", "$SYS/+"},
	{"a/#", "+/$SYS", "a/$SYS"}, // below the root "$" means nothing
}

func TestIntersect(t *testing.T) {
	for _, test := range intersectTests {
		for _, pair := range [][2]string{{test.a, test.b}, {test.b, test.a}} {
			got, ok := Intersect([]byte(pair[0]), pair[1])
			if got != test.want || ok != (test.want != "") {
				t.Errorf("Intersect(%q, %q) = %q, %v, want %q", pair[0], pair[1], got, ok, test.want)
			}
		}
	}
}

// TestIntersectExact compares Intersect, for all pairs of filters of up to three
// levels, with its definition over all names of up to four.
func TestIntersectExact(t *testing.T) {
	names := paths([]string{"", "a", "b", "z", "$"}, 4) // no filter says "z"
	filters := paths([]string{"", "a", "b", "$", "+"}, 3)
	for _, parent := range paths([]string{"", "a", "b", "$", "+"}, 2) {
		filters = append(filters, parent+"/#")
	}
	filters = append(filters, "#", "/#")

	matches := make(map[string][]bool)
	matched := func(filter string) []bool {
		if m, ok := matches[filter]; ok {
			return m
		}
		m := make([]bool, len(names))
		for j, name := range names {
			m[j] = referenceMatch(filter, name)
		}
		matches[filter] = m
		return m
	}
	for _, a := range filters {
		for _, b := range filters {
			got, ok := Intersect(a, b)
			ofA, ofB := matched(a), matched(b)
			if _, overlap := compare(ofA, ofB); ok != overlap {
				t.Errorf("Intersect(%q, %q) = %q, %v", a, b, got, ok)
				continue
			}
			if !ok {
				continue
			}
			for j, both := range matched(got) {
				if both != (ofA[j] && ofB[j]) {
					t.Errorf("Intersect(%q, %q) = %q, which is wrong about %q", a, b, got, names[j])
					break
				}
			}
		}
	}
}

// TestIntersectLength: names of more than 65,535 bytes do not exist.
func TestIntersectLength(t *testing.T) {
	half := strings.Repeat("x", maxLength/2)
	if got, ok := Intersect("+/"+half, half+"/+"); !ok || len(got) != maxLength {
		t.Errorf("%d bytes, %v", len(got), ok)
	}
	if got, ok := Intersect("+/"+half+"x", half+"/+"); ok {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzIntersect(f *testing.F) {
	for _, test := range intersectTests {
		f.Add(test.a, test.b, test.want)
	}
	f.Add("+/b/#", "a/+", "a/b")
	f.Fuzz(func(t *testing.T, a, b, name string) {
		got, ok := Intersect(a, b) // must end, whatever it is given
		if !ValidFilter(a) || !ValidFilter(b) || hasSharePrefix(a) || hasSharePrefix(b) {
			return
		}
		if back, same := Intersect(b, a); same != ok || len(back) > 0 && (!Covers(back, got) || !Covers(got, back)) {
			t.Errorf("Intersect(%q, %q) = %q, the other way round %q", a, b, got, back)
		}
		if !ok {
			if Overlaps(a, b) && len(a)+len(b) <= maxLength {
				t.Errorf("%q and %q overlap", a, b)
			}
			return
		}
		if !ValidFilter(got) || !Covers(a, got) || !Covers(b, got) {
			t.Errorf("Intersect(%q, %q) = %q", a, b, got)
		}
		if ValidName(name) && Match(got, name) != (Match(a, name) && Match(b, name)) {
			t.Errorf("Intersect(%q, %q) = %q, which is wrong about %q", a, b, got, name)
		}
	})
}
