package configs

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDrain(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Drain
	}{
		{"{}", Drain{Rate: 400, Timeout: 30 * time.Second}},
		{"{rate: 0.5, timeout: 1h}", Drain{Rate: 0.5, Timeout: time.Hour}},
		{"{rate: 0, timeout: 0}", Drain{}},
		{"{server_reference: 'a.example:8883 [2001:db8::1]:8883', moved: true}", Drain{
			Rate: 400, Timeout: 30 * time.Second, ServerReference: "a.example:8883 [2001:db8::1]:8883", Moved: true,
		}},
		{"{server_reference: " + strings.Repeat("x", 1024) + "}", Drain{Rate: 400, Timeout: 30 * time.Second, ServerReference: strings.Repeat("x", 1024)}},
	} {
		if c := mustParse(t, minimal+"drain: "+tt.text+"\n"); c.Drain != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.text, c.Drain, tt.want)
		}
	}
}

func TestDrainMistakes(t *testing.T) {
	words := "drain.server_reference: wants names such as other.example:8883, with a space between two, not "
	for text, want := range map[string]string{
		"timeout: 61m":                                   "drain.timeout: wants at most 1h0m0s",
		"moved: true":                                    "drain.moved: has no effect without drain.server_reference",
		`server_reference: " "`:                          words + `" "`,
		`server_reference: "a  b"`:                       words + `"a  b"`,
		`server_reference: "a "`:                         words + `"a "`,
		`server_reference: "a\tb"`:                       words + `"a\tb"`,
		`server_reference: "a\0b"`:                       words + `"a\x00b"`,
		`server_reference: "\u202Ea"`:                    words + `"\u202ea"`,
		"server_reference: " + strings.Repeat("x", 1025): "drain.server_reference: wants at most 1024 bytes",
	} {
		want = "mqttward.yaml:5: " + want
		if _, err := parse(t, minimal+"drain: {"+text+"}\n"); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestDrainWarnings(t *testing.T) {
	const back = "all sessions end at once, and their clients come back at once"
	for text, want := range map[string]string{
		"":                      "",
		"drain: {rate: 334}":    "",
		"drain: {rate: 333}":    "drain: 10000 sessions (limits.max_connections) at 333 a second take longer than 30s: those that are left end at once",
		"drain: {timeout: 24s}": "drain: 10000 sessions (limits.max_connections) at 400 a second take longer than 24s: those that are left end at once",
		"drain: {timeout: 25s}": "",
		"drain: {rate: 0}":      "drain.rate: 0: " + back,
		"drain: {timeout: 0}":   "drain.timeout: 0: " + back,
		"drain: {rate: 1}\nlimits: {max_connections: 30}": "",
	} {
		c := mustParse(t, minimal+text+"\n")
		found := slices.DeleteFunc(c.Warnings(), func(line string) bool { return !strings.Contains(line, " drain") })
		got := strings.TrimPrefix(strings.Join(found, "\n"), "mqttward.yaml:5: ")
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
