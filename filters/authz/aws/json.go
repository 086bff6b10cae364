package aws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a document; a policy has five levels.
const maxDepth = 16

// node is a value of JSON, which knows its line and its keys' order.
type node struct {
	line   int
	text   string // of a string
	fields []field
	items  []node
	kind   kind
}

type kind uint8

const (
	other kind = iota // a number, true, false or null
	str
	object
	list
)

type field struct {
	key   string
	line  int
	value node
}

// lineError is what is wrong in a line.
type lineError struct {
	line int
	msg  string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.msg) }

func (n node) errorf(format string, args ...any) error {
	return &lineError{n.line, fmt.Sprintf(format, args...)}
}

func (f field) errorf(format string, args ...any) error {
	return &lineError{f.line, fmt.Sprintf(format, args...)}
}

// decoder builds nodes of encoding/json's tokens, to refuse what that would not:
// a key that comes twice, of which readers differ in which of them counts.
type decoder struct {
	*json.Decoder
	data []byte
	from int // where the lines are counted up to
	line int
}

func decode(data []byte) (node, error) {
	d := &decoder{Decoder: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
	if !utf8.Valid(data) {
		return node{}, &lineError{1, "the file is no UTF-8"}
	}
	n, err := d.value(0)
	if err != nil {
		return node{}, err
	}
	if rest := bytes.TrimSpace(data[d.InputOffset():]); len(rest) > 0 {
		d.count(len(data) - len(rest))
		return node{}, &lineError{d.line, "more behind the policy"}
	}
	return n, nil
}

// count makes line that of the byte at offset.
func (d *decoder) count(offset int) {
	if offset > d.from {
		d.line += bytes.Count(d.data[d.from:offset], []byte{'\n'})
		d.from = offset
	}
}

func (d *decoder) next() (json.Token, error) {
	token, err := d.Token()
	if err == nil {
		d.count(int(d.InputOffset()))
		return token, nil
	}
	at := len(d.data)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		at = min(int(syntax.Offset), at)
	}
	d.count(at)
	return nil, &lineError{d.line, "no JSON: " + err.Error()}
}

func (d *decoder) value(depth int) (node, error) {
	token, err := d.next()
	if err != nil {
		return node{}, err
	}
	n := node{line: d.line}
	if depth > maxDepth {
		return n, n.errorf("nested deeper than %d", maxDepth)
	}
	switch token := token.(type) {
	case string:
		n.kind, n.text = str, token
		if strings.ContainsRune(token, utf8.RuneError) {
			return n, n.errorf("no character: half a pair of escapes, or U+FFFD")
		}
	case json.Delim:
		if token == '{' {
			return d.object(n, depth)
		}
		return d.list(n, depth)
	}
	return n, nil
}

func (d *decoder) object(n node, depth int) (node, error) {
	n.kind = object
	seen := make(map[string]bool)
	for d.More() {
		token, err := d.next()
		if err != nil {
			return n, err
		}
		f := field{line: d.line}
		f.key, _ = token.(string) // a key is one
		if seen[f.key] {
			return n, f.errorf("%q comes twice", f.key)
		}
		seen[f.key] = true
		if f.value, err = d.value(depth + 1); err != nil {
			return n, err
		}
		n.fields = append(n.fields, f)
	}
	_, err := d.next()
	return n, err
}

func (d *decoder) list(n node, depth int) (node, error) {
	n.kind = list
	for d.More() {
		item, err := d.value(depth + 1)
		if err != nil {
			return n, err
		}
		n.items = append(n.items, item)
	}
	_, err := d.next()
	return n, err
}

// strings returns a string, or the strings in a list that is not empty.
func (n node) strings() ([]node, error) {
	if n.kind == str {
		return []node{n}, nil
	}
	if n.kind != list || len(n.items) == 0 {
		return nil, n.errorf("wants a string, or a list of strings")
	}
	for _, item := range n.items {
		if item.kind != str {
			return nil, item.errorf("wants a string")
		}
	}
	return n.items, nil
}
