package packets

import (
	"iter"

	"github.com/mqttward/mqttward/packets/topics"
)

// SubscribeOptions is the byte behind a Topic Filter in a SUBSCRIBE (MQTT 5.0
// section 3.8.3.1). MQTT 3.x has only the QoS.
type SubscribeOptions byte

// QoS returns the requested Quality of Service.
func (o SubscribeOptions) QoS() QoS { return QoS(o & 3) }

const (
	optionNoLocal        = 1 << 2
	optionRetainHandling = 3 << 4
	optionsV5            = 0x3f
	optionsV3            = 3
)

var (
	errNoFilter    = protocolError(CheckFilter, "MQTT-3.8.3-2", "no Topic Filter") // and [MQTT-3.10.3-2]
	errFilter      = &Error{Code: TopicFilterInvalid, Check: CheckFilter, Spec: "MQTT-4.7.1-1", Msg: "Topic Filter is empty or has a misplaced wildcard"}
	errOptions     = tolerable(malformed(CheckFilter, "MQTT-3.8.3-5", "reserved Subscription Options are set"))
	errOptionValue = protocolError(CheckFilter, "section 3.8.3.1", "QoS or Retain Handling is 3")
	errNoLocal     = tolerable(protocolError(CheckFilter, "MQTT-3.8.3-4", "No Local on a Shared Subscription"))
	errNoCodes     = protocolError(CheckProperties, "section 3.9.3", "acknowledgement without Reason Codes")
)

// Subscriptions yields the Topic Filters of a SUBSCRIBE with their options
// and, with options zero, those of an UNSUBSCRIBE.
func (p *Packet) Subscriptions() iter.Seq2[[]byte, SubscribeOptions] {
	return func(yield func([]byte, SubscribeOptions) bool) {
		for b := body(p.Payload); len(b) > 0; {
			filter, options, err := b.subscription(p.Type)
			if err != nil || !yield(filter, options) {
				return
			}
		}
	}
}

func (b *body) subscription(t Type) ([]byte, SubscribeOptions, error) {
	filter, err := b.binary()
	if err != nil || t == UNSUBSCRIBE {
		return filter, 0, err
	}
	o, err := b.byte()
	return filter, SubscribeOptions(o), err
}

// parseSubscribe reads SUBSCRIBE and UNSUBSCRIBE. One malformed filter makes
// the whole packet malformed.
func (p *Packet) parseSubscribe(b body) error {
	var err error
	if p.ID, err = b.packetID(); err != nil {
		return err
	}
	if p.Version == V5 {
		on := onSubscribe
		if p.Type == UNSUBSCRIBE {
			on = onUnsubscribe
		}
		if p.Props, err = p.properties(&b, on); err != nil {
			return err
		}
	}
	p.Payload = b
	if len(b) == 0 {
		return errNoFilter
	}
	for len(b) > 0 {
		filter, options, err := b.subscription(p.Type)
		if err != nil {
			return err
		}
		if err := p.checkSubscription(filter, options); err != nil {
			return err
		}
	}
	return nil
}

func (p *Packet) checkSubscription(filter []byte, o SubscribeOptions) error {
	if err := p.pass(checkUTF8(filter)); err != nil { // [MQTT-3.8.3-1], [MQTT-3.10.3-1]
		return err
	}
	if !topics.ValidFilter(filter) {
		return errFilter
	}
	allowed := SubscribeOptions(optionsV3)
	if p.Version == V5 {
		allowed = optionsV5
	}
	switch {
	case o&^allowed != 0 && p.pass(errOptions) != nil:
		return errOptions
	case o.QoS() == 3, o&allowed&optionRetainHandling == optionRetainHandling:
		return errOptionValue
	case o&allowed&optionNoLocal != 0:
		if _, _, shared := topics.Share(filter); shared {
			return p.pass(errNoLocal)
		}
	}
	return nil
}

// parseSuback reads SUBACK and UNSUBACK. UNSUBACK has no codes before MQTT
// 5.0.
func (p *Packet) parseSuback(b body) error {
	var err error
	if p.ID, err = b.packetID(); err != nil {
		return err
	}
	if p.Version != V5 && p.Type == UNSUBACK {
		return p.end(b)
	}
	if p.Version == V5 {
		if p.Props, err = p.properties(&b, onAck); err != nil {
			return err
		}
	}
	p.Payload = b
	if len(b) == 0 {
		return errNoCodes
	}
	for _, c := range b {
		if err := p.pass(checkReason(p.Version, p.Type, Server, ReasonCode(c))); err != nil {
			return err
		}
	}
	return nil
}
