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
	errLevel      = &Error{Code: UnsupportedProtocolVersion, Check: CheckConnect, Spec: "MQTT-3.1.2-2", Msg: "protocol version is not supported"}
	errReserved   = tolerable(malformed(CheckConnect, "MQTT-3.1.2-3", "reserved Connect Flag is set"))
	errWillQoS3   = malformed(CheckConnect, "MQTT-3.1.2-12", "Will QoS 3")
	errWillQoS    = tolerable(malformed(CheckConnect, "MQTT-3.1.2-11", "Will QoS without a Will"))
	errWillRetain = tolerable(malformed(CheckConnect, "MQTT-3.1.2-13", "Will Retain without a Will"))
	errPassword   = tolerable(malformed(CheckConnect, "MQTT-3.1.2-22", "password without user name")) // the number of 3.1.1
	errClientID   = &Error{Code: ClientIdentifierNotValid, Check: CheckConnect, Spec: "MQTT-3.1.3-8", Msg: "empty client identifier, and it may not be"}
	errWillTopic  = &Error{Code: TopicNameInvalid, Check: CheckWill, Spec: "MQTT-4.7.0-1", Msg: "Will Topic is empty or has a wildcard"}
)

// Connect decodes a CONNECT that a Reader returned.
func (p *Packet) Connect() (Connect, error) {
	again := Packet{lax: p.Broken}
	return again.parseConnect(body(p.Payload))
}

// parseConnect decodes the body of a CONNECT. It sets the version that the
// packet names as soon as it is known, also when there is an error.
func (p *Packet) parseConnect(b body) (c Connect, err error) {
	p.Version, err = parseProtocol(&b, &c)
	if err != nil {
		return c, err
	}
	flags, err := b.byte()
	if err != nil {
		return c, err
	}
	if err := p.checkConnectFlags(flags); err != nil {
		return c, err
	}
	c.CleanStart = flags&flagCleanStart != 0
	if c.KeepAlive, err = b.uint16(); err != nil {
		return c, err
	}
	if p.Version == V5 {
		if c.Props, err = p.properties(&b, onConnect); err != nil {
			return c, err
		}
	}
	if c.ClientID, err = p.string(&b); err != nil {
		return c, err
	}
	if len(c.ClientID) == 0 && needsClientID(p.Version, c.CleanStart) {
		return c, errClientID
	}
	if c.Will, err = p.parseWill(&b, flags); err != nil {
		return c, err
	}
	if err := p.parseLogin(&b, &c, flags); err != nil {
		return c, err
	}
	return c, p.end(b)
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
func (p *Packet) checkConnectFlags(flags byte) error {
	willQoS := flags >> 3 & 3
	strict := p.Version != V31
	switch {
	case strict && flags&flagReserved != 0 && p.pass(errReserved) != nil:
		return errReserved
	case willQoS == 3:
		return errWillQoS3
	case strict && flags&flagWill == 0 && willQoS != 0 && p.pass(errWillQoS) != nil:
		return errWillQoS
	case strict && flags&flagWill == 0 && flags&flagWillRetain != 0 && p.pass(errWillRetain) != nil:
		return errWillRetain
	case flags&flagPassword != 0 && flags&flagUsername == 0 && p.Version != V5:
		return p.pass(errPassword)
	}
	return nil
}

// needsClientID reports whether the Client Identifier must not be empty: always
// in MQTT 3.1, without a Clean Session in 3.1.1 [MQTT-3.1.3-7].
func needsClientID(v Version, cleanStart bool) bool {
	return v == V31 || v == V311 && !cleanStart
}

func (p *Packet) parseWill(b *body, flags byte) (*Will, error) {
	if flags&flagWill == 0 {
		return nil, nil //nolint:nilnil // nil is how Connect says that there is none
	}
	w := &Will{QoS: QoS(flags >> 3 & 3), Retain: flags&flagWillRetain != 0}
	var err error
	if p.Version == V5 {
		if w.Props, err = p.properties(b, onWill); err != nil {
			return nil, err
		}
	}
	if w.Topic, err = p.string(b); err != nil {
		return nil, err
	}
	if !topics.ValidName(w.Topic) {
		return nil, errWillTopic
	}
	if w.Payload, err = b.binary(); err != nil {
		return nil, err
	}
	return w, nil
}

// parseLogin takes user name and password. MQTT 3.1 lets them be missing
// though the flags announce them; brokers differ on it, so it is refused.
func (p *Packet) parseLogin(b *body, c *Connect, flags byte) (err error) {
	if flags&flagUsername != 0 {
		c.HasUsername = true
		if c.Username, err = p.string(b); err != nil {
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
