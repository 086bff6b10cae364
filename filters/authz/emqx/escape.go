package emqx

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// escapes are the sequences of one letter. Those of other control characters, which
// are in no name, are left out.
var escapes = map[rune]rune{'n': '\n', 'r': '\r', 's': ' ', 't': '\t'}

// escape reads what follows a backslash (Erlang reference manual, "Escape
// Sequences"). Letters that mean nothing or another control character are refused:
// \d and \b are slips in a regular expression, which wants \\d and \\b.
func (r *reader) escape() (rune, error) {
	if r.rest == "" {
		return 0, r.errorf("the file ends within a term")
	}
	c, size := utf8.DecodeRuneInString(r.rest)
	switch {
	case c == 'x':
		r.skip(size)
		return r.hexadecimal()
	case c >= '0' && c <= '7':
		n := 1
		for n < 3 && n < len(r.rest) && r.rest[n] >= '0' && r.rest[n] <= '7' {
			n++
		}
		return r.character(r.skip(n), 8)
	case c == '^' || c >= 'a' && c <= 'z' && escapes[c] == 0 || c >= 'A' && c <= 'Z':
		return 0, r.errorf(`no escape sequence: \%c; a backslash is written \\`, c)
	}
	r.skip(size)
	if escaped, ok := escapes[c]; ok {
		return escaped, nil
	}
	return c, nil
}

// hexadecimal reads XX or {X...}.
func (r *reader) hexadecimal() (rune, error) {
	if after, ok := strings.CutPrefix(r.rest, "{"); ok {
		digits, _, closed := strings.Cut(after, "}")
		if !closed || len(digits) > 6 {
			return 0, r.errorf(`no character: \x{`)
		}
		r.skip(len(digits) + 2)
		return r.character(digits, 16)
	}
	if len(r.rest) < 2 {
		return 0, r.errorf("the file ends within a term")
	}
	if r.rest[0] >= utf8.RuneSelf || r.rest[1] >= utf8.RuneSelf {
		return 0, r.errorf(`no character: \x`)
	}
	return r.character(r.skip(2), 16)
}

func (r *reader) character(digits string, base int) (rune, error) {
	n, err := strconv.ParseUint(digits, base, 21)
	if err != nil || !utf8.ValidRune(rune(n)) {
		return 0, r.errorf("no character: %q", digits)
	}
	return rune(n), nil
}
