package packets

// header is a fixed header (MQTT 5.0 section 2.1).
type header struct {
	typ    Type
	flags  byte
	size   int // bytes of the fixed header itself
	length int // Remaining Length
}

// headerRules says per type which ends may send it and which flags it
// carries. The flags of a PUBLISH are checked in checkPublishFlags.
var headerRules = [16]struct {
	client, server bool
	flags          byte
}{
	CONNECT:     {client: true},
	CONNACK:     {server: true},
	PUBLISH:     {client: true, server: true},
	PUBACK:      {client: true, server: true},
	PUBREC:      {client: true, server: true},
	PUBREL:      {client: true, server: true, flags: 2}, // [MQTT-3.6.1-1]
	PUBCOMP:     {client: true, server: true},
	SUBSCRIBE:   {client: true, flags: 2}, // [MQTT-3.8.1-1]
	SUBACK:      {server: true},
	UNSUBSCRIBE: {client: true, flags: 2}, // [MQTT-3.10.1-1]
	UNSUBACK:    {server: true},
	PINGREQ:     {client: true},
	PINGRESP:    {server: true},
	DISCONNECT:  {client: true, server: true},
	AUTH:        {client: true, server: true},
}

var (
	errType   = malformed(CheckDirection, "section 2.1.2", "packet type is reserved or not known to this version")
	errSender = protocolError(CheckDirection, "section 2.1.2", "packet type may not come from this end")
	errFlags  = tolerable(malformed(CheckFlags, "MQTT-2.1.3-1", "reserved flags of the fixed header are set wrongly"))
	errTwice  = protocolError(CheckConnect, "MQTT-3.1.0-2", "second CONNECT")
)

// ErrNotConnect says that the first byte of a connection is not 0x10, which
// begins every CONNECT: the peer speaks another protocol, TLS perhaps or HTTP.
var ErrNotConnect error = protocolError(CheckFirstPacket, "MQTT-3.1.0-1", "first packet is not CONNECT")

// parseHeader decodes the fixed header at the start of b. It judges the first
// byte before it asks for more: what is wrong with a packet is known as soon as
// it can be.
func parseHeader(b []byte, from Role, v Version) (header, error) {
	if len(b) == 0 {
		return header{}, ErrShort
	}
	h := header{typ: Type(b[0] >> 4), flags: b[0] & 0xf}
	if err := h.check(from, v); err != nil {
		return h, err
	}
	length, n, err := consumeVarint(b[1:])
	h.size, h.length = 1+n, length
	return h, err
}

// lax goes on where parseHeader stopped with err, if that is tolerated. It
// returns the checks that the header fails.
func (h header) lax(b []byte, err error, lax Checks) (header, Checks, error) {
	broken, err := Checks(0).tolerate(err, lax)
	if err != nil || h.size > 0 {
		return h, broken, err
	}
	length, n, err := consumeVarint(b[1:])
	if err != nil {
		broken, err = broken.tolerate(err, lax)
	}
	h.size, h.length = 1+n, length
	return h, broken, err
}

// check judges the first byte. What may be tolerated comes last.
func (h header) check(from Role, v Version) error {
	rule := headerRules[h.typ]
	switch {
	case from == Client && v == 0:
		if h.typ != CONNECT || h.flags != 0 {
			return ErrNotConnect
		}
		return nil
	case h.typ == 0, h.typ == AUTH && v != V5:
		return errType
	case from == Client && h.typ == CONNECT:
		return errTwice
	case from == Client && !rule.client, from == Server && !rule.server,
		from == Server && h.typ == DISCONNECT && v != V5:
		return errSender
	case h.typ == PUBLISH:
		return checkPublishFlags(h.flags)
	}
	flags := h.flags
	if v == V31 && rule.flags == 2 {
		flags &^= 8 // MQTT 3.1 sets DUP in these when it repeats them (section 2.1).
	}
	if flags != rule.flags {
		return errFlags
	}
	return nil
}

var (
	errQoS3 = malformed(CheckFlags, "MQTT-3.3.1-4", "PUBLISH has QoS 3")
	errDup0 = tolerable(malformed(CheckFlags, "MQTT-3.3.1-2", "PUBLISH has DUP with QoS 0"))
)

func checkPublishFlags(flags byte) error {
	switch qos := flags >> 1 & 3; {
	case qos == 3:
		return errQoS3
	case qos == 0 && flags&8 != 0:
		return errDup0
	}
	return nil
}

// head returns how many bytes the PUBLISH at the start of b has in front of
// its payload: as many at least, as long as b holds less. It checks nothing.
func (h header) head(b []byte, v Version) int {
	n := h.size + 2
	if len(b) < n {
		return n
	}
	n += int(b[n-2])<<8 | int(b[n-1])
	if h.flags&6 != 0 {
		n += 2
	}
	if v != V5 {
		return n
	}
	if len(b) <= n {
		return n + 1
	}
	length, size, err := consumeVarint(b[n:])
	switch {
	case err == ErrShort: //nolint:errorlint // consumeVarint returns the bare value
		return len(b) + 1
	case err != nil:
		return n
	}
	return n + size + length
}
