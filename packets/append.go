package packets

// The Append functions append one whole packet to dst and return it. Their
// callers give values that are valid in the version v; nothing is checked.

func appendHeader(dst []byte, t Type, flags byte, length int) []byte {
	return AppendVarint(append(dst, byte(t)<<4|flags), length)
}

func appendProperties(dst []byte, ps Properties) []byte {
	return append(AppendVarint(dst, len(ps)), ps...)
}

// propertiesSize is the size of a property section with its length.
func propertiesSize(v Version, ps Properties) int {
	if v != V5 {
		return 0
	}
	return varintSize(len(ps)) + len(ps)
}

// AppendConnect appends a CONNECT of version v. The level in c is written as
// it stands.
func AppendConnect(dst []byte, v Version, c *Connect) []byte {
	name := "MQTT"
	if v == V31 {
		name = "MQIsdp"
	}
	n := 2 + len(name) + 4 + propertiesSize(v, c.Props) + 2 + len(c.ClientID)
	var flags byte
	if c.CleanStart {
		flags |= flagCleanStart
	}
	if w := c.Will; w != nil {
		flags |= flagWill | byte(w.QoS)<<3
		if w.Retain {
			flags |= flagWillRetain
		}
		n += propertiesSize(v, w.Props) + 4 + len(w.Topic) + len(w.Payload)
	}
	if c.HasUsername {
		flags |= flagUsername
		n += 2 + len(c.Username)
	}
	if c.HasPassword {
		flags |= flagPassword
		n += 2 + len(c.Password)
	}
	dst = appendHeader(dst, CONNECT, 0, n)
	dst = appendBinary(dst, []byte(name))
	dst = appendUint16(append(dst, c.Level, flags), c.KeepAlive)
	if v == V5 {
		dst = appendProperties(dst, c.Props)
	}
	dst = appendBinary(dst, c.ClientID)
	if w := c.Will; w != nil {
		if v == V5 {
			dst = appendProperties(dst, w.Props)
		}
		dst = appendBinary(appendBinary(dst, w.Topic), w.Payload)
	}
	if c.HasUsername {
		dst = appendBinary(dst, c.Username)
	}
	if c.HasPassword {
		dst = appendBinary(dst, c.Password)
	}
	return dst
}

// AppendConnack appends a CONNACK. MQTT 3.x gets the return code that stands
// for rc and no properties.
func AppendConnack(dst []byte, v Version, sessionPresent bool, rc ReasonCode, ps Properties) []byte {
	var flags byte
	if sessionPresent {
		flags = 1
	}
	if v != V5 {
		return append(dst, byte(CONNACK)<<4, 2, flags, rc.ConnectReturnCode())
	}
	dst = appendHeader(dst, CONNACK, 0, 2+propertiesSize(v, ps))
	return appendProperties(append(dst, flags, byte(rc)), ps)
}

// AppendPublish appends a PUBLISH up to the end of payload, which is followed
// by rest bytes that the caller sends itself. A QoS of 0 leaves id out.
func AppendPublish(dst []byte, v Version, flags byte, topic []byte, id uint16, ps Properties, payload []byte, rest int) []byte {
	n := 2 + len(topic) + propertiesSize(v, ps) + len(payload) + rest
	qos := flags >> 1 & 3
	if qos > 0 {
		n += 2
	}
	dst = appendBinary(appendHeader(dst, PUBLISH, flags, n), topic)
	if qos > 0 {
		dst = appendUint16(dst, id)
	}
	if v == V5 {
		dst = appendProperties(dst, ps)
	}
	return append(dst, payload...)
}

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP. Versions before 5.0
// have no place for rc.
func AppendAck(dst []byte, v Version, t Type, id uint16, rc ReasonCode) []byte {
	flags := headerRules[t].flags
	if v != V5 || rc == Success {
		return appendUint16(appendHeader(dst, t, flags, 2), id)
	}
	return append(appendUint16(appendHeader(dst, t, flags, 3), id), byte(rc))
}

// AppendAckWith appends a PUBACK, PUBREC, PUBREL or PUBCOMP of MQTT 5.0 with
// properties.
func AppendAckWith(dst []byte, t Type, id uint16, rc ReasonCode, ps Properties) []byte {
	dst = appendHeader(dst, t, headerRules[t].flags, 3+propertiesSize(V5, ps))
	return appendProperties(append(appendUint16(dst, id), byte(rc)), ps)
}

// Subscription is one entry of a SUBSCRIBE.
type Subscription struct {
	Filter  []byte
	Options SubscribeOptions
}

// AppendSubscribe appends a SUBSCRIBE.
func AppendSubscribe(dst []byte, v Version, id uint16, ps Properties, subs []Subscription) []byte {
	n := 2 + propertiesSize(v, ps)
	for _, s := range subs {
		n += 2 + len(s.Filter) + 1
	}
	dst = appendUint16(appendHeader(dst, SUBSCRIBE, 2, n), id)
	if v == V5 {
		dst = appendProperties(dst, ps)
	}
	for _, s := range subs {
		dst = append(appendBinary(dst, s.Filter), byte(s.Options))
	}
	return dst
}

// AppendUnsubscribe appends an UNSUBSCRIBE.
func AppendUnsubscribe(dst []byte, v Version, id uint16, ps Properties, filters [][]byte) []byte {
	n := 2 + propertiesSize(v, ps)
	for _, filter := range filters {
		n += 2 + len(filter)
	}
	dst = appendUint16(appendHeader(dst, UNSUBSCRIBE, 2, n), id)
	if v == V5 {
		dst = appendProperties(dst, ps)
	}
	for _, filter := range filters {
		dst = appendBinary(dst, filter)
	}
	return dst
}

// AppendSuback appends a SUBACK. The codes are those of version v: MQTT 3.1.1
// knows of failures only 0x80, MQTT 3.1 none.
func AppendSuback(dst []byte, v Version, id uint16, ps Properties, codes []ReasonCode) []byte {
	return appendCodes(dst, SUBACK, v, id, ps, codes)
}

// AppendUnsuback appends an UNSUBACK. Versions before 5.0 have no place for
// codes.
func AppendUnsuback(dst []byte, v Version, id uint16, ps Properties, codes []ReasonCode) []byte {
	if v != V5 {
		codes = nil
	}
	return appendCodes(dst, UNSUBACK, v, id, ps, codes)
}

func appendCodes(dst []byte, t Type, v Version, id uint16, ps Properties, codes []ReasonCode) []byte {
	n := 2 + propertiesSize(v, ps) + len(codes)
	dst = appendUint16(appendHeader(dst, t, 0, n), id)
	if v == V5 {
		dst = appendProperties(dst, ps)
	}
	for _, rc := range codes {
		dst = append(dst, byte(rc))
	}
	return dst
}

// AppendDisconnect appends a DISCONNECT. In versions before 5.0 only a client
// may send it, and rc has no place.
func AppendDisconnect(dst []byte, v Version, rc ReasonCode) []byte {
	if v != V5 || rc == Success {
		return append(dst, byte(DISCONNECT)<<4, 0)
	}
	return append(dst, byte(DISCONNECT)<<4, 1, byte(rc))
}

// AppendDisconnectWith appends a DISCONNECT of MQTT 5.0 with properties.
func AppendDisconnectWith(dst []byte, rc ReasonCode, ps Properties) []byte {
	dst = append(appendHeader(dst, DISCONNECT, 0, 1+propertiesSize(V5, ps)), byte(rc))
	return appendProperties(dst, ps)
}

// AppendAuth appends an AUTH of MQTT 5.0 (section 3.15).
func AppendAuth(dst []byte, rc ReasonCode, ps Properties) []byte {
	if rc == Success && len(ps) == 0 {
		return appendHeader(dst, AUTH, 0, 0)
	}
	dst = append(appendHeader(dst, AUTH, 0, 1+propertiesSize(V5, ps)), byte(rc))
	return appendProperties(dst, ps)
}
