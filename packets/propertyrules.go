package packets

import "github.com/mqttward/mqttward/packets/topics"

var (
	errProperty       = malformed(CheckProperties, "section 2.2.2.2", "unknown property")
	errPropertyVarint = malformed(CheckProperties, "MQTT-1.5.5-1", "length or property is not encoded in the fewest bytes, or in more than four")
	errPropertyPlace  = tolerable(malformed(CheckProperties, "section 2.2.2.2", "property is not allowed on this packet"))
	errClientSubID    = tolerable(protocolError(CheckProperties, "MQTT-3.3.4-6", "Subscription Identifier in a PUBLISH from a client"))
	errServerExpiry   = tolerable(protocolError(CheckProperties, "MQTT-3.14.2-2", "Session Expiry Interval in a DISCONNECT from a server"))
	errPropertyTwice  = tolerable(protocolError(CheckProperties, "section 2.2.2.2", "property appears twice"))
	errTopicTwice     = protocolError(CheckTopic, "section 2.2.2.2", "Topic Alias or Response Topic appears twice")
	errPropertyRange  = tolerable(protocolError(CheckProperties, "section 2.2.2.2", "property has a value outside its range"))
	errAliasZero      = &Error{Code: TopicAliasInvalid, Check: CheckTopic, Spec: "MQTT-3.3.2-8", Msg: "Topic Alias is zero"}
	errResponseTopic  = &Error{Code: TopicNameInvalid, Check: CheckTopic, Spec: "MQTT-3.3.2-14", Msg: "Response Topic is no Topic Name"}
	errAuthData       = tolerable(protocolError(CheckProperties, "section 3.1.2.11.10", "Authentication Data without an Authentication Method"))
)

// checkProperties validates a property section: known, allowed on this
// carrier, once unless it may repeat, well-formed, in range.
func (p *Packet) checkProperties(ps Properties, on carrier) error {
	var seen uint64
	for b := body(ps); len(b) > 0; {
		id := PropertyID(b[0])
		b = b[1:]
		v, err := b.value(id)
		if err != nil {
			return err
		}
		row := &properties[id]
		if row.on&on == 0 {
			if err := p.pass(misplaced(id, on)); err != nil {
				return err
			}
		}
		if seen&(1<<id) != 0 && row.many&on == 0 {
			if err := p.pass(repeated(id)); err != nil {
				return err
			}
		}
		seen |= 1 << id
		if err := p.checkValue(row.kind, v); err != nil {
			return err
		}
		if row.nonZero && allZero(v) {
			if err := p.pass(zero(id)); err != nil {
				return err
			}
		}
	}
	if seen&(1<<AuthenticationData) != 0 && seen&(1<<AuthenticationMethod) == 0 {
		return p.pass(errAuthData)
	}
	return nil
}

// misplaced names the rule that keeps property id from this carrier.
func misplaced(id PropertyID, on carrier) error {
	switch {
	case id == SubscriptionIdentifier && on == onClientPublish:
		return errClientSubID
	case id == SessionExpiryInterval && on == onServerDisconnect:
		return errServerExpiry
	default:
		return errPropertyPlace
	}
}

// repeated names the rule that lets property id appear once. Where a property
// names a topic, two of them are two readings of what a rule has to judge.
func repeated(id PropertyID) error {
	if id == TopicAlias || id == ResponseTopic {
		return errTopicTwice
	}
	return errPropertyTwice
}

// zero names the rule that property id breaks by being zero.
func zero(id PropertyID) error {
	if id == TopicAlias {
		return errAliasZero
	}
	return errPropertyRange
}

func (p *Packet) checkValue(kind propertyKind, v []byte) error {
	switch kind {
	case kindFlag:
		if v[0] > 1 {
			return p.pass(errPropertyRange)
		}
	case kindString:
		return p.pass(checkUTF8(v))
	case kindTopic:
		if err := p.pass(checkUTF8(v)); err != nil {
			return err
		}
		if !topics.ValidName(v) {
			return errResponseTopic
		}
	case kindPair:
		b := body(v)
		for range 2 {
			if _, err := p.string(&b); err != nil {
				return err
			}
		}
	default:
	}
	return nil
}

func allZero(v []byte) bool {
	for _, c := range v {
		if c != 0 {
			return false
		}
	}
	return true
}
