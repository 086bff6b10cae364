package topics

// Intersect returns the one filter that matches exactly the topic names that
// both a and b match. It reports false if there are none, or if that filter
// would be longer than a filter may be [MQTT-4.7.3-3].
//
// Two filters meet level by level, so there is never more than one: "a/+" and
// "+/b" meet in "a/b", "#" and "a/+" in "a/+", "a/#" and "a" in "a". As in
// Match, "#" and "$SYS/#" do not meet [MQTT-4.7.2-1]. Of filters that match the
// same names, as "#" and "+/#" do, the longer may be the result.
//
// The filters of shared subscriptions must be taken out with Share first.
func Intersect[A, B Text](a A, b B) (string, bool) {
	if len(a) == 0 || len(b) == 0 || hidden(a, b) || hidden(b, a) {
		return "", false
	}
	meet := make([]byte, 0, max(len(a), len(b)))
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == '#':
			return bounded(append(meet, b[j:]...))
		case b[j] == '#':
			return bounded(append(meet, a[i:]...))
		case a[i] == '+':
			end := levelEnd(b, j)
			meet = append(meet, b[j:end]...) // "+" too
			i, j = i+1, end
		case b[j] == '+':
			end := levelEnd(a, i)
			meet = append(meet, a[i:end]...)
			i, j = end, j+1
		case a[i] == b[j]:
			meet = append(meet, a[i])
			i, j = i+1, j+1
		default:
			return "", false
		}
	}
	if !endsAt(a, i) || !endsAt(b, j) {
		return "", false
	}
	return bounded(meet) // what is left of one is no level, or an empty one
}

func bounded(filter []byte) (string, bool) {
	if len(filter) > maxLength {
		return "", false
	}
	return string(filter), true
}
