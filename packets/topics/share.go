package topics

const sharePrefix = "$share/"

// Share splits the filter of a shared subscription, "$share/group/rest". It
// reports false, and rest is the whole filter, if filter is not one: it does
// not start with "$share/", or its group or rest is missing [MQTT-4.8.2-1],
// [MQTT-4.8.2-2]. Whether group and rest are valid is for ValidFilter to say.
func Share[F Text](filter F) (group, rest F, shared bool) {
	if !hasSharePrefix(filter) {
		return group, filter, false
	}
	slash := levelEnd(filter, len(sharePrefix))
	if slash == len(sharePrefix) || slash+1 >= len(filter) {
		return group, filter, false
	}
	return filter[len(sharePrefix):slash], filter[slash+1:], true
}

func hasSharePrefix[F Text](filter F) bool {
	return len(filter) >= len(sharePrefix) && string(filter[:len(sharePrefix)]) == sharePrefix
}
