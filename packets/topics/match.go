package topics

// Match reports whether the topic filter matches the topic name (MQTT 5.0
// section 4.7). A wildcard at the root matches no name that starts with "$".
//
// The filter of a shared subscription must be taken out with Share first.
func Match[F, N Text](filter F, name N) bool {
	if len(name) == 0 || hidden(filter, name) {
		return false
	}
	i, j := 0, 0
	for i < len(filter) {
		switch {
		case filter[i] == '#':
			return true
		case filter[i] == '+':
			i, j = i+1, levelEnd(name, j)
		case j == len(name):
			return isParent(filter, i)
		case filter[i] == name[j]:
			i, j = i+1, j+1
		default:
			return false
		}
	}
	return j == len(name)
}

// hidden reports whether wild starts with a wildcard and topic with "$": a
// server must not match the two [MQTT-4.7.2-1].
func hidden[W, T Text](wild W, topic T) bool {
	return len(wild) > 0 && (wild[0] == '#' || wild[0] == '+') &&
		len(topic) > 0 && topic[0] == '$'
}

// levelEnd returns the offset of the "/" that ends the level around offset i,
// or the length of t.
func levelEnd[T Text](t T, i int) int {
	for i < len(t) && t[i] != '/' {
		i++
	}
	return i
}

// isParent reports whether "/#" is all that is left of filter at offset i, and
// something stands before it. "sport/#" matches "sport" too, since "#" stands
// for the parent level and any number of levels below (section 4.7.1.2). The
// parent in "/#" would be the empty name, which does not exist.
func isParent[F Text](filter F, i int) bool {
	return i > 0 && i == len(filter)-2 && filter[i] == '/' && filter[i+1] == '#'
}
