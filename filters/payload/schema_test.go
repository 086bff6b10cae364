package payload

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/packets"
)

// TestLoadSchema follows references to files beside and below, and nowhere else.
func TestLoadSchema(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret.json"), `{"type": "string"}`)
	dir := filepath.Join(t.TempDir(), "a b") // what a URL escapes
	for _, d := range []string{dir, filepath.Join(dir, "sub"), filepath.Join(dir, "folder.json")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(outside, "secret.json"), filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub/unit.json", filepath.Join(dir, "inside.json")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sub", "unit.json"), `{"enum": ["C", "F"]}`)
	write(t, filepath.Join(dir, "large.json"), `{"title": "`+strings.Repeat("a", maxSchema)+`"}`)

	ref := func(to string) string { return `{"properties": {"unit": {"$ref": "` + to + `"}}}` }
	tests := []struct {
		name, text string
		files      []string // beside schema.json
		err        string   // contained
	}{
		{"alone", temperature, nil, ""},
		{"an older draft", `{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}`, nil, ""},
		{"below", ref("sub/unit.json"), []string{"sub/unit.json"}, ""},
		{"a link that stays", ref("inside.json"), []string{"inside.json"}, ""},
		{"a link that leads out", ref("link.json"), []string{"link.json"}, "escapes"},
		{"above", ref("../../secret.json"), nil, "lies outside the folder of the configuration"},
		{"absolute", ref("file://" + filepath.ToSlash(filepath.Join(outside, "secret.json"))), nil, "lies outside the folder of the configuration"},
		{"another machine's file", ref("file://example.com/etc/passwd"), nil, "lies outside the folder of the configuration"},
		{"http", ref("http://127.0.0.1:1/unit.json"), nil, "nothing is fetched"},
		{"https", ref("https://example.com/unit.json"), nil, "nothing is fetched"},
		{"relative to $id", `{"$id": "https://example.com/a.json", "$ref": "sub/unit.json"}`, nil, "nothing is fetched"},
		{"another meta-schema", `{"$schema": "https://example.com/meta"}`, nil, "nothing is fetched"},
		{"missing", ref("sub/none.json"), []string{"sub/none.json"}, "no such file"},
		{"a folder", ref("folder.json"), []string{"folder.json"}, "is not a regular file"},
		{"too large", ref("large.json"), []string{"large.json"}, "is larger than 1048576 bytes"},
		{"no JSON", "{\n\"type\": \"object\",\n}", nil, "line 3"},
		{"two values", "{} {}", nil, "after top-level value"},
		{"no schema", `{"type": "nothing"}`, nil, "/type"},
		{"no pattern", `{"pattern": "("}`, nil, "regex"},
		{"empty", "", nil, "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, "schema.json")
			write(t, file, tt.text)
			s, files, err := LoadSchema(dir, file)
			switch {
			case tt.err == "" && err != nil:
				t.Error(err)
			case tt.err != "" && (err == nil || s != nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n")):
				t.Errorf("error %q, want one line with %q", err, tt.err)
			}
			want := []string{file}
			for _, name := range tt.files {
				want = append(want, filepath.Join(dir, name))
			}
			if !slices.Equal(files, want) {
				t.Errorf("files %q, want %q", files, want)
			}
		})
	}
	if _, _, err := LoadSchema(dir, filepath.Join(outside, "secret.json")); err == nil || !strings.Contains(err.Error(), "lies outside") {
		t.Errorf("a schema outside: %v", err)
	}
	if _, _, err := LoadSchema(filepath.Join(dir, "none"), filepath.Join(dir, "none", "a.json")); err == nil {
		t.Error("a folder that does not exist is no error")
	}
}

// TestSchemaAcrossFiles names the file whose keyword fails.
func TestSchemaAcrossFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.json"), `{"properties": {"unit": {"$ref": "b.json"}}}`)
	write(t, filepath.Join(dir, "b.json"), `{"enum": ["C", "F"]}`)
	s, _, err := LoadSchema(dir, filepath.Join(dir, "a.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.check(&document{text: []byte(`{"unit": "K"}`)}), `schema b.json#/enum fails at "/unit"`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestPlace: what a client chose of a rule is short and harms no terminal.
func TestPlace(t *testing.T) {
	tests := []struct {
		path []string
		want string
	}{
		{nil, `""`},
		{[]string{"a/b", "0", "~"}, `"/a~1b/0/~0"`},
		{[]string{"\x1b[2J\n"}, "\"/\ufffd[2J\ufffd\""},
		{[]string{strings.Repeat("ä", 100)}, `"/` + strings.Repeat("ä", 49) + `…"`},
		{slices.Repeat([]string{""}, 5000), `"` + strings.Repeat("/", 100) + `"`},
	}
	for _, tt := range tests {
		if got := place(tt.path); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestExpensive: JSON that is made to be slow to judge is refused, or is not slow.
func TestExpensive(t *testing.T) {
	s := schema(t, `{"items": {"type": "integer", "multipleOf": 3}, "uniqueItems": true, "maxItems": 5}`)
	f := filter(t, Check{Topics: []string{"a"}, Schema: s, Format: JSON})
	for _, payload := range []string{
		"[" + strings.Repeat("1e1000000,", 5000) + "1]",
		strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000),
		"[" + strings.Repeat("9", 60_000) + "]",
		"[" + strings.Repeat("7,", 30_000) + "7]",
	} {
		if v := judge(f, packets.V5, publish(t, packets.V5, 1, "a", payload, nil, 0)); string(v.Packet) != "\x40\x03\x00\x07\x99" || len(v.Rule) > 200 {
			t.Errorf("%.20s…: %+v", payload, v)
		}
	}
}
