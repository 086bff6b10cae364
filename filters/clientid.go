package filters

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// ClientIDs are templates of the client identifiers that an identity may use, in
// which "*" stands for any run of characters. Nil allows any.
type ClientIDs []clientIDs

// clientIDs is one template, in the pieces between its stars.
type clientIDs []Template

// ParseClientIDs reads templates.
func ParseClientIDs(patterns []string) (ClientIDs, error) {
	var ids ClientIDs
	for _, pattern := range patterns {
		if pattern == "" {
			return nil, fmt.Errorf("empty template")
		}
		var pieces clientIDs
		for text := range strings.SplitSeq(pattern, "*") {
			var t Template
			if text != "" {
				var err error
				if t, err = ParseTemplate(text); err != nil {
					return nil, err
				}
			}
			pieces = append(pieces, t)
		}
		for _, t := range pieces {
			for _, name := range t.Placeholders() {
				if name == "clientid" {
					return nil, fmt.Errorf("${clientid} would allow any")
				}
			}
		}
		ids = append(ids, pieces)
	}
	return ids, nil
}

// Match reports whether s may use its client identifier. A star in a value is a
// character like any other.
func (ids ClientIDs) Match(s *Session) bool {
	for _, pattern := range ids {
		if pieces, ok := pattern.expand(s.Value); ok && matchPieces(pieces, s.ClientID) {
			return true
		}
	}
	return ids == nil
}

// Assign returns an identifier for s, which has sent none: one that nobody can
// guess, if the templates leave room for it. False means that they allow none.
func (ids ClientIDs) Assign(s *Session) (string, bool) {
	if ids == nil {
		return "auto-" + rand.Text(), true
	}
	fixed := ""
	for _, pattern := range ids {
		pieces, ok := pattern.expand(s.Value)
		switch {
		case ok && len(pieces) > 1:
			return pieces[0] + rand.Text() + strings.Join(pieces[1:], ""), true
		case ok && fixed == "":
			fixed = pieces[0]
		}
	}
	return fixed, fixed != ""
}

func (pattern clientIDs) expand(lookup Lookup) ([]string, bool) {
	pieces := make([]string, len(pattern))
	for i, t := range pattern {
		if t.source == "" {
			continue
		}
		var ok bool
		if pieces[i], ok = t.Expand(lookup); !ok {
			return nil, false
		}
	}
	return pieces, true
}

// matchPieces reports whether text is the pieces in their order with anything
// between them.
func matchPieces(pieces []string, text string) bool {
	if len(pieces) == 1 {
		return text == pieces[0]
	}
	text, ok := strings.CutPrefix(text, pieces[0])
	last := len(pieces) - 1
	for _, p := range pieces[1:last] {
		// The leftmost place for each leaves the most for those behind it.
		_, after, found := strings.Cut(text, p)
		ok, text = ok && found, after
	}
	return ok && strings.HasSuffix(text, pieces[last])
}
