package packets

import "strconv"

// Type is the MQTT Control Packet type, the high nibble of a packet's first
// byte (MQTT 5.0 section 2.1.2).
type Type uint8

// The MQTT Control Packet types.
const (
	CONNECT Type = iota + 1
	CONNACK
	PUBLISH
	PUBACK
	PUBREC
	PUBREL
	PUBCOMP
	SUBSCRIBE
	SUBACK
	UNSUBSCRIBE
	UNSUBACK
	PINGREQ
	PINGRESP
	DISCONNECT
	AUTH
)

var typeNames = [16]string{
	"RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String returns the specification's name of t.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// Version is the Protocol Level of CONNECT without the bridge bit.
type Version uint8

// The protocol versions in use. The zero Version means that no CONNECT has
// been seen.
const (
	V31  Version = 3 // MQTT 3.1, protocol name MQIsdp
	V311 Version = 4
	V5   Version = 5
)

// String returns the version as people write it: "3.1", "3.1.1", "5.0", and ""
// for none.
func (v Version) String() string {
	switch v {
	case 0:
		return ""
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "level " + strconv.Itoa(int(v))
}

// Role says which end of a connection sends: it decides which packet types
// are legal (MQTT 5.0 section 2.1.2, "Direction of flow").
type Role uint8

// The two ends of an MQTT connection.
const (
	Client Role = iota
	Server
)

// QoS is a Quality of Service level: 0, 1 or 2.
type QoS uint8
