package filters

import "strings"

// Glob matches value against pattern, in which "*" stands for any run of
// characters.
func Glob(pattern, value string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == value
	}
	value, ok := strings.CutPrefix(value, first)
	if !ok {
		return false
	}
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(value, part)
		}
		// The leftmost place for each part leaves the most for those behind it.
		_, after, found := strings.Cut(value, part)
		if !found {
			return false
		}
		value, rest = after, more
	}
}
