package proxy

import (
	"time"

	"github.com/mqttward/mqttward/packets"
)

// pump runs the session: two pumps until the first of them ends.
func (c *conn) pump() *ending {
	c.down.open(c.policy)
	c.up.aliases.max, c.down.aliases.max = c.terms.aliases, c.terms.deliveries
	c.expiry.set(c, c.sess.Identity.Expires)
	defer c.expiry.stop()
	p := c.listener.policy.Load() // it may be another by now
	c.withdraw(p)                 // of what the broker has kept
	if !c.recheck(p) {
		c.listener.server.sessions.askLater([]*conn{c}, c.listener, p, firstRecheck)
	}
	// The broker watches the Keep Alive of its client [MQTT-3.1.2-22]. This is
	// for the case that it does not, and so a second later.
	idle := c.terms.keepAlive + c.terms.keepAlive/2
	if idle > 0 {
		idle += time.Second
	}
	perPacket := c.policy.Limits.PacketTimeout
	upPump := &pump{
		conn: c, judge: &c.up, reader: c.reader, source: c.client, socket: c.wire, to: &c.toBroker, back: &c.toClient,
		clock: readClock{perPacket: perPacket, idle: idle},
		ends:  pumpEnds{direction: "up", sender: packets.Client, senderGone: EndClientClosed, malformed: EndProtocol, otherGone: EndBrokerClosed},
	}
	downPump := &pump{
		conn: c, judge: &c.down, reader: c.brokerReader, source: c.broker, socket: c.broker, to: &c.toClient, back: &c.toBroker,
		clock: readClock{perPacket: perPacket},
		ends:  pumpEnds{direction: "down", sender: packets.Server, senderGone: EndBrokerClosed, malformed: EndBrokerError, otherGone: EndClientClosed},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.runPump(upPump)
	}()
	c.runPump(downPump)
	<-done
	return c.close()
}

// runPump runs p to its end, which is the end of the session.
func (c *conn) runPump(p *pump) {
	defer func() {
		if r := recover(); r != nil {
			c.stop(c.recovered(r))
		}
	}()
	e := p.loop()
	if e.end == p.ends.otherGone {
		// It takes no more, but what it sent last, a DISCONNECT perhaps, is still
		// to be read. The pump that does so ends the session.
		select {
		case <-c.life.Done():
		case <-time.After(lingerTime):
		}
	}
	c.stop(e)
}

// close ends both sides in order. The broker's is closed without DISCONNECT:
// unless the client has sent one, its Will is due [MQTT-3.1.2-8].
func (c *conn) close() *ending {
	e := c.ending.Load()
	if e.end != EndDisconnect {
		c.withdrawWill()
	}
	if c.sess.Version == packets.V5 && e.code >= packets.UnspecifiedError {
		_ = c.toClient.write(packets.AppendDisconnect(nil, packets.V5, e.code))
	}
	closeWrite(c.broker.Conn)
	closeWrite(c.client, c.wire.Conn)
	c.broker.drain()
	c.wire.drain()
	return e
}
