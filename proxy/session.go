package proxy

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// pump runs the session: two pumps until the first of them ends.
func (c *conn) pump() *ending {
	c.down.open(c.policy)
	c.up.aliases.max = c.terms.aliases
	// The broker watches the Keep Alive of its client [MQTT-3.1.2-22]. This is
	// for the case that it does not, and so a second later.
	idle := c.terms.keepAlive + c.terms.keepAlive/2
	if idle > 0 {
		idle += time.Second
	}
	perPacket := c.policy.Limits.PacketTimeout
	upPump := &pump{
		conn: c, judge: c.up.take, reader: c.reader, source: c.client, socket: c.wire, to: &c.toBroker, back: &c.toClient,
		clock: readClock{perPacket: perPacket, idle: idle},
		ends:  pumpEnds{direction: "up", sender: packets.Client, senderGone: EndClientClosed, malformed: EndProtocol, otherGone: EndBrokerClosed},
	}
	downPump := &pump{
		conn: c, judge: c.down.take, reader: c.brokerReader, source: c.broker, socket: c.broker, to: &c.toClient, back: &c.toBroker,
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
	if c.sess.Version == packets.V5 && e.code >= packets.UnspecifiedError {
		_ = c.toClient.write(packets.AppendDisconnect(nil, packets.V5, e.code))
	}
	closeWrite(c.broker.Conn)
	closeWrite(c.client, c.wire.Conn)
	c.broker.drain()
	c.wire.drain()
	return e
}

// judge asks the filters of one direction.
type judge struct {
	conn   *conn
	chain  filters.Chain // opened for the session
	policy *Policy       // whose chain it is
	pick   func(*Policy) filters.Chain
}

// open puts the filters of p in force. What they replace is closed after, so
// that what both hold lives on.
func (j *judge) open(p *Policy) {
	chain := j.pick(p).Open(&j.conn.sess)
	j.chain.Close()
	j.policy, j.chain = p, chain
}

// renew follows a reload.
func (j *judge) renew() {
	if p := j.conn.listener.policy.Load(); p != j.policy {
		j.open(p)
	}
}

// upJudge judges what the client sends.
type upJudge struct {
	judge
	aliases   aliases
	publishes publishes
}

func (j *upJudge) take(now time.Time, pkt *packets.Packet) (filters.Verdict, error) {
	j.renew()
	c := j.conn
	switch pkt.Type {
	case packets.AUTH:
		return filters.Verdict{}, errAuth
	case packets.PUBLISH:
		return j.publish(now, pkt)
	}
	v := j.chain.JudgeUp(now, &c.sess, pkt)
	if pkt.Type == packets.SUBSCRIBE {
		c.noteSubscribe(pkt, v)
	}
	return v, nil
}

func (j *upJudge) publish(now time.Time, pkt *packets.Packet) (filters.Verdict, error) {
	alias, bare, err := j.aliases.resolve(pkt)
	if err != nil {
		return filters.Verdict{}, err
	}
	v := j.chain.JudgeUp(now, &j.conn.sess, pkt)
	j.conn.notePublish(pkt, v)
	if alias != nil && v.Action == filters.Forward {
		if b := alias.forwarded(pkt, bare); b != nil {
			v.Action, v.Packet = filters.Rewrite, b
		}
	}
	return v, nil
}

// downJudge judges what the broker sends.
type downJudge struct{ judge }

func (j *downJudge) take(now time.Time, pkt *packets.Packet) (filters.Verdict, error) {
	j.renew()
	switch pkt.Type {
	case packets.CONNACK:
		return filters.Verdict{}, errSecondConnack
	case packets.AUTH:
		return filters.Verdict{}, errBrokerAuth
	}
	return j.chain.JudgeDown(now, &j.conn.sess, pkt), nil
}

var (
	errSecondConnack = &packets.Error{Code: packets.ProtocolError, Spec: "MQTT-3.2.0-2", Msg: "second CONNACK"}
	errAuth          = &packets.Error{Code: packets.ProtocolError, Spec: "MQTT-4.12.0-7", Msg: "AUTH without an Authentication Method in CONNECT"}
	errBrokerAuth    = &packets.Error{Code: packets.ProtocolError, Spec: "MQTT-4.12.0-6", Msg: "AUTH to a client without an Authentication Method"}
)
