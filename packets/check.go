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

// Checks is a set of checks.
type Checks uint32

// Has reports whether c is in the set.
func (s Checks) Has(c Check) bool { return s>>c&1 != 0 }

// With returns the set with c.
func (s Checks) With(c Check) Checks { return s | 1<<c }

// ParseCheck returns the check with an identifier such as "C3".
func ParseCheck(text string) (Check, bool) {
	for c := Check(1); c < NumChecks; c++ {
		if c.String() == text {
			return c, true
		}
	}
	return 0, false
}
