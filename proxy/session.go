package proxy

import (
	"errors"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// pump runs the session: two pumps until the first of them ends.
func (c *conn) pump(chain filters.Chain) *ending {
	up := &upJudge{conn: c, policy: c.policy, chain: chain, aliases: aliases{max: c.terms.aliases}}
	down := &downJudge{conn: c, policy: c.policy, chain: c.policy.Down.Open(&c.sess)}
	defer func() {
		up.chain.Close()
		down.chain.Close()
	}()
	// The broker watches the Keep Alive of its client [MQTT-3.1.2-22]. This is
	// for the case that it does not, and so a second later.
	idle := c.terms.keepAlive + c.terms.keepAlive/2
	if idle > 0 {
		idle += time.Second
	}
	perPacket := c.policy.Limits.PacketTimeout
	upPump := &pump{
		conn: c, judge: up.judge, reader: c.reader, source: c.client, socket: c.wire, to: &c.toBroker, back: &c.toClient,
		clock: readClock{perPacket: perPacket, idle: idle},
		ends:  pumpEnds{direction: "up", senderGone: EndClientClosed, malformed: EndProtocol, otherGone: EndBrokerClosed},
	}
	downPump := &pump{
		conn: c, judge: down.judge, reader: c.brokerReader, source: c.broker, socket: c.broker, to: &c.toClient, back: &c.toBroker,
		clock: readClock{perPacket: perPacket},
		ends:  pumpEnds{direction: "down", senderGone: EndBrokerClosed, malformed: EndBrokerError, otherGone: EndClientClosed},
	}
	if err := errors.Join(c.setDeadline(c.wire.Conn, 0), c.setDeadline(c.broker.Conn, 0)); err != nil {
		c.stop(asEnding(err, EndClientClosed, packets.Success))
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
	c.stop(p.loop())
}

// close ends both sides in order. The broker's is closed without DISCONNECT:
// unless the client has sent one, its Will is due [MQTT-3.1.2-8].
func (c *conn) close() *ending {
	e := c.ending.Load()
	var last []byte
	if c.sess.Version == packets.V5 && e.code >= packets.UnspecifiedError {
		last = packets.AppendDisconnect(nil, packets.V5, e.code)
	}
	c.toClient.finish(last)
	c.toBroker.finish(nil)
	linger(c.broker.Conn, c.broker.Conn)
	linger(c.client, c.wire.Conn)
	return e
}

// upJudge judges what the client sends.
type upJudge struct {
	conn    *conn
	policy  *Policy
	chain   filters.Chain
	aliases aliases
}

func (j *upJudge) judge(now time.Time, pkt *packets.Packet) (filters.Verdict, error) {
	c := j.conn
	if p := c.listener.policy.Load(); p != j.policy {
		j.chain.Close()
		j.policy, j.chain = p, p.Up.Open(&c.sess)
	}
	if pkt.Type == packets.AUTH {
		return filters.Verdict{}, errAuth
	}
	if pkt.Type != packets.PUBLISH {
		v := j.chain.JudgeUp(now, &c.sess, pkt)
		c.noteSubscribe(pkt, v)
		return v, nil
	}
	alias, bare, err := j.aliases.resolve(pkt)
	if err != nil {
		return filters.Verdict{}, err
	}
	v := j.chain.JudgeUp(now, &c.sess, pkt)
	c.notePublish(pkt, v)
	if alias != nil && v.Action == filters.Forward {
		if b := alias.forwarded(pkt, bare); b != nil {
			v.Action, v.Packet = filters.Rewrite, b
		}
	}
	return v, nil
}

// downJudge judges what the broker sends.
type downJudge struct {
	conn   *conn
	policy *Policy
	chain  filters.Chain
}

func (j *downJudge) judge(now time.Time, pkt *packets.Packet) (filters.Verdict, error) {
	c := j.conn
	if p := c.listener.policy.Load(); p != j.policy {
		j.chain.Close()
		j.policy, j.chain = p, p.Down.Open(&c.sess)
	}
	switch pkt.Type {
	case packets.CONNACK:
		return filters.Verdict{}, errSecondConnack
	case packets.AUTH:
		return filters.Verdict{}, errAuth
	}
	return j.chain.JudgeDown(now, &c.sess, pkt), nil
}

var (
	errSecondConnack = &packets.Error{Code: packets.ProtocolError, Spec: "MQTT-3.2.0-2", Msg: "second CONNACK"}
	errAuth          = &packets.Error{Code: packets.ProtocolError, Spec: "MQTT-4.12.0-7", Msg: "AUTH without an Authentication Method in CONNECT"}
)
