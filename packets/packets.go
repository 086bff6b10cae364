// Package packets is MQTT on the wire: versions 3.1, 3.1.1 and 5.0, all 15
// Control Packet types, from clients and from servers.
//
// A Reader frames packets in place over its buffer and hands out views: every
// field of a packet is checked against the specification before Next returns
// it, but nothing is copied, and properties, filters and codes are decoded
// only when somebody asks. A PUBLISH too large for the buffer is handed out
// once its topic and properties are there; its payload follows in chunks. The
// Append functions write the packets that a proxy originates.
//
// The package keeps no session: that a packet is legal by itself says nothing
// of whether it is legal now. It fails with an *Error, which carries the
// Reason Code for the peer, the normative statement that was broken and the
// check that failed. Each encoding that has two readings is an error: overlong
// lengths, ill-formed UTF-8, duplicate properties, trailing bytes. A Reader may
// be told to let some of them through.
package packets
