package packets

import "strconv"

// Check numbers the checks that packets pass. The numbers are those of
// docs/checks.md, where each is described.
type Check uint8

// The checks that a packet can fail.
const (
	CheckFirstPacket   Check = 1  // a connection begins with CONNECT
	CheckLength        Check = 2  // Remaining Length and size
	CheckFlags         Check = 3  // the flags of the fixed header
	CheckBody          Check = 4  // a body that is as long as its type says
	CheckConnect       Check = 5  // the structure of CONNECT
	CheckUTF8          Check = 6  // well-formed UTF-8
	CheckName          Check = 7  // client identifiers and user names
	CheckTopic         Check = 8  // Topic Names and Topic Aliases
	CheckFilter        Check = 9  // Topic Filters
	CheckProperties    Check = 10 // properties and Reason Codes
	CheckDirection     Check = 11 // who may send what
	CheckFlow          Check = 12 // Packet Identifiers and the QoS flows
	CheckWill          Check = 13
	CheckOwner         Check = 14 // a client identifier belongs to an identity
	CheckSubscriptions Check = 15 // what a session is subscribed to
	CheckServer        Check = 19 // what a broker sends

	NumChecks = 29 // one more than the highest number
)

// String returns the check's identifier, such as "C3".
func (c Check) String() string { return "C" + strconv.Itoa(int(c)) }

var descriptions = [NumChecks]string{
	1:  "a connection begins with CONNECT",
	2:  "the Remaining Length is minimal and within its limit",
	3:  "the flags of the fixed header are those of the packet type",
	4:  "the body is as long as the packet type says",
	5:  "CONNECT is well-formed and comes once",
	6:  "strings are well-formed UTF-8 without U+0000",
	7:  "client identifiers and user names hold no special characters",
	8:  "Topic Names and Topic Aliases are valid",
	9:  "Topic Filters and Subscription Options are valid",
	10: "properties and Reason Codes are those of the packet",
	11: "each end sends only the packet types that are its own",
	12: "Packet Identifiers and the QoS flows are followed",
	13: "the Will Message is valid and may be published",
	14: "a client identifier belongs to one identity",
	15: "what a session is subscribed to is known",
	16: "the broker is dialled after authentication",
	17: "handshakes, packets and Keep Alive meet their deadlines",
	18: "connections, failures, packets and bytes stay within their rates",
	19: "what the broker sends passes the same checks",
	20: "output is bounded, and a slow reader is cut off",
	21: "the broker receives the bytes that were inspected",
}

// Describe returns what holds of a packet or a connection that passes c, in
// short, and "" for a number that is no check of the path of a packet.
func (c Check) Describe() string {
	if c >= NumChecks {
		return ""
	}
	return descriptions[c]
}

// ParseCheck returns the check with the identifier s, such as "C3", if it has a
// description.
func ParseCheck(s string) (Check, bool) {
	for c := range Check(NumChecks) {
		if c.String() == s && c.Describe() != "" {
			return c, true
		}
	}
	return 0, false
}

// unrelaxable are the checks without which nothing else holds.
const unrelaxable Checks = 1<<CheckFirstPacket | 1<<CheckDirection | 1<<16 | 1<<17 | 1<<18 | 1<<20 | 1<<21

// Relaxable reports whether c may go unenforced. Reader.Lax says which of its
// violations are refused all the same.
func (c Check) Relaxable() bool { return c.Describe() != "" && !unrelaxable.Has(c) }

// Checks is a set of checks.
type Checks uint32

// Has reports whether c is in the set.
func (s Checks) Has(c Check) bool { return s>>c&1 != 0 }

// With returns the set with c.
func (s Checks) With(c Check) Checks { return s | 1<<c }
