package packets

// Packet is a validated view of one Control Packet. Its slices alias the
// buffer of the Reader that returned it; each ends where its field does, so
// that appending to one copies it. Fields that a packet's type or version does
// not have are zero.
type Packet struct {
	Type    Type
	Flags   byte // the low nibble of the first byte
	Version Version
	Broken  Checks // the checks that it fails, tolerated by Reader.Lax
	Raw     []byte // the packet as received, without the last Rest bytes
	Rest    int    // bytes of the payload of a PUBLISH that come as chunks

	ID      uint16     // Packet Identifier
	Topic   []byte     // PUBLISH: Topic Name, empty if only a Topic Alias names it
	Props   Properties // MQTT 5.0
	Reason  ReasonCode // CONNACK, acknowledgements, DISCONNECT, AUTH; MQTT 3.x CONNACK: the return code
	Payload []byte     // PUBLISH: what Raw has of the payload; SUBSCRIBE, UNSUBSCRIBE: filters; SUBACK, UNSUBACK: codes; CONNECT: see Connect

	SessionPresent bool // CONNACK

	lax Checks // what parse tolerates
}

// QoS returns the Quality of Service of a PUBLISH.
func (p *Packet) QoS() QoS { return QoS(p.Flags >> 1 & 3) }

// Retain reports whether a PUBLISH has the RETAIN flag.
func (p *Packet) Retain() bool { return p.Flags&1 != 0 }

// Size is the length of the whole packet in bytes, those still to come
// included.
func (p *Packet) Size() int { return len(p.Raw) + p.Rest }

// pass returns err, or nil if it is tolerated.
func (p *Packet) pass(err error) error {
	if err == nil {
		return nil
	}
	return p.tolerate(err)
}

// tolerate notes in Broken what it tolerates. It is a function of its own so
// that the path of a packet that breaks no rule stays short.
//
//go:noinline
func (p *Packet) tolerate(err error) error {
	p.Broken, err = p.Broken.tolerate(err, p.lax)
	return err
}

// body walks the bytes of a packet behind its fixed header. Its methods take
// bytes off the front and fail when there are too few.
type body []byte

func (b *body) byte() (byte, error) {
	if len(*b) < 1 {
		return 0, errTruncated
	}
	v := (*b)[0]
	*b = (*b)[1:]
	return v, nil
}

func (b *body) uint16() (uint16, error) {
	if len(*b) < 2 {
		return 0, errTruncated
	}
	v := uint16((*b)[0])<<8 | uint16((*b)[1])
	*b = (*b)[2:]
	return v, nil
}

// binary takes Binary Data (MQTT 5.0 section 1.5.6).
func (b *body) binary() ([]byte, error) {
	if len(*b) < 2 {
		return nil, errTruncated
	}
	n := int((*b)[0])<<8 | int((*b)[1])
	if len(*b)-2 < n {
		return nil, errTruncated
	}
	v := (*b)[2 : 2+n : 2+n]
	*b = (*b)[2+n:]
	return v, nil
}

// string takes a UTF-8 Encoded String (MQTT 5.0 section 1.5.4) off b.
func (p *Packet) string(b *body) ([]byte, error) {
	v, err := b.binary()
	if err != nil {
		return nil, err
	}
	return v, p.pass(checkUTF8(v))
}

// packetID takes a Packet Identifier, which is never zero.
func (b *body) packetID() (uint16, error) {
	id, err := b.uint16()
	if err == nil && id == 0 {
		return 0, errPacketID
	}
	return id, err
}

// end fails if bytes are left over.
func (p *Packet) end(b body) error {
	if len(b) == 0 {
		return nil
	}
	return p.tolerate(errTrailing)
}

var (
	errTruncated = malformed(CheckBody, "MQTT-4.13.1-1", "packet ends inside a field")
	errTrailing  = tolerable(malformed(CheckBody, "MQTT-4.13.1-1", "bytes are left behind the last field"))
	errPacketID  = protocolError(CheckFlow, "MQTT-2.2.1-3", "Packet Identifier is zero") // and [MQTT-2.2.1-4, -5, -6]
)
