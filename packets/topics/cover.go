package topics

// Covers reports whether every topic name that filter matches is matched by
// grant. It is exact: when it says no, there is a name that filter matches and
// grant does not.
//
// So "+" does not cover "#", which goes deeper; "a/+" does not cover "a/#",
// which matches "a"; and "#" does not cover "$SYS/#" [MQTT-4.7.2-1]. But "+/#"
// covers "#": both match every name that does not start with "$".
//
// The filters of shared subscriptions must be taken out with Share first.
func Covers[G, F Text](grant G, filter F) bool {
	if len(filter) == 0 || hidden(grant, filter) {
		return false
	}
	i, j := 0, 0
	for i < len(grant) {
		switch {
		case grant[i] == '#':
			return true
		case j < len(filter) && filter[j] == '#':
			return coversRest(grant, i, j)
		case grant[i] == '+':
			i, j = i+1, levelEnd(filter, j)
		case j == len(filter):
			return isParent(grant, i)
		case grant[i] == filter[j]:
			i, j = i+1, j+1
		default:
			return false
		}
	}
	return j == len(filter)
}

// coversRest reports whether what is left of grant at offset i covers the "#"
// at offset j of a filter, though it is not "#" itself.
//
// As "#" matches no level, one or many, "+/#" lacks only the case of no level:
// the parent. There is no parent before "#", and none before "/#", where it
// would be the empty name.
func coversRest[G Text](grant G, i, j int) bool {
	return j <= 1 && i == len(grant)-3 && grant[i] == '+' && grant[i+1] == '/' && grant[i+2] == '#'
}

// Overlaps reports whether there is a topic name that both a and b match. It is
// exact and symmetric. A deny for a touches a subscription to b if they
// overlap, even if neither covers the other.
//
// The filters of shared subscriptions must be taken out with Share first.
func Overlaps[A, B Text](a A, b B) bool {
	if hidden(a, b) || hidden(b, a) {
		return false
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == '#' || b[j] == '#':
			return true
		case a[i] == '+':
			i, j = i+1, levelEnd(b, j)
		case b[j] == '+':
			i, j = levelEnd(a, i), j+1
		case a[i] == b[j]:
			i, j = i+1, j+1
		default:
			return false
		}
	}
	return endsAt(a, i) && endsAt(b, j)
}

// endsAt reports whether filter matches a name that has nothing more at offset
// i: what is left may be one level, which is empty, and "#".
func endsAt[F Text](filter F, i int) bool {
	if i < len(filter) && filter[i] == '+' {
		i++
	}
	return i > 0 && (i == len(filter) || isParent(filter, i) ||
		i == len(filter)-1 && filter[i] == '#')
}
