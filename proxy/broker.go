package proxy

import (
	"errors"
	"net"

	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy/backend"
)

// reachBroker dials the broker, sends the CONNECT and passes the CONNACK to the
// client. What the client sends meanwhile waits in its socket.
func (c *conn) reachBroker(pool *backend.Pool, p *packets.Packet) error {
	p, err := c.lower(p)
	if err != nil {
		return connectError(err)
	}
	if err := c.dial(pool, p.Raw); err != nil {
		return asEnding(err, EndBackend, packets.ServerUnavailable)
	}
	c.reader.Mark(0)
	ack, err := c.connack()
	if err != nil {
		return asEnding(err, EndBackend, packets.ServerUnavailable)
	}
	connack, err := c.agree(ack)
	if err != nil {
		_, _ = c.leg.Conn.Write(packets.AppendDisconnect(nil, c.sess.Version, packets.Success)) // there was no session: no Will is due
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

// route finds out where the session goes.
func (c *conn) route() (*backend.Pool, error) {
	pool := c.policy.Route(&c.sess)
	if pool == nil {
		return nil, &ending{end: EndNoRoute, code: packets.ServerUnavailable, err: errors.New("no backend is for the client")}
	}
	c.sess.Backend = pool.Name()
	return pool, nil
}

// dial opens a connection to a server for a client that is still there, and sends it
// the CONNECT, after which no other server will do.
func (c *conn) dial(pool *backend.Pool, connect []byte) error {
	if c.wire.left() {
		return &ending{end: EndEarly}
	}
	header, err := c.proxyHeader(pool.ProxyProtocol())
	if err != nil {
		return &ending{end: EndDenied, code: packets.NotAuthorized, err: err}
	}
	ctx, cancel := c.within(c.policy.Limits.ConnectTimeout)
	defer cancel()
	leg, err := pool.Open(ctx, backend.Client{ID: c.sess.BrokerID(), Rank: c.visit.Rank(), Header: header, Wrap: c.wrapBroker})
	switch {
	case errors.Is(err, backend.ErrFull):
		return &ending{end: EndNoSeat, code: packets.ServerBusy, err: err}
	case err != nil:
		return err
	}
	c.leg, c.toBroker.out = leg, leg.Conn
	c.sess.Server = leg.Server().Name()
	if err := c.setDeadline(c.broker.Conn, c.policy.Limits.ConnectTimeout); err != nil {
		return err
	}
	if _, err := c.leg.Conn.Write(connect); err != nil {
		return backend.Reason(c.leg.Conn, err)
	}
	return nil
}

// wrapBroker puts a wire on a socket to the broker, on which TLS may come.
func (c *conn) wrapBroker(socket net.Conn, tls bool) net.Conn {
	if c.broker != nil { // of a server that could not be used
		c.broker.discard()
	}
	c.brokerReader = packets.NewReader(packets.Server)
	c.brokerReader.Version, c.brokerReader.Lax = c.sess.Version, c.policy.LaxDown
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broker = newWire(socket, c.brokerReader)
	c.broker.records = tls
	return c.broker
}

// connack reads the broker's answer, and tells the pool of it.
func (c *conn) connack() (*packets.Packet, error) {
	ack, err := c.readConnack()
	switch {
	case err == nil:
		c.leg.Answered(!unavailable(ack))
	case isTimeout(err) && c.life.Err() == nil:
		c.leg.Silent()
	}
	// A connection that was closed may have been the client's fault: nobody shall be
	// able to take a server away from others.
	return ack, err
}

// unavailable reports whether a CONNACK says that the broker serves nobody now.
func unavailable(ack *packets.Packet) bool {
	if ack.Version != packets.V5 {
		return ack.Reason == 3
	}
	switch ack.Reason {
	case packets.ServerUnavailable, packets.ServerBusy, packets.UseAnotherServer, packets.ServerMoved:
		return true
	}
	return false
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
		if err := c.broker.feed(c.leg.Conn); err != nil {
			return nil, err
		}
	}
}
