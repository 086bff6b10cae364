package learn

import (
	"slices"
	"strings"

	"github.com/mqttward/mqttward/packets/topics"
)

// maxVariants is how many topics that differ in one level are listed. More of
// them are taken for one with "+": a rule of a thousand lines is none that
// anybody reads.
const maxVariants = 16

// shorten returns patterns in order, without those that another one covers. Many
// that differ in one level become one.
func shorten(patterns []string) []string {
	slices.Sort(patterns)
	patterns = slices.Compact(patterns)
	for {
		wider, found := widen(patterns)
		if !found {
			break
		}
		patterns = append(patterns, wider)
		patterns = slices.DeleteFunc(patterns, func(p string) bool { return p != wider && covers(wider, p) })
	}
	var kept []string
	for _, p := range patterns {
		if !slices.ContainsFunc(patterns, func(wide string) bool { return wide != p && covers(wide, p) }) {
			kept = append(kept, p)
		}
	}
	slices.Sort(kept)
	return kept
}

// widen finds more than maxVariants patterns that differ in one level.
func widen(patterns []string) (wider string, found bool) {
	alike := map[string]int{}
	for _, p := range patterns {
		levels := strings.Split(p, "/")
		for i, level := range levels {
			if level == "#" || level == "+" || strings.HasPrefix(p, "$share/") || strings.HasPrefix(level, "$") {
				continue
			}
			levels[i] = "+"
			key := strings.Join(levels, "/")
			levels[i] = level
			if alike[key]++; alike[key] > maxVariants {
				return key, true
			}
		}
	}
	return "", false
}

// covers reports whether wide, of two patterns of one rule, holds all of narrow. A
// placeholder is a level as any other.
func covers(wide, narrow string) bool {
	wideGroup, wide, wideShared := topics.Share(wide)
	narrowGroup, narrow, narrowShared := topics.Share(narrow)
	return wideShared == narrowShared && wideGroup == narrowGroup && topics.Covers(wide, narrow)
}
