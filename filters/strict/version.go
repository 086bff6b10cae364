package strict

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is a version of Mosquitto.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads what Mosquitto publishes to $SYS/broker/version, such as
// "mosquitto version 2.0.11". Other brokers publish other things there.
func ParseVersion(text string) (Version, bool) {
	number, ok := strings.CutPrefix(text, "mosquitto version ")
	if !ok {
		return Version{}, false
	}
	number, _, _ = strings.Cut(number, " ")
	number, _, _ = strings.Cut(number, "-")
	parts := strings.Split(number, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return Version{}, false
	}
	var n [3]int
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return Version{}, false
		}
		n[i] = int(v)
	}
	return Version{n[0], n[1], n[2]}, true
}

// String returns the version as "2.0.11".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Compare is negative if v is older than w, and positive if it is newer.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}
