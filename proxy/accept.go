package proxy

import (
	"cmp"
	"errors"
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
	if err := c.authenticate(); err != nil {
		return err
	}
	c.claim()
	c.up.open(c.policy)
	if err := c.judgeConnect(p); err != nil {
		return err
	}
	return c.reachBroker(p)
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
		c.reader.Compact()
		if err := c.reader.Fill(c.client); err != nil {
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
	// An exchange of AUTH packets is not followed, and what is not followed is
	// not let through.
	if _, ok := c.connect.Props.Lookup(packets.AuthenticationMethod); ok {
		return &ending{end: EndDenied, code: packets.BadAuthenticationMethod, err: errors.New("enhanced authentication is not offered")}
	}
	return nil
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
	switch {
	case isTimeout(err):
		return &ending{end: EndConnectTime}
	case isGone(err):
		return &ending{end: EndEarly}
	}
	return &ending{end: EndHandshake, err: err} // TLS 1.3 reports some failures with the first read
}

// authenticate asks the policy who the client is.
func (c *conn) authenticate() error {
	ctx, cancel := c.within(c.policy.Limits.ConnectTimeout)
	defer cancel()
	id, err := c.policy.Authn.Authenticate(ctx, filters.Credentials{
		ClientID:    c.sess.ClientID,
		Username:    string(c.connect.Username),
		HasUsername: c.connect.HasUsername,
		Password:    filters.Secret(c.connect.Password),
		HasPassword: c.connect.HasPassword,
		Certificate: c.sess.Certificate,
		RemoteAddr:  c.remote.Addr(),
		Listener:    c.sess.Listener,
	})
	if err == nil {
		c.sess.Identity = id
		c.listener.server.observer.Authenticated(id.Method, "accepted")
		return nil
	}
	e := protocolEnding(err, EndCredentials)
	outcome := "refused"
	switch e.code {
	case packets.BadUserNameOrPassword, packets.NotAuthorized:
	case packets.UnspecifiedError: // no *packets.Error: something broke
		e.code = packets.ServerUnavailable
		fallthrough
	default:
		e.end, outcome = EndAuthDown, "unavailable"
	}
	c.listener.server.observer.Authenticated(cmp.Or(id.Method, "none"), outcome)
	return e
}

// judgeConnect refuses what the policy refuses, the Will above all.
func (c *conn) judgeConnect(p *packets.Packet) error {
	v := c.up.chain.JudgeUp(time.Now(), &c.sess, p)
	c.noteChecks(p, v)
	outcome := "allowed"
	if v.Action != filters.Forward {
		outcome = "denied"
	}
	if c.connect.Will != nil {
		c.listener.server.observer.Decided("will", outcome, 1)
	}
	if v.Action != filters.Forward {
		return &ending{end: EndDenied, code: max(v.Reason, packets.UnspecifiedError), err: errors.New("refused by the policy"), rule: v.Rule}
	}
	return nil
}
