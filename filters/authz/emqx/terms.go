package emqx

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of a file. Both are far beyond what people write.
const (
	maxDepth = 32
	maxTerms = 1 << 20
)

// term is one of the Erlang terms that an acl.conf is made of.
type term struct {
	kind  termKind
	line  int
	text  string // of an atom or a string
	value int    // of an integer
	items []term // of a tuple or a list
}

type termKind uint8

const (
	atom termKind = iota
	text
	integer
	tuple
	list
)

func (k termKind) String() string {
	return [...]string{"an atom", "a string", "an integer", "a tuple", "a list"}[k]
}

// is reports whether t is the atom name.
func (t term) is(name string) bool { return t.kind == atom && t.text == name }

// lineError is what is wrong in a line.
type lineError struct {
	line int
	msg  string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.msg) }

func (t term) errorf(format string, args ...any) error {
	return &lineError{t.line, fmt.Sprintf(format, args...)}
}

// reader reads terms, each of which ends with a full stop.
type reader struct {
	rest  string
	line  int
	terms int
}

// readTerms reads the subset of Erlang's terms that acl.conf uses: tuples, lists,
// atoms, strings and whole numbers (Erlang reference manual, "Data Types").
func readTerms(data string) ([]term, error) {
	r := &reader{rest: data, line: 1}
	if !utf8.ValidString(data) {
		return nil, r.invalidUTF8()
	}
	var all []term
	for r.space(); r.rest != ""; r.space() {
		t, err := r.term(0)
		if err != nil {
			return nil, err
		}
		r.space()
		if !r.stop() {
			return nil, r.errorf("a full stop is missing behind the term of line %d", t.line)
		}
		all = append(all, t)
	}
	return all, nil
}

func (r *reader) invalidUTF8() error {
	for {
		c, size := utf8.DecodeRuneInString(r.rest)
		if c == utf8.RuneError && size <= 1 {
			return r.errorf("no UTF-8")
		}
		r.skip(size)
	}
}

func (r *reader) errorf(format string, args ...any) error {
	return &lineError{r.line, fmt.Sprintf(format, args...)}
}

// skip goes on by n bytes.
func (r *reader) skip(n int) string {
	skipped := r.rest[:n]
	r.line += strings.Count(skipped, "\n")
	r.rest = r.rest[n:]
	return skipped
}

// space skips white space and comments.
func (r *reader) space() {
	for {
		r.skip(len(r.rest) - len(strings.TrimLeft(r.rest, " \t\r\n\f\v")))
		if !strings.HasPrefix(r.rest, "%") {
			return
		}
		end := strings.IndexByte(r.rest, '\n')
		if end < 0 {
			end = len(r.rest)
		}
		r.skip(end)
	}
}

// stop takes a full stop, which white space, a comment or the end follows.
func (r *reader) stop() bool {
	after, ok := strings.CutPrefix(r.rest, ".")
	if !ok || after != "" && !strings.ContainsRune(" \t\r\n\f\v%", rune(after[0])) {
		return false
	}
	r.skip(1)
	return true
}

func (r *reader) term(depth int) (term, error) {
	r.space()
	r.terms++
	switch {
	case depth > maxDepth:
		return term{}, r.errorf("nested deeper than %d", maxDepth)
	case r.terms > maxTerms:
		return term{}, r.errorf("more than %d terms", maxTerms)
	case r.rest == "":
		return term{}, r.errorf("the file ends within a term")
	}
	switch c := r.rest[0]; {
	case c == '{':
		return r.items(tuple, "}", depth)
	case c == '[':
		return r.items(list, "]", depth)
	case c == '"':
		return r.quoted(text)
	case c == '\'':
		return r.quoted(atom)
	case c >= '0' && c <= '9':
		return r.integer()
	case c >= 'a' && c <= 'z':
		t := term{kind: atom, line: r.line}
		t.text = r.skip(wordLength(r.rest))
		return t, nil
	}
	c, _ := utf8.DecodeRuneInString(r.rest)
	return term{}, r.errorf("unexpected %q", c)
}

func wordLength(s string) int {
	end := strings.IndexFunc(s, func(c rune) bool {
		return c != '_' && c != '@' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	})
	if end < 0 {
		return len(s)
	}
	return end
}

// items reads what stands between the brackets of a tuple or a list.
func (r *reader) items(kind termKind, end string, depth int) (term, error) {
	t := term{kind: kind, line: r.line}
	r.skip(1)
	if r.space(); strings.HasPrefix(r.rest, end) {
		r.skip(1)
		return t, nil
	}
	for {
		item, err := r.term(depth + 1)
		if err != nil {
			return t, err
		}
		t.items = append(t.items, item)
		r.space()
		switch {
		case strings.HasPrefix(r.rest, end):
			r.skip(1)
			return t, nil
		case !strings.HasPrefix(r.rest, ","):
			return t, r.errorf("a comma or %s is missing in %s of line %d", end, kind, t.line)
		}
		r.skip(1)
	}
}

func (r *reader) integer() (term, error) {
	t := term{kind: integer, line: r.line}
	digits := r.skip(wordLength(r.rest))
	for _, c := range digits {
		if c < '0' || c > '9' || t.value > 1<<20 {
			return t, t.errorf("no number: %.20q", digits)
		}
		t.value = t.value*10 + int(c-'0')
	}
	return t, nil
}

// quoted reads a string or a quoted atom.
func (r *reader) quoted(kind termKind) (term, error) {
	t := term{kind: kind, line: r.line}
	quote := r.skip(1)
	var b strings.Builder
	for {
		end := strings.IndexAny(r.rest, quote+`\`)
		if end < 0 {
			return t, t.errorf("%s that does not end", kind)
		}
		b.WriteString(r.skip(end))
		if r.skip(1) == quote {
			break
		}
		c, err := r.escape()
		if err != nil {
			return t, err
		}
		b.WriteRune(c)
	}
	t.text = b.String()
	if strings.HasPrefix(r.rest, `"`) || strings.HasPrefix(r.rest, `'`) {
		return t, r.errorf("a comma is missing behind %s", kind)
	}
	return t, nil
}
