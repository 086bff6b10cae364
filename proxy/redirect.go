package proxy

import "github.com/mqttward/mqttward/packets"

// properties are those of a CONNACK or DISCONNECT that refers to another server.
func (e *ending) properties() packets.Properties {
	return packets.Properties{}.With(packets.ServerReference, []byte(e.reference))
}

// disconnect is the last packet for an MQTT 5.0 client.
func (c *conn) disconnect(e *ending) []byte {
	b := packets.AppendDisconnect(nil, packets.V5, e.code)
	if e.reference == "" {
		return b
	}
	return c.referred(b, packets.AppendDisconnectWith(nil, e.code, e.properties()))
}

// referred returns with, which is b and a Server Reference, if the client takes a
// packet of its size [MQTT-3.1.2-24]. The Reason Code says enough
// alone: the reference is optional (MQTT 5.0 section 4.13).
func (c *conn) referred(b, with []byte) []byte {
	if len(with) > c.largest() {
		return b
	}
	return with
}
