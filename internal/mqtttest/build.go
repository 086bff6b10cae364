package mqtttest

import (
	"encoding/binary"

	"github.com/mqttward/mqttward/packets"
)

// Connect returns a CONNECT with a clean session; edit changes it before it is
// encoded.
func Connect(v packets.Version, clientID string, edit ...func(*packets.Connect)) []byte {
	c := packets.Connect{Level: byte(v), CleanStart: true, ClientID: []byte(clientID)}
	for _, e := range edit {
		e(&c)
	}
	return packets.AppendConnect(nil, v, &c)
}

// Login gives a CONNECT a user name and a password.
func Login(username, password string) func(*packets.Connect) {
	return func(c *packets.Connect) {
		c.HasUsername, c.Username = true, []byte(username)
		c.HasPassword, c.Password = true, []byte(password)
	}
}

// KeepAlive gives a CONNECT a Keep Alive in seconds.
func KeepAlive(seconds uint16) func(*packets.Connect) {
	return func(c *packets.Connect) { c.KeepAlive = seconds }
}

// Will gives a CONNECT a Will.
func Will(topic, payload string) func(*packets.Connect) {
	return func(c *packets.Connect) { c.Will = &packets.Will{Topic: []byte(topic), Payload: []byte(payload)} }
}

// Props gives a CONNECT properties.
func Props(ps ...packets.Properties) func(*packets.Connect) {
	return func(c *packets.Connect) { c.Props = join(ps) }
}

// Connack returns a CONNACK without Session Present.
func Connack(v packets.Version, rc packets.ReasonCode, ps ...packets.Properties) []byte {
	return packets.AppendConnack(nil, v, false, rc, join(ps))
}

// Publish returns a PUBLISH. Without QoS, id is left out.
func Publish(v packets.Version, qos packets.QoS, id uint16, topic, payload string, ps ...packets.Properties) []byte {
	return packets.AppendPublish(nil, v, byte(qos)<<1, []byte(topic), id, join(ps), []byte(payload), 0)
}

// Ack returns a PUBACK, PUBREC, PUBREL or PUBCOMP; MQTT 3.x leaves rc out.
func Ack(v packets.Version, t packets.Type, id uint16, rc packets.ReasonCode) []byte {
	return packets.AppendAck(nil, v, t, id, rc)
}

// Subscribe returns a SUBSCRIBE to filters, each with QoS 1.
func Subscribe(v packets.Version, id uint16, filters ...string) []byte {
	subs := make([]packets.Subscription, 0, len(filters))
	for _, f := range filters {
		subs = append(subs, packets.Subscription{Filter: []byte(f), Options: 1})
	}
	return packets.AppendSubscribe(nil, v, id, nil, subs)
}

// Suback returns a SUBACK.
func Suback(v packets.Version, id uint16, codes ...packets.ReasonCode) []byte {
	return packets.AppendSuback(nil, v, id, nil, codes)
}

// Disconnect returns a DISCONNECT; MQTT 3.x leaves rc out.
func Disconnect(v packets.Version, rc packets.ReasonCode) []byte {
	return packets.AppendDisconnect(nil, v, rc)
}

// Auth returns an AUTH of MQTT 5.0 with the Authentication Data.
func Auth(rc packets.ReasonCode, method, data string) []byte {
	return packets.AppendAuth(nil, rc, join([]packets.Properties{Text(packets.AuthenticationMethod, method), Text(packets.AuthenticationData, data)}))
}

// Pingreq returns a PINGREQ.
func Pingreq() []byte { return []byte{byte(packets.PINGREQ) << 4, 0} }

// Pingresp returns a PINGRESP.
func Pingresp() []byte { return []byte{byte(packets.PINGRESP) << 4, 0} }

// Uint16 returns a property section with one Two Byte Integer.
func Uint16(id packets.PropertyID, v uint16) packets.Properties {
	return binary.BigEndian.AppendUint16(packets.Properties{byte(id)}, v)
}

// Uint32 returns a property section with one Four Byte Integer.
func Uint32(id packets.PropertyID, v uint32) packets.Properties {
	return binary.BigEndian.AppendUint32(packets.Properties{byte(id)}, v)
}

// Text returns a property section with one string or Binary Data.
func Text(id packets.PropertyID, s string) packets.Properties {
	ps := binary.BigEndian.AppendUint16(packets.Properties{byte(id)}, uint16(len(s))) //nolint:gosec // G115: tests have short texts
	return append(ps, s...)
}

func join(ps []packets.Properties) packets.Properties {
	var all packets.Properties
	for _, p := range ps {
		all = append(all, p...)
	}
	return all
}
