package proxy

import (
	"errors"

	"github.com/mqttward/mqttward/packets"
)

// reachBroker dials the broker, sends the CONNECT and passes the CONNACK to the
// client. What the client sends meanwhile waits in its socket.
func (c *conn) reachBroker(p *packets.Packet) error {
	p, err := c.lower(p)
	if err != nil {
		return connectError(err)
	}
	header, err := c.proxyHeader()
	if err != nil {
		return &ending{end: EndDenied, code: packets.NotAuthorized, err: err}
	}
	if err := c.sit(); err != nil {
		return err
	}
	if err := c.dial(append(header, p.Raw...)); err != nil {
		return asEnding(err, EndBackend, packets.ServerUnavailable)
	}
	c.reader.Mark(0)
	ack, err := c.readConnack()
	if err != nil {
		return asEnding(err, EndBackend, packets.ServerUnavailable)
	}
	connack, err := c.agree(ack)
	if err != nil {
		_, _ = c.broker.Write(packets.AppendDisconnect(nil, c.sess.Version, packets.Success)) // there was no session: no Will is due
		return err
	}
	// From here on each read and write has its own deadline.
	c.wire.timeout, c.broker.timeout = c.policy.Limits.PacketTimeout, c.policy.Limits.PacketTimeout
	if err := errors.Join(c.setDeadline(c.wire.Conn, 0), c.setDeadline(c.broker.Conn, 0)); err != nil {
		return asEnding(err, EndClientClosed, packets.Success)
	}
	if err := c.toClient.write(connack); err != nil {
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
	texts := [...]string{"", "unacceptable protocol version", "identifier rejected", "server unavailable", "bad user name or password", "not authorized"}
	if int(ack.Reason) < len(texts) {
		return texts[ack.Reason]
	}
	return ack.Reason.String() // a broker that we have been told to be lax with
}

// sit takes one of the connections that the broker has for us, for a client that is
// still there.
func (c *conn) sit() error {
	if c.wire.left() {
		return &ending{end: EndEarly}
	}
	if c.policy.Seats == nil {
		return nil
	}
	if !c.policy.Seats.Try(c.visit.Rank()) {
		return &ending{end: EndNoSeat, code: packets.ServerBusy, err: errors.New("backends[].max_connections is reached")}
	}
	c.seated = true
	return nil
}

func (c *conn) dial(connect []byte) error {
	ctx, cancel := c.within(c.policy.Limits.ConnectTimeout)
	defer cancel()
	socket, err := c.policy.Broker.Dial(ctx)
	if err != nil {
		return err
	}
	c.brokerReader = packets.NewReader(packets.Server)
	c.brokerReader.Version, c.brokerReader.Lax = c.sess.Version, c.policy.LaxDown
	c.mu.Lock()
	c.broker = newWire(socket, c.brokerReader)
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
	for {
		p, err := c.brokerReader.Next()
		switch {
		case err == nil && p.Type != packets.CONNACK:
			return nil, errors.New("the broker did not begin with a CONNACK")
		case err == nil:
			return p, nil
		case !errors.Is(err, packets.ErrShort):
			return nil, err
		}
		if err := c.broker.feed(c.broker); err != nil {
			return nil, err
		}
	}
}
