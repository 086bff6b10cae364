package e2e

import (
	"os"
	"path/filepath"
	"regexp"
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

// TestEveryRecipeIsRun: what the documentation offers to copy is what tests run.
func TestEveryRecipeIsRun(t *testing.T) {
	docs, err := os.ReadFile("../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	recipes := regexp.MustCompile(`<!-- recipe: (\S+) -->`).FindAllStringSubmatch(string(docs), -1)
	if len(recipes) < 10 {
		t.Fatalf("%d recipes: this is not the whole documentation", len(recipes))
	}
	for _, r := range recipes {
		used := regexp.MustCompile(`(?:recipe|authn|[a-z]+Method)\([^\n]*"` + r[1] + `"`)
		if !used.MatchString(tests.String()) {
			t.Errorf("no test runs the recipe %s", r[1])
		}
	}
}
