package packets

import "github.com/mqttward/mqttward/packets/topics"

// Connect is the content of a CONNECT packet (MQTT 5.0 section 3.1). Its
// slices alias the packet.
type Connect struct {
	Level       byte // Protocol Level as sent, with the bridge bit 0x80 that Mosquitto's bridges set
	CleanStart  bool
	KeepAlive   uint16 // seconds; zero turns it off
	ClientID    []byte
	Props       Properties
	Will        *Will // nil: none
	HasUsername bool
	Username    []byte
	HasPassword bool
	Password    []byte
}

// Will is the Will Message of a CONNECT.
type Will struct {
	QoS     QoS
	Retain  bool
	Topic   []byte
	Props   Properties
	Payload []byte
}

// The Connect Flags (MQTT 5.0 section 3.1.2.3).
const (
	flagReserved   = 1 << 0
	flagCleanStart = 1 << 1
	flagWill       = 1 << 2
	flagWillRetain = 1 << 5
	flagPassword   = 1 << 6
	flagUsername   = 1 << 7
)

var (
	errName       = protocolError(CheckConnect, "MQTT-3.1.2-1", "protocol name is neither MQTT nor MQIsdp")
	errLevel      = &Error{Code: UnsupportedProtocolVersion, Spec: "MQTT-3.1.2-2", Msg: "protocol version is not supported", Check: CheckConnect}
	errReserved   = soft(malformed(CheckConnect, "MQTT-3.1.2-3", "reserved Connect Flag is set"))
	errWillQoS3   = malformed(CheckConnect, "MQTT-3.1.2-12", "Will QoS 3")
	errWillQoS    = soft(malformed(CheckConnect, "MQTT-3.1.2-11", "Will QoS without a Will"))
	errWillRetain = soft(malformed(CheckConnect, "MQTT-3.1.2-13", "Will Retain without a Will"))
	errPassword   = soft(malformed(CheckConnect, "MQTT-3.1.2-22", "password without user name")) // the number of 3.1.1
	errClientID   = &Error{Code: ClientIdentifierNotValid, Spec: "MQTT-3.1.3-8", Msg: "empty client identifier, and it may not be", Check: CheckConnect}
	errWillTopic  = &Error{Code: TopicNameInvalid, Spec: "MQTT-4.7.0-1", Msg: "Will Topic is empty or has a wildcard", Check: CheckWill}
)

// Connect decodes a CONNECT that a Reader returned.
func (p *Packet) Connect() (Connect, error) {
	c, _, err := (&Packet{lax: p.Broken}).parseConnect(body(p.Payload))
	return c, err
}

// parseConnect decodes the body of a CONNECT. The version is the one that the
// packet names, as soon as it is known, also when there is an error.
func (p *Packet) parseConnect(b body) (c Connect, v Version, err error) {
	v, err = parseProtocol(&b, &c)
	if err != nil {
		return c, v, err
	}
	flags, err := b.byte()
	if err != nil {
		return c, v, err
	}
	if err := p.tolerate(checkConnectFlags(flags, v)); err != nil {
		return c, v, err
	}
	c.CleanStart = flags&flagCleanStart != 0
	if c.KeepAlive, err = b.uint16(); err != nil {
		return c, v, err
	}
	if v == V5 {
		if c.Props, err = p.properties(&b, onConnect); err != nil {
			return c, v, err
		}
	}
	c.ClientID, err = b.string()
	if err := p.tolerate(err); err != nil {
		return c, v, err
	}
	if len(c.ClientID) == 0 && needsClientID(v, c.CleanStart) {
		return c, v, errClientID
	}
	if err := p.parseWill(&c, &b, flags, v); err != nil {
		return c, v, err
	}
	if err := p.parseLogin(&c, &b, flags); err != nil {
		return c, v, err
	}
	return c, v, p.tolerate(b.end())
}

// parseProtocol takes the protocol name and level.
func parseProtocol(b *body, c *Connect) (Version, error) {
	name, err := b.binary()
	if err != nil {
		return 0, err
	}
	if string(name) != "MQTT" && string(name) != "MQIsdp" {
		return 0, errName
	}
	if c.Level, err = b.byte(); err != nil {
		return 0, err
	}
	v := Version(c.Level &^ 0x80)
	if (name[2] == 'I') != (v == V31) || v < V31 || v > V5 || v == V5 && c.Level != 5 {
		return v, errLevel
	}
	return v, nil
}

// checkConnectFlags is milder with MQTT 3.1, which has no use for the lowest
// bit and disregards Will QoS and Will Retain where there is no Will (section
// 3.1).
func checkConnectFlags(flags byte, v Version) error {
	willQoS := flags >> 3 & 3
	strict := v != V31
	switch {
	case strict && flags&flagReserved != 0:
		return errReserved
	case willQoS == 3:
		return errWillQoS3
	case strict && flags&flagWill == 0 && willQoS != 0:
		return errWillQoS
	case strict && flags&flagWill == 0 && flags&flagWillRetain != 0:
		return errWillRetain
	case flags&flagPassword != 0 && flags&flagUsername == 0 && v != V5:
		return errPassword
	}
	return nil
}

// needsClientID reports whether the Client Identifier must not be empty: always
// in MQTT 3.1, without a Clean Session in 3.1.1 [MQTT-3.1.3-7].
func needsClientID(v Version, cleanStart bool) bool {
	return v == V31 || v == V311 && !cleanStart
}

func (p *Packet) parseWill(c *Connect, b *body, flags byte, v Version) error {
	if flags&flagWill == 0 {
		return nil
	}
	w := &Will{QoS: QoS(flags >> 3 & 3), Retain: flags&flagWillRetain != 0}
	var err error
	if v == V5 {
		if w.Props, err = p.properties(b, onWill); err != nil {
			return err
		}
	}
	w.Topic, err = b.string()
	if err := p.tolerate(err); err != nil {
		return err
	}
	if !topics.ValidName(w.Topic) {
		return errWillTopic
	}
	if w.Payload, err = b.binary(); err != nil {
		return err
	}
	c.Will = w
	return nil
}

// parseLogin takes user name and password. MQTT 3.1 lets them be missing
// though the flags announce them; brokers differ on it, so it is refused.
func (p *Packet) parseLogin(c *Connect, b *body, flags byte) (err error) {
	if flags&flagUsername != 0 {
		c.HasUsername = true
		c.Username, err = b.string()
		if err := p.tolerate(err); err != nil {
			return err
		}
	}
	if flags&flagPassword != 0 {
		c.HasPassword = true
		if c.Password, err = b.binary(); err != nil {
			return err
		}
	}
	return nil
}
