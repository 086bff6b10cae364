package configs

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPayload(t *testing.T) {
	c := mustParse(t, minimal+`payload:
  - {topics: [a, "b/#"], schema: users}
  - {topics: [a], format: utf-8, max_size: 10, action: drop, allow_empty: true}
  - {topics: [a], format: declared, action: report}
  - {topics: [a], max_size: 1MiB}
`)
	users := filepath.Join(c.Dir(), "users")
	want := []PayloadCheck{
		{Topics: []string{"a", "b/#"}, MaxSize: 64 * KiB, Format: FormatJSON, Schema: users, Action: ActionRefuse},
		{Topics: []string{"a"}, MaxSize: 10, Format: FormatUTF8, Action: ActionDrop, AllowEmpty: true},
		{Topics: []string{"a"}, MaxSize: 64 * KiB, Format: FormatDeclared, Action: ActionReport},
		{Topics: []string{"a"}, MaxSize: MiB, Action: ActionRefuse},
	}
	for i, w := range want {
		got := c.Payload[i]
		if got.Place.Line != 6+i {
			t.Errorf("check %d is in line %d, want %d", i, got.Place.Line, 6+i)
		}
		if !slices.Equal(got.Topics, w.Topics) || got.MaxSize != w.MaxSize || got.Format != w.Format || got.Schema != w.Schema ||
			got.Action != w.Action || got.AllowEmpty != w.AllowEmpty {
			t.Errorf("check %d: %+v, want %+v", i, got, w)
		}
	}
	if !slices.Contains(c.Files(), users) {
		t.Errorf("the schema is not among the files: %q", c.Files())
	}
	for _, w := range c.Warnings() {
		if strings.Contains(w, "payload") {
			t.Errorf("warning %q", w)
		}
	}
}

func TestPayloadMistakes(t *testing.T) {
	for _, tt := range []struct{ name, check, want string }{
		{"no topics", "{max_size: 1}", `payload[0].topics: is required; ["#"] is all topics but those with $`},
		{"empty topics", "{topics: [], max_size: 1}", `payload[0].topics: is required; ["#"] is all topics but those with $`},
		{"nothing", "{topics: [a]}", "payload[0]: checks nothing: give max_size, format or schema"},
		{"no limit", "{topics: [a], max_size: 0}", "payload[0]: checks nothing: give max_size, format or schema"},
		{"no limit inside", "{topics: [a], format: json, max_size: 0}", "payload[0].max_size: 0 is no limit, which there has to be with format or schema"},
		{"more than a packet", "{topics: [a], max_size: 257MiB}", "payload[0].max_size: wants at most 256MiB, which no packet exceeds"},
		{"format", "{topics: [a], format: xml}", `payload[0].format: wants declared, utf-8 or json, not "xml"`},
		{"action", "{topics: [a], max_size: 1, action: deny}", `payload[0].action: wants refuse, drop or report, not "deny"`},
		{"schema of text", "{topics: [a], format: utf-8, schema: users}", "payload[0].format: a schema is of JSON"},
		{"no such schema", "{topics: [a], schema: none.json}", "payload[0].schema: no such file: none.json"},
		{"empty allowed without a format", "{topics: [a], max_size: 1, allow_empty: true}", "payload[0].allow_empty: has no effect without format or schema"},
		{"misspelt", "{topics: [a], max-size: 1}", `payload[0].max-size: unknown key; did you mean "max_size"?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, minimal+"payload: ["+tt.check+"]\n")
			if err == nil || err.Error() != "mqttward.yaml:5: "+tt.want {
				t.Errorf("error %q, want %q", err, tt.want)
			}
		})
	}
}
