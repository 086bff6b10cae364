// Package topics knows MQTT topic names and topic filters: which are well
// formed, which name a filter matches, which filter covers or overlaps
// another, where two filters meet, and what is inside a shared subscription.
//
// All functions are generic over string and []byte, so that a name may be
// judged where it lies in a packet. They allocate nothing, but for the filter
// that Intersect makes, do not recurse and take time linear in their arguments. They do not check UTF-8, which the
// packet parser does, and they do not normalise: names are compared byte by
// byte [MQTT-4.7.3-4].
//
// Nothing here can fail. ValidName and ValidFilter say no to what MQTT does not
// allow; Match, Covers, Overlaps and Intersect expect names and filters that were
// found valid. Given anything else they still end and do not panic, but their
// answer means nothing.
package topics

// Text is a topic name or filter, as a string or as bytes of a packet.
type Text interface{ ~string | ~[]byte }

// maxLength is the longest name or filter in bytes [MQTT-4.7.3-3].
const maxLength = 65535

// ValidName reports whether name may be the topic of a message: it has 1 to
// 65,535 bytes, no wildcard and no NUL.
func ValidName[T Text](name T) bool {
	if len(name) == 0 || len(name) > maxLength { // [MQTT-4.7.3-1], [MQTT-4.7.3-3]
		return false
	}
	for i := range len(name) {
		switch name[i] {
		case 0: // [MQTT-4.7.3-2]
			return false
		case '+', '#': // [MQTT-4.7.0-1]
			return false
		}
	}
	return true
}

// ValidFilter reports whether filter may be subscribed to: it has 1 to 65,535
// bytes and no NUL, its wildcards stand where they may, and if it starts with
// "$share/" it is a well-formed shared subscription.
//
// MQTT 3.x knows no shared subscriptions. The brokers that serve it do, so the
// grammar holds for every version.
func ValidFilter[T Text](filter T) bool {
	if len(filter) > maxLength { // [MQTT-4.7.3-3]
		return false
	}
	group, inner, shared := Share(filter)
	if !shared {
		return !hasSharePrefix(filter) && validLevels(filter)
	}
	// A share inside a share is nowhere defined. Brokers could read it in two
	// ways, so it is refused.
	return ValidName(group) && !hasSharePrefix(inner) && validLevels(inner)
}

// validLevels reports whether the filter without its share is not empty, has
// no NUL, and has each wildcard alone in its level.
func validLevels[T Text](filter T) bool {
	if len(filter) == 0 { // [MQTT-4.7.3-1]
		return false
	}
	for i := range len(filter) {
		first := i == 0 || filter[i-1] == '/'
		last := i+1 == len(filter)
		switch filter[i] {
		case 0: // [MQTT-4.7.3-2]
			return false
		case '#': // [MQTT-4.7.1-1]
			if !first || !last {
				return false
			}
		case '+': // [MQTT-4.7.1-2]
			if !first || !last && filter[i+1] != '/' {
				return false
			}
		}
	}
	return true
}
