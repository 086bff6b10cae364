// Package internal_test keeps the layout of the module: which folders there
// are, and which package may import which. It reads the imports of every file
// that is not a test; tests may import what they like.
package internal_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/mqttward/mqttward"

// folders are the top-level folders. A new one is a decision about the
// architecture, to be made here.
var folders = strings.Fields("bench cmd configs deploy docs e2e filters internal packets proxy ratelimit tools")

// builds are folders that building makes; they are not in the repository.
var builds = []string{"bin"}

// directions is the table of import directions; the first row that matches a
// package is its row. "*" stands for one path element, "..." for any path.
// The packages whose foreign column is empty are the leaves: they import the
// standard library and what the column ours names.
var directions = []struct{ pkg, ours, foreign string }{
	{"packets/topics", "", ""},
	{"packets", "packets/topics", ""},
	{"ratelimit", "", "github.com/gaissmai/bart"},
	{"filters", "packets packets/topics", ""},
	{"filters/authn", "filters packets packets/topics ratelimit", "..."},
	{"filters/authn/password", "filters filters/authn packets packets/topics ratelimit", "..."},
	{"filters/authn/*", "filters filters/authn packets packets/topics", "..."},
	{"filters/authz/*", "filters filters/authz packets packets/topics", "..."},
	{"filters/quota", "filters packets packets/topics ratelimit", "..."},
	{"filters/*", "filters packets packets/topics", "..."},
	{"proxy/backend", "packets", "..."},
	{"proxy", "filters packets proxy/backend internal/nonblock", "..."},
	{"configs", "", "..."},
	{"internal/pki", "", ""},
	{"internal/ocsp", "", "..."},
	{"internal/memnet", "", ""},
	{"internal/nonblock", "", "unsafe"},
	{"internal/mqtttest", "packets internal/memnet", "..."},
	{"internal/admin", "filters ratelimit", "..."},
	{"internal/handover", "configs", "..."},
	{"internal/demo", "configs internal/app internal/pki", "..."},
	{"internal/app", "...", "..."},
	{"cmd/*", "configs internal/...", "..."},
	{"bench", "...", "..."},
	{"bench/*", "...", "..."},
	{"e2e", "...", "..."},
}

func TestLayout(t *testing.T) {
	files, problems := check(t, os.DirFS(".."))
	for _, p := range problems {
		t.Error(p)
	}
	if files < 20 {
		t.Errorf("read %d files: this is not the whole module", files)
	}
}

// TestCheck shows the check one broken rule at a time.
func TestCheck(t *testing.T) {
	const ours = module + "/"
	tests := []struct {
		name, file string
		imports    []string
		problem    string // contained; "" for none
	}{
		{"a leaf imports the standard library", "packets/a.go", []string{"bytes", "unicode/utf8"}, ""},
		{"packets may import topics", "packets/a.go", []string{ours + "packets/topics"}, ""},
		{"topics imports nothing", "packets/topics/a.go", []string{ours + "packets"}, "packets/topics must not import packets"},
		{"a leaf imports no library", "packets/a.go", []string{"golang.org/x/time/rate"}, "packets must not import golang.org/x/time/rate"},
		{"filters stands below authn", "filters/a.go", []string{ours + "filters/authn"}, "filters must not import filters/authn"},
		{"a method imports authn", "filters/authn/jwt/a.go", []string{ours + "filters/authn", "github.com/golang-jwt/jwt/v5"}, ""},
		{"never another method", "filters/authn/jwt/a.go", []string{ours + "filters/authn/password"}, "filters/authn/jwt must not import"},
		{"never another filter", "filters/strict/a.go", []string{ours + "filters/authz"}, "filters/strict must not import filters/authz"},
		{"ratelimit looks prefixes up", "ratelimit/a.go", []string{"github.com/gaissmai/bart"}, ""},
		{"and imports no other library", "ratelimit/a.go", []string{"golang.org/x/time/rate"}, "ratelimit must not import golang.org/x/time/rate"},
		{"quota uses ratelimit", "filters/quota/a.go", []string{ours + "ratelimit"}, ""},
		{"no other filter does", "filters/authz/a.go", []string{ours + "ratelimit"}, "filters/authz must not import ratelimit"},
		{"the proxy knows no filter", "proxy/a.go", []string{ours + "filters/authz"}, "proxy must not import filters/authz"},
		{"nor the configuration", "proxy/a.go", []string{ours + "configs"}, "proxy must not import configs"},
		{"nor the metrics", "proxy/a.go", []string{ours + "internal/admin"}, "proxy must not import internal/admin"},
		{"the configuration knows nobody", "configs/a.go", []string{ours + "packets"}, "configs must not import packets"},
		{"app knows everything", "internal/app/a.go", []string{ours + "proxy", ours + "configs", ours + "filters/authn/password"}, ""},
		{"the command goes through app", "cmd/mqttward/a.go", []string{ours + "proxy"}, "cmd/mqttward must not import proxy"},
		{"nobody is unsafe", "internal/app/a.go", []string{"unsafe"}, "internal/app must not import unsafe"},
		{"but what reads descriptors", "internal/nonblock/a.go", []string{"unsafe"}, ""},
		{"nobody uses cgo", "internal/app/a.go", []string{"C"}, "internal/app must not import C"},
		{"tests are free", "packets/a_test.go", []string{ours + "internal/mqtttest", "example.com/x"}, ""},
		{"a package without a row", "proxy/tunnel/a.go", nil, "proxy/tunnel has no row"},
		{"code in the root", "a.go", nil, "the module's root has no row"},
		{"a new folder", "utils/README.md", nil, "utils is not one of the top-level folders"},
		{"what building makes", "bin/mqttward", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := check(t, fstest.MapFS{tt.file: {Data: source(tt.imports)}})
			got := strings.Join(problems, "\n")
			if (tt.problem == "") != (got == "") || !strings.Contains(got, tt.problem) {
				t.Errorf("problems %q, want %q", got, tt.problem)
			}
		})
	}
}

func TestCheckSkipsOtherModules(t *testing.T) {
	_, problems := check(t, fstest.MapFS{
		"tools/go.mod":      {},
		"tools/x/a.go":      {Data: source([]string{"unsafe"})},
		".git/a.go":         {},
		"e2e/testdata/a.go": {},
	})
	if len(problems) > 0 {
		t.Errorf("problems %q, want none", problems)
	}
}

func source(imports []string) []byte {
	src := []byte("package p\n")
	for _, name := range imports {
		src = fmt.Appendf(src, "import _ %q\n", name)
	}
	return src
}

// check reads the module in tree and returns how many files it read and what
// is wrong with them.
func check(t *testing.T, tree fs.FS) (files int, problems []string) {
	t.Helper()
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(tree, name):
			return fs.SkipDir
		case d.IsDir():
			if !strings.Contains(name, "/") && name != "." && !slices.Contains(folders, name) {
				problems = append(problems, name+" is not one of the top-level folders")
			}
			return nil
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		found, err := checkFile(tree, name)
		problems = append(problems, found...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, problems
}

// skipped tells whether the go command would not look into a folder, too.
func skipped(tree fs.FS, folder string) bool {
	base := path.Base(folder)
	if folder == "." {
		return false
	}
	if strings.HasPrefix(base, ".") || base == "testdata" || slices.Contains(builds, folder) {
		return true
	}
	_, err := fs.Stat(tree, path.Join(folder, "go.mod"))
	return err == nil
}

func checkFile(tree fs.FS, name string) (problems []string, err error) {
	pkg := path.Dir(name)
	ours, foreign, ok := row(pkg)
	if !ok {
		if pkg == "." {
			pkg = "the module's root"
		}
		return []string{fmt.Sprintf("%s: %s has no row in the table of import directions", name, pkg)}, nil
	}
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if short, allowed := judge(imported, ours, foreign); !allowed {
			problems = append(problems, fmt.Sprintf("%s: %s must not import %s", name, pkg, short))
		}
	}
	return problems, nil
}

func row(pkg string) (ours, foreign []string, ok bool) {
	for _, d := range directions {
		if matches(d.pkg, pkg) {
			return strings.Fields(d.ours), strings.Fields(d.foreign), true
		}
	}
	return nil, nil, false
}

// judge tells whether a package may import another, and returns the other's
// name as the table has it.
func judge(imported string, ours, foreign []string) (short string, allowed bool) {
	if imported == "unsafe" || imported == "C" {
		return imported, slices.Contains(foreign, imported)
	}
	if short, isOurs := strings.CutPrefix(imported, module+"/"); isOurs {
		return short, slices.ContainsFunc(ours, func(p string) bool { return matches(p, short) })
	}
	// Only the standard library's paths begin without a domain.
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return imported, true
	}
	return imported, slices.ContainsFunc(foreign, func(p string) bool { return matches(p, imported) })
}

func matches(pattern, name string) bool {
	if prefix, wild := strings.CutSuffix(pattern, "..."); wild {
		return strings.HasPrefix(name, prefix)
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
