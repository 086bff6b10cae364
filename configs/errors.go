package configs

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Error is one mistake in a configuration.
type Error struct {
	Source string // the file, or the environment variable or flag that set the value
	Line   int    // in the file, from 1; 0: the value stands on no line
	Path   string // of the value, such as "listeners[0].address"; "": the whole
	Msg    string
}

// Error prints it as "mqttward.yaml:12: listeners[0].address: message".
func (e Error) Error() string {
	var parts []string
	if e.Source != "" {
		source := e.Source
		if e.Line > 0 {
			source += ":" + strconv.Itoa(e.Line)
		}
		parts = append(parts, source)
	}
	if e.Path != "" {
		parts = append(parts, e.Path)
	}
	return strings.Join(append(parts, e.Msg), ": ")
}

// Errors are all the mistakes in a configuration, in the order of their lines.
type Errors []Error

// Error prints one mistake a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Sort puts the errors in the order of their lines, those without a line last.
func (e Errors) Sort() {
	slices.SortStableFunc(e, func(a, b Error) int { return cmp.Compare(order(a), order(b)) })
}

func order(e Error) int {
	if e.Line == 0 {
		return math.MaxInt
	}
	return e.Line
}

// Place is where something stands in the file.
type Place struct {
	Path string
	Line int
}

// String prints it as "authz.rules[2] (line 41)".
func (p Place) String() string {
	if p.Line == 0 {
		return p.Path
	}
	return fmt.Sprintf("%s (line %d)", p.Path, p.Line)
}

// place is where a value came from.
type place struct {
	source string
	line   int
}

// At returns the line of the value at path, such as "authz.rules[2].topics[0]",
// or of what encloses it if it was left out; 0 if it did not come from the file.
func (c *Config) At(path string) int { return c.place(path).line }

// Errorf returns an error about the value at path, for checks that are made
// where the value is used. The message does not repeat the path.
func (c *Config) Errorf(path, format string, args ...any) Error {
	at := c.place(path)
	return Error{Source: at.source, Line: at.line, Path: path, Msg: fmt.Sprintf(format, args...)}
}

// Knows reports whether e has a mistake at path, in it or in what encloses it.
// What a later check finds there would follow from that one.
func (e Errors) Knows(path string) bool {
	return slices.ContainsFunc(e, func(known Error) bool {
		return within(known.Path, path) || within(path, known.Path)
	})
}

// within reports whether path is inner or encloses it.
func within(inner, path string) bool {
	for ; inner != path; inner = parent(inner) {
		if inner == "" {
			return false
		}
	}
	return true
}

func (c *Config) place(path string) place {
	for {
		at, known := c.places[path]
		if known || path == "" {
			return at
		}
		path = parent(path)
	}
}

// Paths of values: "key", "key.key", "list[0].key".

func key(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parent returns the path of what encloses path; "" is the whole document.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }
