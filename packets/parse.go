package packets

import (
	"bytes"
	"encoding/binary"

	"github.com/mqttward/mqttward/packets/topics"
)

// parse fills p from the body of a packet: the whole of it, or that of a
// PUBLISH up to somewhere in its payload. p.Type, Flags and Version are set;
// for a CONNECT it sets p.Version.
func (p *Packet) parse(b body, from Role) error {
	switch p.Type {
	case CONNECT:
		p.Payload = b
		_, err := p.parseConnect(b)
		return err
	case CONNACK:
		return p.parseConnack(b)
	case PUBLISH:
		return p.parsePublish(b, from)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return p.parseAck(b, from)
	case SUBSCRIBE, UNSUBSCRIBE:
		return p.parseSubscribe(b)
	case SUBACK, UNSUBACK:
		return p.parseSuback(b)
	case DISCONNECT, AUTH:
		return p.parseReason(b, from)
	default: // PINGREQ, PINGRESP
		return p.end(b)
	}
}

var (
	errAckFlags   = malformed(CheckConnect, "MQTT-3.2.2-1", "reserved Connect Acknowledge Flags are set")
	errPresent    = protocolError(CheckConnect, "MQTT-3.2.2-6", "Session Present in a refusal")
	errNoTopic    = protocolError(CheckTopic, "MQTT-4.7.3-1", "Topic Name is empty and there is no Topic Alias")
	errTopic      = &Error{Code: TopicNameInvalid, Check: CheckTopic, Spec: "MQTT-3.3.2-2", Msg: "Topic Name has a wildcard"}
	errTopicNUL   = malformed(CheckTopic, "MQTT-4.7.3-2", "Topic Name holds U+0000") // where ill-formed UTF-8 is tolerated
	errAuthMethod = protocolError(CheckProperties, "section 3.15.2.2.2", "AUTH without an Authentication Method")
)

func (p *Packet) parseConnack(b body) error {
	flags, err := b.byte()
	if err != nil {
		return err
	}
	code, err := b.byte()
	if err != nil {
		return err
	}
	p.SessionPresent, p.Reason = flags&1 != 0, ReasonCode(code)
	switch {
	case flags > 1:
		return errAckFlags
	case code != 0 && flags != 0:
		return errPresent
	}
	if err := p.pass(checkReason(p.Version, CONNACK, Server, p.Reason)); err != nil {
		return err
	}
	if p.Version == V5 {
		if p.Props, err = p.properties(&b, onConnack); err != nil {
			return err
		}
	}
	return p.end(b)
}

// parsePublish reads everything in front of the payload. What is left of b is
// the payload or its beginning.
func (p *Packet) parsePublish(b body, from Role) error {
	var err error
	if p.Topic, err = b.binary(); err != nil {
		return err
	}
	plain := plainName(p.Topic)
	if !plain {
		if err := p.pass(checkUTF8(p.Topic)); err != nil {
			return err
		}
	}
	if p.QoS() > 0 {
		if p.ID, err = b.packetID(); err != nil {
			return err
		}
	}
	if p.Version == V5 {
		on := onClientPublish
		if from == Server {
			on = onServerPublish
		}
		if p.Props, err = p.properties(&b, on); err != nil {
			return err
		}
	}
	p.Payload = b
	if plain {
		return nil
	}
	return p.checkTopic()
}

// plainName reports whether a name is one of 8 ASCII characters at least,
// without wildcards and U+0000. Most are, and eight characters are looked at
// together: 6 ns for 28 of them, where checkUTF8 and checkTopic take 27
// (BenchmarkPlainName).
func plainName(s []byte) bool {
	const (
		ones = 0x0101010101010101
		high = 0x80 * ones
	)
	n := len(s)
	if n < 8 {
		return false
	}
	var bad uint64
	for i := 0; i < n; i += 8 {
		x := binary.LittleEndian.Uint64(s[min(i, n-8):])
		wild := (x | 8*ones) ^ '+'*ones // a zero byte for + and #, which differ in that bit
		bad |= x | (x - ones) | (wild - ones)
	}
	return bad&high == 0
}

// checkTopic accepts an empty Topic Name only with a Topic Alias (MQTT 5.0
// section 3.3.2.1).
func (p *Packet) checkTopic() error {
	switch {
	case topics.ValidName(p.Topic):
		return nil
	case bytes.ContainsAny(p.Topic, "+#"):
		return errTopic
	case len(p.Topic) > 0:
		return errTopicNUL
	}
	if _, ok := p.Props.Uint16(TopicAlias); !ok {
		return errNoTopic
	}
	return nil
}

// parseAck reads PUBACK, PUBREC, PUBREL and PUBCOMP, whose Reason Code and
// properties may be left out (MQTT 5.0 section 3.4.2.1).
func (p *Packet) parseAck(b body, from Role) error {
	var err error
	if p.ID, err = b.packetID(); err != nil {
		return err
	}
	if p.Version != V5 || len(b) == 0 {
		return p.end(b)
	}
	return p.parseReasonAndProperties(b, from, onAck)
}

// parseReason reads DISCONNECT and AUTH: in MQTT 5.0 a Reason Code and
// properties that may be left out, before that nothing.
func (p *Packet) parseReason(b body, from Role) error {
	switch {
	case p.Version != V5:
		return p.end(b)
	case p.Type == AUTH:
		return p.parseAuth(b, from)
	case len(b) == 0:
		return nil
	case from == Client:
		return p.parseReasonAndProperties(b, from, onClientDisconnect)
	default:
		return p.parseReasonAndProperties(b, from, onServerDisconnect)
	}
}

// parseAuth accepts an empty AUTH from a server only: it means Success (MQTT
// 5.0 section 3.15.2.1). Every other one names its Authentication Method.
func (p *Packet) parseAuth(b body, from Role) error {
	if len(b) == 0 {
		return checkReason(V5, AUTH, from, Success)
	}
	if err := p.parseReasonAndProperties(b, from, onAuth); err != nil {
		return err
	}
	if _, ok := p.Props.Lookup(AuthenticationMethod); !ok {
		return errAuthMethod
	}
	return nil
}

// parseReasonAndProperties reads a Reason Code and the properties behind it,
// which may be left out.
func (p *Packet) parseReasonAndProperties(b body, from Role, on carrier) error {
	code, err := b.byte()
	if err != nil {
		return err
	}
	p.Reason = ReasonCode(code)
	if err := p.pass(checkReason(V5, p.Type, from, p.Reason)); err != nil {
		return err
	}
	if len(b) == 0 {
		return nil
	}
	if p.Props, err = p.properties(&b, on); err != nil {
		return err
	}
	return p.end(b)
}
