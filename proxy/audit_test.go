package proxy

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClip(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"data/sensor01/été":                  "data/sensor01/été",
		"a\x1b[31mb":                         "a\ufffd[31mb",
		"\u009b31m\u202e\x7f":                "\ufffd31m\ufffd\ufffd",
		strings.Repeat("x", maxLogged):       strings.Repeat("x", maxLogged),
		strings.Repeat("x", maxLogged+1):     strings.Repeat("x", maxLogged) + "…",
		"x" + strings.Repeat("é", maxLogged): "x" + strings.Repeat("é", maxLogged/2-1) + "…",
		strings.Repeat("\x01", 65_000):       strings.Repeat("\ufffd", maxLogged) + "…",
	} {
		if got := clip(text); got != want || clip([]byte(text)) != want || !utf8.ValidString(got) {
			t.Errorf("clip(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestTokenLike(t *testing.T) {
	for name, want := range map[string]bool{
		"":                              false,
		"bob":                           false,
		"eyJohn":                        false,
		"a.b.c":                         false,
		"eyJhbGciOiJIUzI1NiJ9.e30.c2ln": true,
		"eyJhbGciOiJub25lIn0.e30.":      true,
		"eyJhbGciOiJkaXIifQ..a.b.c":     true, // encrypted
	} {
		if got := tokenLike([]byte(name)); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
