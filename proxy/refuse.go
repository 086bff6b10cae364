package proxy

import "github.com/mqttward/mqttward/packets"

// refuse ends a connection that did not become a session: with a CONNACK, if
// a CONNECT of a known version has been seen, and an orderly close.
func (c *conn) refuse(e *ending) *ending {
	if stopped := c.ending.Load(); stopped != nil && e.end != EndRefused {
		e = stopped
	}
	// Broker, upgrade and crypto/tls have told the client themselves.
	told := e.end == EndRefused || e.end == EndUpgrade || c.wire.frames.settled() || e.end == EndHandshake && !isTimeout(e) && !isGone(e)
	b := connackFor(c.reader.Version, e)
	if b != nil && e.reference != "" && c.reader.Version == packets.V5 {
		b = c.referred(b, packets.AppendConnack(nil, packets.V5, false, e.code, e.properties()))
	}
	if c.policy.Silent && e.end != EndRefused {
		b = nil
	}
	if b == nil && !told {
		return e
	}
	c.wire.hurry()
	if b != nil {
		_ = c.toClient.write(b)
	}
	c.wire.frames.part(e)
	closeWrite(c.client, c.wire.Conn)
	c.wire.drain()
	return e
}

// connackFor is the CONNACK for a refusal, nil for silence.
func connackFor(v packets.Version, e *ending) []byte {
	switch {
	case v == 0, e.code == packets.Success:
		return nil
	case e.end == EndMalformed && v < packets.V5 && e.code != packets.UnsupportedProtocolVersion && e.code != packets.ClientIdentifierNotValid:
		return nil // [MQTT-3.1.4-1] of 3.1.1: a malformed CONNECT gets no answer
	}
	code := e.code
	if code == packets.ServerShuttingDown { // no code of CONNACK
		code = packets.ServerUnavailable
	}
	return packets.AppendConnack(nil, min(v, packets.V5), false, code, nil)
}
