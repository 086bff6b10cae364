package proxy

import (
	"errors"
	"log/slog"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// accept takes the CONNECT, finds out who the client is, lets the policy judge
// it, and only then dials the broker, which has to accept it too.
func (c *conn) accept() error {
	p, err := c.readConnect()
	if err != nil {
		return err
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	if err := c.claimUser(); err != nil {
		return err
	}
	p, err = c.authenticate(p)
	if err != nil {
		return err
	}
	if err := c.identify(); err != nil {
		return err
	}
	if c.sess.Namespace, err = c.policy.namespace(&c.sess); err != nil {
		return protocolEnding(err, EndDenied)
	}
	if p, err = c.endHere(p); err != nil {
		return err
	}
	if err := c.enter(); err != nil {
		return err
	}
	pool, err := c.route()
	if err != nil {
		return err
	}
	c.up.open(c.policy)
	if p, err = c.judgeConnect(p); err != nil {
		return err
	}
	return c.reachBroker(pool, p)
}

// claimUser says who the client claims to be. With enhanced authentication that comes
// later: what the CONNECT says need not be true, and could take as long as its client
// likes.
func (c *conn) claimUser() error {
	name := string(c.connect.Username)
	if c.auth.method != "" {
		name = ""
	}
	fingerprint, _ := filters.CertificateValue(c.sess.Certificate, "cert.fingerprint")
	if r := c.visit.Claim(time.Now(), name, fingerprint); r != nil {
		return r.ending()
	}
	return nil
}

// enter claims the client identifier, and asks whether there is a place for the
// session.
func (c *conn) enter() error {
	n := Newcomer{Username: c.sess.Identity.Username, Tenant: c.sess.Identity.Tenant}
	if taken := c.claim(); c.sess.Owner == c.sess.Identity.Principal() {
		n.ClientID, n.Taken = c.sess.BrokerID(), taken
	}
	if r := c.visit.Enter(time.Now(), n); r != nil {
		return r.ending()
	}
	return nil
}

// readConnect reads the first packet, which must be a CONNECT.
func (c *conn) readConnect() (*packets.Packet, error) {
	limits := &c.policy.Limits
	if err := c.setDeadline(c.wire.Conn, limits.ConnectTimeout); err != nil {
		return nil, err
	}
	c.reader.Max = limits.MaxConnectSize
	for {
		p, err := c.reader.Next()
		switch {
		case err == nil:
			c.reader.Max = limits.MaxPacketSize
			return p, c.takeConnect(p)
		case !errors.Is(err, packets.ErrShort):
			return nil, connectError(err)
		}
		if err := c.wire.feed(c.client); err != nil {
			return nil, readConnectError(err)
		}
	}
}

// takeConnect keeps what the session needs of a CONNECT.
func (c *conn) takeConnect(p *packets.Packet) error {
	var err error
	if c.connect, err = p.Connect(); err != nil {
		return connectError(err)
	}
	c.sess.Version = p.Version
	c.sess.ClientID = string(c.connect.ClientID)
	if method, ok := c.connect.Props.Lookup(packets.AuthenticationMethod); ok {
		c.auth.method = string(method)
	}
	if most, ok := c.connect.Props.Uint32(packets.MaximumPacketSize); ok {
		c.terms.clientMax = int(most)
	}
	return nil
}

// identify refuses an identifier that is not one of the client's, before it is
// claimed, and assigns one to a client without [MQTT-3.1.3-6], so that rules can go
// by it.
func (c *conn) identify() error {
	ids := c.policy.ClientIDs
	if c.sess.ClientID != "" {
		if ids.Match(&c.sess) {
			return nil
		}
		return notIdentified("client_id.match allows the user no such client identifier")
	}
	var ok bool
	if c.sess.ClientID, ok = ids.Assign(&c.sess); !ok {
		return notIdentified("client_id.match has no identifier for the user")
	}
	c.assigned = true
	return nil
}

// endHere puts the identifier that was assigned into the CONNECT, and takes out the
// enhanced authentication that ends here.
func (c *conn) endHere(p *packets.Packet) (*packets.Packet, error) {
	if !c.assigned && c.auth.method == "" {
		return p, nil
	}
	connect := c.connect
	connect.ClientID = []byte(c.sess.ClientID)
	connect.Props = connect.Props.Without(packets.AuthenticationMethod, packets.AuthenticationData)
	return c.rewritten(p, packets.AppendConnect(nil, p.Version, &connect))
}

func notIdentified(why string) *ending {
	return &ending{end: EndDenied, code: packets.ClientIdentifierNotValid, err: errors.New(why)}
}

// checkNames refuses a user name that could pass for a wildcard before anybody is
// asked about it.
func (c *conn) checkNames() error {
	if c.policy.Lax.Has(packets.CheckName) || filters.PlainName(string(c.connect.Username)) {
		return nil
	}
	return &ending{end: EndDenied, code: packets.NotAuthorized, err: &packets.Error{
		Code: packets.NotAuthorized, Msg: "user name has a wildcard or control character", Check: packets.CheckName,
	}}
}

func connectError(err error) error {
	e := protocolEnding(err, EndMalformed)
	switch {
	case e.code == packets.PacketTooLarge:
		e.end = EndConnectSize
	case errors.Is(err, packets.ErrNotConnect):
		e.end = EndNotMQTT
	}
	return e
}

func readConnectError(err error) error {
	_, violation := errors.AsType[*packets.Error](err)
	switch {
	case violation: // of a WebSocket
		return connectError(err)
	case isTimeout(err):
		return &ending{end: EndConnectTime}
	case isGone(err):
		return &ending{end: EndEarly}
	}
	return &ending{end: EndHandshake, err: err} // TLS 1.3 reports some failures with the first read
}

// judgeConnect refuses what the policy refuses, the Will above all, and returns
// the CONNECT that the broker gets.
func (c *conn) judgeConnect(p *packets.Packet) (*packets.Packet, error) {
	v := c.up.chain.JudgeUp(time.Now(), &c.sess, p)
	c.noteChecks(p, v)
	outcome := "allowed"
	switch {
	case v.Action < filters.Rewrite:
		outcome = "denied"
	case v.Monitored != "":
		outcome = "monitored"
		c.log("connect would be denied", slog.String("rule", v.Monitored))
	}
	if w := c.connect.Will; w != nil {
		if v.Content != filters.ContentSound {
			c.noteContent(c.brokerTopic(w.Topic), v)
		}
		c.listener.server.observer.Decided("will", outcome, 1)
	}
	if v.Action < filters.Rewrite {
		return nil, &ending{end: EndDenied, code: max(v.Reason, packets.UnspecifiedError), err: errors.New("refused by the policy"), rule: v.Rule}
	}
	if v.Action == filters.Forward {
		return p, nil
	}
	return c.rewritten(p, v.Packet)
}

// rewritten is p as b, parsed again: what goes on is what was checked.
func (c *conn) rewritten(p *packets.Packet, b []byte) (*packets.Packet, error) {
	p, err := p.Reparse(b, packets.Client)
	if err == nil {
		c.connect, err = p.Connect()
	}
	if err != nil {
		return nil, &ending{end: EndDenied, code: packets.UnspecifiedError, err: err}
	}
	return p, nil
}
