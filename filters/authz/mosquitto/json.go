package mosquitto

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON is nested. What is read is six deep.
const maxDepth = 32

// node is a value in JSON and where it stands, as "roles[0].acls[2]".
type node struct {
	path  string
	value any // map[string]any with keys in lower case, []any, string, json.Number, bool or nil
}

// parseJSON reads an object. Keys are the same in capitals and without, as
// Mosquitto's library has it; one that stands twice has two readings and is an
// error, as is anything behind the object.
func parseJSON(data []byte) (node, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return node{}, errors.New("is not text in UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	value, err := decode(d, 0)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more behind the end of the object")
		}
	}
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("ends too early: the file is empty or half-written")
		}
		offset := min(int(d.InputOffset()), len(data))
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			offset = min(int(syntax.Offset), len(data))
		}
		return node{}, fmt.Errorf("line %d: %w", 1+bytes.Count(data[:offset], []byte("\n")), err)
	}
	if _, ok := value.(map[string]any); !ok {
		return node{}, errors.New("line 1: is not a JSON object")
	}
	return node{value: value}, nil
}

func decode(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return decodeObject(d, depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			value, err := decode(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err := d.Token() // the end
		return list, err
	}
	if text, ok := token.(string); ok && strings.Contains(text, "\x00") {
		return nil, errors.New("a text with NUL in it")
	}
	return token, nil
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	object := make(map[string]any)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder takes nothing else for a key
		key := lower(name)
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("the key %q stands twice in one object", shorten(key))
		}
		if object[key], err = decode(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token() // the end
	return object, err
}

// lower is strings.ToLower for ASCII: in Unicode more than one letter becomes k.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// reader takes values out of nodes and collects what is wrong with them.
type reader struct {
	errs     []error
	warnings []string
}

func (r *reader) fail(path, format string, args ...any) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
	}
}

func (r *reader) warn(path, format string, args ...any) {
	r.warnings = append(r.warnings, path+": "+fmt.Sprintf(format, args...))
}

// member returns the value of a key, nil if there is none.
func (n node) member(key string) node {
	path := key
	if n.path != "" {
		path = n.path + "." + key
	}
	object, _ := n.value.(map[string]any)
	return node{path, object[lower(key)]}
}

// objects returns the objects in the array that key has.
func (r *reader) objects(n node, key string) []node {
	m := n.member(key)
	list, ok := m.value.([]any)
	if !ok && m.value != nil {
		r.fail(m.path, "is not an array")
	}
	var found []node
	for i, value := range list {
		element := node{fmt.Sprintf("%s[%d]", m.path, i), value}
		if _, ok := value.(map[string]any); !ok {
			r.fail(element.path, "is not an object")
			continue
		}
		found = append(found, element)
	}
	return found
}

// text returns the string of key, and false if there is none.
func (r *reader) text(n node, key string) (string, bool) {
	m := n.member(key)
	text, ok := m.value.(string)
	if !ok && m.value != nil {
		r.fail(m.path, "is not a text")
	}
	return text, ok
}

// required is text for what is nothing without it: that is left out, as Mosquitto
// does, with a warning.
func (r *reader) required(n node, key string) (string, bool) {
	text, ok := r.text(n, key)
	if text == "" {
		r.warn(n.path, "is left out: it has no %s", key)
		return "", false
	}
	return text, ok
}

func (r *reader) flag(n node, key string, otherwise bool) bool {
	m := n.member(key)
	flag, ok := m.value.(bool)
	if !ok {
		if m.value != nil {
			r.fail(m.path, "is neither true nor false")
		}
		return otherwise
	}
	return flag
}

// maxPriority is where priorities end on both sides of zero.
const maxPriority = 100_000

func (r *reader) priority(n node, otherwise int) int {
	m := n.member("priority")
	if m.value == nil {
		return otherwise
	}
	number, _ := m.value.(json.Number)
	f, err := number.Float64()
	if err != nil {
		r.fail(m.path, "is not a number")
		return 0
	}
	return int(max(-maxPriority, min(maxPriority, f)))
}
