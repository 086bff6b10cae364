package payload

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// FuzzPayload judges any payload by any schema: nothing panics, and what is
// refused is what a reference refuses that decodes with encoding/json and looks
// at the text alone for what decoding hides.
func FuzzPayload(f *testing.F) {
	for _, payload := range []string{
		`{"temp": 21.5, "unit": "C"}`, `{"temp": 151}`, `{"temp": "hot"}`, `{"temp": 1, "temp": 2}`, `{"a": {"a": 1}}`, `[1e500]`, `[1E-401, 0]`,
		`{"\u0061": 1, "a": 2}`, "\"\xff\"", "", "null", "{} {}", "[[[[]]]]", `"\ud800"`, "1.0", `{"unit": "\"e500"}`,
	} {
		f.Add([]byte(temperature), []byte(payload))
	}
	f.Add([]byte(`{"$ref": "#"}`), []byte("{}"))
	f.Add([]byte(`{"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}`), []byte("[[[]]]"))
	f.Add([]byte(`{"pattern": "^(a+)+$", "multipleOf": 0.1, "uniqueItems": true, "format": "date"}`), []byte(`[1, 1.0]`))
	f.Add([]byte("true"), []byte("1"))
	f.Add([]byte("false"), []byte("1"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, schema, payload []byte) {
		if len(schema) > 1<<10 || len(payload) > 4<<10 || bytes.Contains(schema, []byte("000000")) {
			t.Skip("a schema is the operator's: it may be slow")
		}
		file := filepath.Join(dir, "schema.json")
		if err := os.WriteFile(file, schema, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, err := LoadSchema(dir, file)
		if err != nil {
			t.Skip()
		}
		checks, err := New([]Check{{Topics: []string{"a"}, Format: JSON, Schema: s, MaxSize: MaxInside}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := packets.Parse(packets.AppendPublish(nil, packets.V311, 0, []byte("a"), 0, nil, payload, 0), packets.V311, packets.Client)
		if err != nil {
			t.Fatal(err)
		}
		v := judge(checks, packets.V311, p)
		want := wellFormed(payload) && valid(s, payload)
		if got := v.Action == filters.Forward; got != want {
			t.Errorf("schema %s, payload %q: goes on %v (%s), want %v", schema, payload, got, v.Rule, want)
		}
	})
}

// valid is what the schema says of the value that encoding/json makes of text.
func valid(s *Schema, text []byte) bool {
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	return err == nil && s.compiled.Validate(root) == nil
}

// wellFormed reports whether text is JSON that is not refused for its form.
func wellFormed(text []byte) bool {
	if !utf8.Valid(text) || !json.Valid(text) {
		return false
	}
	depth, quoted, number := 0, false, ""
	for i := 0; i <= len(text); i++ {
		c := byte(' ')
		if i < len(text) {
			c = text[i]
		}
		if !quoted && bytes.IndexByte([]byte("+-.eE0123456789"), c) >= 0 && (number != "" || c != 'e' && c != 'E') {
			number += string(c)
			continue
		}
		if number != "" && number != "e" && !bounded([]byte(number)) {
			return false
		}
		number = ""
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > 100 {
				return false
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	return err == nil && names(root) == bytes.Count(outsideStrings(text), []byte(":"))
}

// names counts the names in a value: fewer than its text has, if one stands twice.
func names(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			n += 1 + names(e)
		}
	case []any:
		for _, e := range v {
			n += names(e)
		}
	}
	return n
}

// outsideStrings is text without what is in its strings.
func outsideStrings(text []byte) (out []byte) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case quoted && text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case !quoted:
			out = append(out, text[i])
		}
	}
	return out
}
