package app

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "-",
		"sensor 1 é 世":           "sensor 1 é 世",
		"\x1b[2Ja\tb\nc\x7f":     "�[2Ja�b�c�",
		"\u009b31m":              "�31m", // CSI in one character
		"abc\u202edef\u200b":     "abc�def�",
		"\xff":                   "�",
		strings.Repeat("é", 64):  strings.Repeat("é", 64),
		strings.Repeat("é", 65):  strings.Repeat("é", 64) + "…",
		strings.Repeat("\n", 99): strings.Repeat("�", 64) + "…",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestPrintableJSON: nothing that a terminal obeys, and nothing lost.
func TestPrintableJSON(t *testing.T) {
	const text = "a\"\\\x1b\x7f\u009b\u202e\U000e0001 é 世\U0001f600"
	got, err := PrintableJSON([]string{text})
	if err != nil {
		t.Fatal(err)
	}
	if want := `["a\"\\\u001b\u007f\u009b\u202e\udb40\udc01 é 世😀"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back []string
	if err := json.Unmarshal([]byte(got), &back); err != nil || len(back) != 1 || back[0] != text {
		t.Errorf("back comes %q: %v", back, err)
	}
}
