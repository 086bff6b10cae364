package proxy

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// judge asks the filters of one direction.
type judge struct {
	conn    *conn
	chain   filters.Chain // opened for the session
	policy  *Policy       // whose chain it is
	proof   *filters.Identity
	passed  int // filters that have let the packet at hand go on, see short
	pick    func(Chains) filters.Chain
	aliases aliases
}

// open puts the filters of p in force. What they replace is closed after, so
// that what both hold lives on.
func (j *judge) open(p *Policy) {
	j.proof = j.conn.sess.Proof()
	chain := j.pick(p.chains(j.conn.sess.Backend)).Open(&j.conn.sess)
	j.chain.Close()
	j.policy, j.chain = p, chain
}

// stale reports whether renew has something to do.
func (j *judge) stale() bool {
	return j.policy != j.conn.listener.policy.Load() || j.proof != j.conn.sess.Proof()
}

// short goes the short way with a packet that is simple enough for it, and reports
// whether it goes on as it is.
func (j *judge) short(now time.Time, p *packets.Packet) (all bool) {
	if p.Type != packets.PUBLISH || p.ID != 0 || p.Rest > 0 || len(p.Props) > 0 || j.conn.sess.Due() || j.stale() {
		return false
	}
	if j.passed, all = j.chain.Passes(now, &j.conn.sess, p); all {
		j.passed = 0
	}
	return all
}

// left returns the filters that have to judge the packet at hand.
func (j *judge) left() filters.Chain {
	n := j.passed
	j.passed = 0
	return j.chain[n:]
}

// renew follows a reload, and a new proof of the client's identity. It reports
// whether there was one. What filters have begun to judge by the short way, they
// finish: a limit that has counted the packet would count it again.
func (j *judge) renew() bool {
	if j.passed > 0 || !j.stale() {
		return false
	}
	j.open(j.conn.listener.policy.Load())
	return true
}

// upJudge judges what the client sends.
type upJudge struct {
	judge
	publishes publishes
}

func (j *upJudge) passes(now time.Time, pkt *packets.Packet) bool {
	passes := j.short(now, pkt)
	if passes {
		j.publishes.allowed++
	}
	return passes
}

func (j *upJudge) take(now time.Time, pkt *packets.Packet) (filters.Verdict, error) {
	c := j.conn
	if j.renew() {
		if err := c.stays(j.policy); err != nil {
			return filters.Verdict{}, err
		}
		c.sess.Judged()
	}
	if c.sess.Due() {
		c.unsubscribe()
	}
	switch pkt.Type {
	case packets.AUTH:
		return c.reauthenticate(pkt)
	case packets.PUBLISH:
		v, err := j.publish(now, pkt)
		if awaitsPubrel(pkt, v) {
			c.pubrels.expect(c)
		}
		if v.Action == filters.Reply && c.notices.waiting.Load() {
			v = c.tellReply(v)
		}
		return v, err
	}
	v := j.chain.JudgeUp(now, &c.sess, pkt)
	if v.Delay > 0 {
		c.listener.server.observer.Decided("packet", "delayed", 1)
	}
	switch pkt.Type {
	case packets.SUBSCRIBE, packets.UNSUBSCRIBE:
		if pkt.Type == packets.SUBSCRIBE && v.Action != filters.Hold {
			c.noteSubscribe(pkt, v)
			// Who puts a policy in force sees to the subscriptions of before. This one
			// may have come in between.
			if p := c.listener.policy.Load(); p != j.policy {
				c.withdraw(p)
			}
		}
		c.answers.expect(c)
	case packets.PUBREL:
		if v.Action == filters.Reply && v.Rule != "" {
			c.noteRelease(v)
		}
	case packets.DISCONNECT:
		return j.goodbye(pkt, v), nil
	default:
	}
	if v.Action == filters.Reply {
		if c.notices.waiting.Load() {
			v = c.tellReply(v)
		}
		v = c.fit(v)
	}
	return v, nil
}

func (j *upJudge) publish(now time.Time, pkt *packets.Packet) (filters.Verdict, error) {
	sent := pkt.Topic
	alias, bare, err := j.aliases.resolve(pkt)
	if err != nil {
		return filters.Verdict{}, err
	}
	c := j.conn
	if most := c.sess.Terms.PacketMaximum; bare && !alias.known && most > 0 && alias.grown(pkt)+c.prefixes(pkt) > most {
		v := filters.Deny(&c.sess, pkt, packets.ImplementationSpecificError, "larger with its Topic Name than the broker takes")
		c.notePublish(pkt, v)
		return v, nil
	}
	v := j.left().JudgeUp(now, &c.sess, pkt)
	if v.Action == filters.Hold || v.Action == filters.Gather {
		pkt.Topic = sent // to be resolved again
		return v, nil
	}
	c.notePublish(pkt, v)
	if alias != nil {
		v = j.alias(pkt, alias, bare, v, packets.Client)
	}
	return v, nil
}

// alias returns v with what is to be sent for p, which uses al. The two ends know al
// by different names if the session has a namespace.
func (j *judge) alias(p *packets.Packet, al *alias, bare bool, v filters.Verdict, from packets.Role) filters.Verdict {
	switch v.Action {
	case filters.Forward:
		return al.passed(p, bare, v)
	case filters.Rewrite:
	default:
		return v
	}
	q, err := p.Reparse(v.Packet, from)
	if err != nil {
		return v // which the pump finds too
	}
	atBroker, atClient := q.Topic, al.topic
	if from == packets.Server {
		atBroker, atClient = al.topic, q.Topic
	}
	always := string(atBroker) == j.conn.sess.Namespace.Topics+string(atClient)
	return al.renamed(q, bare, always, v)
}

// downJudge judges what the broker sends.
type downJudge struct{ judge }

func (j *downJudge) passes(now time.Time, pkt *packets.Packet) bool {
	return !j.conn.notices.waiting.Load() && j.short(now, pkt)
}

func (j *downJudge) take(now time.Time, pkt *packets.Packet) (filters.Verdict, error) {
	if j.renew() {
		if err := j.conn.stays(j.policy); err != nil {
			return filters.Verdict{}, err
		}
	}
	switch pkt.Type {
	case packets.CONNACK:
		return filters.Verdict{}, errSecondConnack
	case packets.AUTH:
		return filters.Verdict{}, errBrokerAuth
	case packets.PUBLISH:
		return j.publish(now, pkt)
	}
	v := j.chain.JudgeDown(now, &j.conn.sess, pkt)
	if j.conn.sess.Due() {
		j.conn.unsubscribe()
	}
	if j.conn.notices.waiting.Load() {
		v = j.conn.tell(pkt, v)
	}
	if v.Action == filters.Rewrite {
		v = j.conn.fit(v)
	}
	if pkt.Type == packets.PUBREC && v.Action >= filters.Rewrite {
		j.conn.pubrels.expect(j.conn)
	}
	return v, nil
}

func (j *downJudge) publish(now time.Time, pkt *packets.Packet) (filters.Verdict, error) {
	alias, bare, err := j.aliases.resolve(pkt)
	if err != nil {
		return filters.Verdict{}, err
	}
	c := j.conn
	var v filters.Verdict
	if most := c.terms.clientMax; bare && !alias.known && most > 0 && alias.grown(pkt)-len(c.sess.Namespace.Topics) > most { // [MQTT-3.1.2-25]
		v = c.sess.Withhold(pkt, "larger with its Topic Name than the client takes")
	} else {
		v = j.left().JudgeDown(now, &c.sess, pkt)
	}
	switch {
	case v.Action >= filters.Rewrite && alias != nil:
		v = j.alias(pkt, alias, bare, v, packets.Server)
	case v.Action < filters.Rewrite:
		c.noteDelivery(pkt, v)
	}
	if v.Action >= filters.Rewrite && v.Monitored != "" {
		c.noteDelivery(pkt, v)
	}
	if v.Action >= filters.Rewrite && v.Delay > 0 {
		c.listener.server.observer.Decided("receive", "delayed", 1)
	}
	if c.notices.waiting.Load() {
		v = c.tell(pkt, v)
	}
	return v, nil
}

// fit makes a packet for the client as small as the client wants it, without
// what is optional in it [MQTT-3.1.2-24].
func (c *conn) fit(v filters.Verdict) filters.Verdict {
	most := c.terms.clientMax
	if most == 0 || len(v.Packet) <= most {
		return v
	}
	p, err := packets.Parse(v.Packet, c.sess.Version, packets.Server)
	if err == nil && len(p.Props) > 0 {
		switch p.Type {
		case packets.SUBACK:
			v.Packet = packets.AppendSuback(nil, c.sess.Version, p.ID, nil, codesOf(p))
		case packets.UNSUBACK:
			v.Packet = packets.AppendUnsuback(nil, c.sess.Version, p.ID, nil, codesOf(p))
		default:
		}
	}
	if len(v.Packet) > most {
		return filters.Verdict{Reason: packets.PacketTooLarge, Rule: "the client takes no packet as large as the answer"}
	}
	return v
}

var (
	errSecondConnack = &packets.Error{Code: packets.ProtocolError, Spec: "MQTT-3.2.0-2", Msg: "second CONNACK"}
	errAuth          = &packets.Error{Code: packets.ProtocolError, Spec: "MQTT-4.12.0-7", Msg: "AUTH without an Authentication Method in CONNECT"}
	errBrokerAuth    = &packets.Error{Code: packets.ProtocolError, Spec: "MQTT-4.12.0-6", Msg: "AUTH to a client without an Authentication Method"}
)
