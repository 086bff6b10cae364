package e2e

import (
	"os"
	"strings"
	"testing"
)

// recipe returns the piece of docs/authentication.md that follows the line
// "<!-- recipe: name -->", without its key authn: what settings.authn takes. Each
// pair of replace is a text of it, which must be there, and what stands in its
// place.
func recipe(t *testing.T, name string, replace ...string) string {
	t.Helper()
	docs, err := os.ReadFile("../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(docs), "<!-- recipe: "+name+" -->\n```yaml\nauthn:\n")
	text, _, closed := strings.Cut(after, "```\n")
	if !found || !closed {
		t.Fatalf("docs/authentication.md has no recipe %q", name)
	}
	for i := 0; i+1 < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("recipe %q does not hold %q:\n%s", name, replace[i], text)
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return "\n" + text
}
