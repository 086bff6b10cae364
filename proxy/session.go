package proxy

import (
	"time"

	"github.com/mqttward/mqttward/packets"
)

// prepare makes the session what it is by the policy of now.
func (c *conn) prepare() {
	c.down.open(c.policy)
	c.up.aliases.max, c.down.aliases.max = c.terms.aliases, c.terms.deliveries
	c.expiry.set(c, c.sess.Identity.Expires)
	p := c.listener.policy.Load() // it may be another by now
	c.withdraw(p)                 // of what the broker has kept
	if !c.recheck(p) {
		c.listener.server.sessions.askLater([]*conn{c}, c.listener, p, firstRecheck)
	}
}

// start runs the session: two pumps until the first of them ends. The connection
// is theirs.
func (c *conn) start() {
	// The broker watches the Keep Alive of its client [MQTT-3.1.2-22]. This is
	// for the case that it does not, and so a second later.
	idle := c.sess.Terms.KeepAlive + c.sess.Terms.KeepAlive/2
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
		conn: c, judge: &c.down, reader: c.brokerReader, source: c.leg.Conn, socket: c.broker, to: &c.toClient, back: &c.toBroker,
		clock: readClock{perPacket: perPacket},
		ends:  pumpEnds{direction: "down", sender: packets.Server, senderGone: EndBrokerClosed, malformed: EndBrokerError, otherGone: EndClientClosed},
	}
	c.pumps.Store(2)
	go c.runPump(upPump)
	go c.runPump(downPump)
}

// runPump runs p to its end. The last pump to end takes the connection with it.
//
// A pump that has nothing to do for a while goes on in a new goroutine: one that
// has moved packets has a stack of 8 KiB, of which waiting takes less than one.
func (c *conn) runPump(p *pump) {
	if !c.pumped(p) {
		go c.runPump(p)
		return
	}
	if c.pumps.Add(-1) == 0 {
		c.finish(c.close())
	}
}

// pumped reports whether p has come to its end, which is the end of the session,
// or only rests.
func (c *conn) pumped(p *pump) (ended bool) {
	defer func() {
		if r := recover(); r != nil {
			c.stop(c.recovered(r))
			ended = true
		}
	}()
	e := p.loop()
	if e == nil {
		return false
	}
	if e.end == p.ends.otherGone {
		// It takes no more, but what it sent last, a DISCONNECT perhaps, is still
		// to be read. The pump that does so ends the session.
		select {
		case <-c.life.Done():
		case <-time.After(lingerTime):
		}
	}
	c.stop(e)
	return true
}

// close ends both sides in order. The broker's is closed without DISCONNECT:
// unless the client has sent one, its Will is due [MQTT-3.1.2-8].
func (c *conn) close() (e *ending) {
	defer c.caught(&e)
	e = c.ending.Load()
	if e.end != EndDisconnect {
		c.withdrawWill()
	}
	if c.sess.Version == packets.V5 && e.code >= packets.UnspecifiedError {
		_ = c.toClient.write(c.disconnect(e))
	}
	closeWrite(c.leg.Conn, c.broker.Conn)
	c.wire.frames.part(e)
	closeWrite(c.client, c.wire.Conn)
	c.broker.drain()
	c.wire.drain()
	return e
}
