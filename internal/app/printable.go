package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// maxShown bounds a text of a client in a line for a terminal, in characters.
const maxShown = 64

// Printable makes a text that a client chose fit for a terminal: short, and
// without what that would obey or a reader not see. U+FFFD stands in the place of
// that, and - for an empty text.
func Printable(text string) string {
	if text == "" {
		return "-"
	}
	runes := []rune(text)
	short := runes[:min(len(runes), maxShown)]
	for i, r := range short {
		if !unicode.IsPrint(r) {
			short[i] = unicode.ReplacementChar
		}
	}
	if len(short) < len(runes) {
		return string(short) + "…"
	}
	return string(short)
}

// PrintableJSON is v as JSON in which all is there that Printable takes out, as
// escapes.
func PrintableJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, r := range string(b) { // what is left of it stands in strings
		if unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String(), nil
}
