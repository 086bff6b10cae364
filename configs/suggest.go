package configs

import (
	"maps"
	"slices"
	"strings"
	"unicode"
)

// nearest returns the name among known that the misspelt name is likely to
// mean; "" if none is near.
func nearest[V any](name string, known map[string]V) string {
	const longest = 64 // a key is shorter; the distance costs the product of the lengths
	if len(name) > longest {
		return ""
	}
	name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	best, bound := "", min(3, max(1, len(name)/3))
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		if d := distance(name, strings.ToLower(candidate)); d <= bound {
			best, bound = candidate, d-1
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to turn a into b (optimal string alignment).
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := d[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			d[i][j] = min(replace, d[i-1][j]+1, d[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

// either lists words as "a, b or c".
func either(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// plain returns a key as it may stand in a path: as it is, or quoted if it
// holds anything that no key of ours holds.
func plain(name string) string {
	odd := func(r rune) bool { return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	if name == "" || strings.ContainsFunc(name, odd) {
		return quote(name)
	}
	return name
}
