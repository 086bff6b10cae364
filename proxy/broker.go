package proxy

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// terms is what a CONNACK lays down for the rest of the session.
type terms struct {
	keepAlive time.Duration // zero: none
	aliases   uint16        // Topic Alias Maximum for the client
}

// reachBroker dials the broker, sends the CONNECT as it came and passes the
// CONNACK to the client. What the client sends meanwhile waits in its socket.
func (c *conn) reachBroker(p *packets.Packet) error {
	if err := c.dial(p.Raw); err != nil {
		return asEnding(err, EndBackend, packets.ServerUnavailable)
	}
	c.reader.Mark(0)
	ack, err := c.readConnack()
	if err != nil {
		return asEnding(err, EndBackend, packets.ServerUnavailable)
	}
	c.agree(ack)
	// From here on each read and write has its own deadline.
	c.wire.timeout, c.broker.timeout = c.policy.Limits.PacketTimeout, c.policy.Limits.PacketTimeout
	if err := errors.Join(c.setDeadline(c.wire.Conn, 0), c.setDeadline(c.broker.Conn, 0)); err != nil {
		return asEnding(err, EndClientClosed, packets.Success)
	}
	if err := c.toClient.write(c.announce(ack)); err != nil {
		return &ending{end: EndClientClosed, err: err}
	}
	c.brokerReader.Mark(0)
	if ack.Reason != packets.Success {
		return &ending{end: EndRefused, err: errors.New(refusalText(ack))}
	}
	return nil
}

// refusalText names the broker's reason in the words of MQTT 5.0.
func refusalText(ack *packets.Packet) string {
	if ack.Version == packets.V5 {
		return ack.Reason.String()
	}
	return [...]string{"", "unacceptable protocol version", "identifier rejected", "server unavailable", "bad user name or password", "not authorized"}[ack.Reason]
}

func (c *conn) dial(connect []byte) error {
	ctx, cancel := c.within(c.policy.Limits.ConnectTimeout)
	defer cancel()
	socket, err := c.policy.Broker.Dial(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.broker = &wire{Conn: socket}
	c.mu.Unlock()
	c.toBroker.out = c.broker
	if err := c.setDeadline(socket, c.policy.Limits.ConnectTimeout); err != nil {
		return err
	}
	_, err = socket.Write(connect)
	return err
}

// readConnack reads the broker's answer, which must be the first packet
// [MQTT-3.2.0-1].
func (c *conn) readConnack() (*packets.Packet, error) {
	r := packets.NewReader(packets.Server)
	r.Version = c.sess.Version
	c.brokerReader = r
	for {
		p, err := r.Next()
		switch {
		case err == nil && p.Type != packets.CONNACK:
			return nil, errors.New("the broker did not begin with a CONNACK")
		case err == nil:
			return p, nil
		case !errors.Is(err, packets.ErrShort):
			return nil, err
		}
		r.Compact()
		if err := r.Fill(c.broker.Conn); err != nil {
			return nil, err
		}
	}
}

// agree notes what the CONNACK lays down and lowers what the policy limits. A
// client that had no identifier takes the one that the broker assigned.
func (c *conn) agree(ack *packets.Packet) {
	keepAlive := c.connect.KeepAlive
	if v, ok := ack.Props.Uint16(packets.ServerKeepAlive); ok { // [MQTT-3.2.2-21]
		keepAlive = v
	}
	c.terms.keepAlive = time.Duration(keepAlive) * time.Second
	if v, ok := ack.Props.Lookup(packets.TopicAliasMaximum); ok {
		c.terms.aliases = binary.BigEndian.Uint16(v)
		if limit := c.policy.Limits.MaxTopicAliases; limit > 0 && limit < c.terms.aliases {
			c.terms.aliases = limit
			binary.BigEndian.PutUint16(v, limit) // in place, in ack.Raw
		}
	}
	if id, ok := ack.Props.Lookup(packets.AssignedClientIdentifier); ok && c.sess.ClientID == "" {
		c.sess.ClientID = string(id)
		c.up.open(c.policy) // for the filters that go by it
	}
}

// announce returns the CONNACK that tells an MQTT 5.0 client the largest packet
// that is taken from it, if that is less than what the broker takes
// [MQTT-3.2.2-15].
func (c *conn) announce(ack *packets.Packet) []byte {
	limit := uint32(min(c.policy.Limits.MaxPacketSize, math.MaxUint32)) //nolint:gosec // G115: just bounded
	if limit == 0 || ack.Version != packets.V5 || ack.Reason != packets.Success {
		return ack.Raw
	}
	if v, ok := ack.Props.Lookup(packets.MaximumPacketSize); ok {
		binary.BigEndian.PutUint32(v, min(limit, binary.BigEndian.Uint32(v))) // in place, in ack.Raw
		return ack.Raw
	}
	ps := append(slices.Clip(ack.Props), byte(packets.MaximumPacketSize))
	ps = binary.BigEndian.AppendUint32(ps, limit)
	b := packets.AppendConnack(nil, packets.V5, ack.SessionPresent, packets.Success, ps)
	// A client that takes only less is not told [MQTT-3.1.2-24].
	if v, ok := c.connect.Props.Lookup(packets.MaximumPacketSize); ok && int64(len(b)) > int64(binary.BigEndian.Uint32(v)) {
		return ack.Raw
	}
	return b
}
