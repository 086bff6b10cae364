package authn

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
)

func TestParseGroups(t *testing.T) {
	const text = `# who works where
line-a: plc-1 plc-2

foremen:anna  bob	carol
line-a: plc-3 plc-1
	# a comment behind blanks
empty:
` + "line-a: spiffe://plant/x\r\nfünf: anna"
	g, err := ParseGroups("groups", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string][]string{
		"plc-1": {"line-a"}, "plc-3": {"line-a"}, "bob": {"foremen"}, "anna": {"foremen", "fünf"},
		"spiffe://plant/x": {"line-a"}, "who": nil, "": nil, "#": nil,
	} {
		if got := g.Of(user); !slices.Equal(got, want) {
			t.Errorf("%s is in %q, want %q", user, got, want)
		}
	}
}

func TestParseGroupsMistakes(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"no colon", "a: b\nanna bob", `groups:2: no group: a line is "group: user user"`},
		{"no name", ": anna", `groups:1: no name of a group: ""`},
		{"blank in the name", "line a: anna", "groups:1: a blank in the name of a group: users stand behind the colon"},
		{"level", "a/b: anna", `groups:1: no name of a group: "a/b"`},
		{"wildcard", "+: anna\n#: a comment\na#: b", `groups:1: no name of a group: "+"` + "\n" + `groups:3: no name of a group: "a#"`},
		{"the broker's topics", "$SYS: anna", `groups:1: no name of a group: "$SYS"`},
		{"control character", "a\x00: anna", `groups:1: no name of a group: "a\x00"`},
		{"not UTF-8", "a\xff: anna", `groups:1: no name of a group: "a\xff"`},
		{"user with a wildcard", "a: anna +", `groups:1: no user name: "+"`},
		{"user with a control character", "a: an\x01na", `groups:1: no user name: "an\x01na"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, err := ParseGroups("groups", []byte(test.text))
			if err == nil || err.Error() != test.want || g != nil {
				t.Errorf("got %v, %v, want %s", g, err, test.want)
			}
		})
	}
}

func TestLoadGroupsBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "groups")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	line := "a: " + strings.Repeat("x", 1<<20-4) + "\n"
	write(strings.Repeat(line, maxGroupsFile>>20))
	if _, err := LoadGroups(path); err != nil {
		t.Error(err)
	}
	write(strings.Repeat(line, maxGroupsFile>>20) + "#")
	if _, err := LoadGroups(path); err == nil || !strings.HasSuffix(err.Error(), "groups: larger than 16 MiB") {
		t.Errorf("got %v", err)
	}
	write(strings.Repeat("bad\n", 200))
	if _, err := LoadGroups(path); err == nil || strings.Count(err.Error(), "\n") != maxGroupProblems {
		t.Errorf("got %v", err)
	}
	if _, err := LoadGroups(path + "x"); err == nil {
		t.Error("a file that is not there is read")
	}
}

// FuzzParseGroups: every name that comes out is safe in topics and logs, and what
// is read is what a reading line by line gives.
func FuzzParseGroups(f *testing.F) {
	for _, seed := range []string{"a: b c\n# d\n\na: e", "a:b:c", " : ", "a b: c", "a/b: c", "\xff: x", "a: +\r\n", "x\x00: y", "a:\tb\u0085c\u00a0d"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := ParseGroups("f", data)
		if (g == nil) == (err == nil) {
			t.Fatalf("%v, %v", g, err)
		}
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "f:") {
					t.Errorf("no place: %q", line)
				}
			}
			return
		}
		for user, groups := range g.of {
			if user == "" || !filters.PlainName(user) || strings.ContainsAny(user, " \t\r\n") {
				t.Errorf("user %q", user)
			}
			if !slices.IsSorted(groups) || len(slices.Compact(slices.Clone(groups))) != len(groups) {
				t.Errorf("groups %q", groups)
			}
			for _, group := range groups {
				if !GroupName(group) || !strings.Contains(string(data), group) {
					t.Errorf("group %q", group)
				}
			}
		}
	})
}
