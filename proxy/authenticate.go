package proxy

import (
	"bytes"
	"cmp"
	"context"
	"errors"

	"golang.org/x/time/rate"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// auth is what a connection has of MQTT 5.0 enhanced authentication (section
// 4.12).
type auth struct {
	method   string           // Authentication Method of CONNECT; "": it has none
	dialogue filters.Dialogue // under way; nil: none
	final    []byte           // Authentication Data that goes with the CONNACK
	pace     *rate.Limiter    // of the AUTH packets in a session; nil: there was none
}

// Re-authentication costs more than other packets do: a signature, or a question to
// somebody else. A client that is faster than this is read more slowly.
const (
	authRate  = 1 // AUTH packets a second
	authBurst = 8
)

// last is what the CONNACK says of it [MQTT-4.12.0-5].
func (a *auth) last() packets.Properties {
	if a.method == "" {
		return nil
	}
	return a.properties(a.final)
}

func (a *auth) properties(data []byte) packets.Properties {
	ps := packets.Properties{}.With(packets.AuthenticationMethod, []byte(a.method))
	if data != nil {
		ps = ps.With(packets.AuthenticationData, data)
	}
	return ps
}

// authenticate asks the policy who the client is. It returns the CONNECT, which
// lies elsewhere if packets came behind it.
func (c *conn) authenticate(p *packets.Packet) (*packets.Packet, error) {
	id, err := filters.Identity{}, error(nil)
	if c.auth.method == "" {
		ctx, cancel := c.within(c.policy.Limits.ConnectTimeout)
		defer cancel()
		id, err = c.authenticator().Authenticate(ctx, c.credentials())
	} else {
		if p, err = c.rewritten(p, bytes.Clone(p.Raw)); err != nil { // the buffer is needed
			return nil, err
		}
		id, err = c.converse()
	}
	if err != nil {
		return nil, c.notAuthenticated(id.Method, err)
	}
	c.sess.Identity = id
	c.listener.server.observer.Authenticated(id.Method, "accepted")
	return p, nil
}

// authenticator is that of now: the connection may have come before a reload.
func (c *conn) authenticator() Authenticator { return c.listener.policy.Load().Authn }

func (c *conn) credentials() filters.Credentials {
	return filters.Credentials{
		Version:     c.sess.Version,
		CleanStart:  c.connect.CleanStart,
		ClientID:    c.sess.ClientID,
		Username:    string(c.connect.Username),
		HasUsername: c.connect.HasUsername,
		Password:    filters.Secret(bytes.Clone(c.connect.Password)), // who is asked may still read it when the buffer is another's
		HasPassword: c.connect.HasPassword,
		AuthMethod:  c.auth.method,
		Certificate: c.sess.Certificate,
		RemoteAddr:  c.sess.RemoteAddr.Addr(),
		Listener:    c.sess.Listener,
		Rank:        c.visit.Rank(),
		Left:        c.wire.left,
	}
}

// notAuthenticated counts a refusal by method, "" if none had a say, and returns
// how the connection ends.
func (c *conn) notAuthenticated(method string, err error) *ending {
	if e, ok := errors.AsType[*ending](err); ok { // the client's own doing
		return e
	}
	e := protocolEnding(err, EndCredentials)
	outcome := "refused"
	switch e.code {
	case packets.ServerBusy:
		if c.wire.left() {
			return &ending{end: EndEarly}
		}
		e.end, outcome = EndAuthDown, "unavailable"
	case packets.ServerUnavailable:
		e.end, outcome = EndAuthDown, "unavailable"
	case packets.UnspecifiedError: // no *packets.Error: something broke
		e.code, e.end, outcome = packets.ServerUnavailable, EndAuthDown, "unavailable"
	default:
	}
	c.listener.server.observer.Authenticated(cmp.Or(method, "none"), outcome)
	return e
}

// maxAuthSteps bounds the AUTH packets of a client before its CONNACK.
const maxAuthSteps = 8

// converse authenticates a client by AUTH packets, which end here.
func (c *conn) converse() (filters.Identity, error) {
	d, err := c.authenticator().Begin(c.credentials())
	if err != nil {
		return filters.Identity{}, err
	}
	c.reader.Max = c.policy.Limits.MaxConnectSize
	data, _ := c.connect.Props.Lookup(packets.AuthenticationData)
	for range maxAuthSteps {
		answer, id, err := c.next(d, data)
		if err != nil {
			return filters.Identity{}, err
		}
		if id != nil {
			c.auth.final = answer
			c.reader.Max = c.policy.Limits.MaxPacketSize
			return *id, nil
		}
		question := packets.AppendAuth(nil, packets.ContinueAuthentication, c.auth.properties(answer))
		if most, ok := c.connect.Props.Uint32(packets.MaximumPacketSize); ok && len(question) > int(most) { // [MQTT-3.1.2-24]
			return filters.Identity{}, &packets.Error{Code: packets.PacketTooLarge, Msg: "the client takes no packet as large as the challenge"}
		}
		if err := c.toClient.write(question); err != nil {
			return filters.Identity{}, &ending{end: EndEarly, err: err}
		}
		if data, err = c.readAuth(); err != nil {
			return filters.Identity{}, err
		}
	}
	return filters.Identity{}, &packets.Error{Code: packets.NotAuthorized, Msg: "authentication takes too many steps"}
}

func (c *conn) next(d filters.Dialogue, data []byte) ([]byte, *filters.Identity, error) {
	ctx, cancel := c.within(c.policy.Limits.ConnectTimeout)
	defer cancel()
	return d.Next(ctx, data)
}

// readAuth reads the next packet, which must be an AUTH that goes on
// [MQTT-3.1.2-30], and returns its Authentication Data.
func (c *conn) readAuth() ([]byte, error) {
	if err := c.setDeadline(c.wire.Conn, c.policy.Limits.ConnectTimeout); err != nil {
		return nil, err
	}
	c.reader.Mark(0)
	for {
		p, err := c.reader.Next()
		switch {
		case err == nil && p.Type == packets.DISCONNECT:
			return nil, &ending{end: EndEarly}
		case err == nil:
			return c.auth.continues(p)
		case !errors.Is(err, packets.ErrShort):
			return nil, connectError(err)
		}
		if err := c.wire.feed(c.client); err != nil {
			return nil, readConnectError(err)
		}
	}
}

// continues returns the Authentication Data of an AUTH that goes on with what was
// begun [MQTT-4.12.0-3].
func (a *auth) continues(p *packets.Packet) ([]byte, error) {
	switch {
	case p.Type != packets.AUTH || p.Reason != packets.ContinueAuthentication:
		return nil, &ending{end: EndMalformed, code: packets.ProtocolError, err: errors.New("no AUTH with Continue authentication")}
	case !a.isFor(p):
		return nil, &ending{end: EndMalformed, code: packets.ProtocolError, err: errOtherMethod}
	}
	data, _ := p.Props.Lookup(packets.AuthenticationData)
	return data, nil
}

// isFor reports whether an AUTH names the method of the CONNECT.
func (a *auth) isFor(p *packets.Packet) bool {
	method, _ := p.Props.Lookup(packets.AuthenticationMethod)
	return string(method) == a.method
}

var errOtherMethod = &packets.Error{Code: packets.ProtocolError, Spec: "MQTT-4.12.1-1", Msg: "AUTH with another Authentication Method than CONNECT"}

// reauthenticate takes an AUTH of a running session: the client proves anew who it
// is, and goes on with the identity of now (section 4.12.1). Who fails is
// disconnected, and so is who has become another user.
func (c *conn) reauthenticate(p *packets.Packet) (filters.Verdict, error) {
	a := &c.auth
	switch {
	case a.method == "":
		return filters.Verdict{}, errAuth
	case !a.isFor(p):
		return filters.Verdict{}, errOtherMethod
	case (p.Reason == packets.ReAuthenticate) == (a.dialogue != nil):
		return filters.Verdict{}, errAuthOrder
	}
	if a.dialogue == nil {
		d, err := c.authenticator().Begin(c.credentials())
		if err != nil {
			return filters.Verdict{}, c.notRenewed(err)
		}
		a.dialogue = d
	}
	data, _ := p.Props.Lookup(packets.AuthenticationData)
	answer, id, err := c.next(a.dialogue, data)
	if err == nil && id != nil && (id.Principal() != c.sess.Identity.Principal() || id.Method != c.sess.Identity.Method) {
		err = &packets.Error{Code: packets.NotAuthorized, Msg: "another user than before"}
	}
	if err != nil {
		return filters.Verdict{}, c.notRenewed(err)
	}
	rc := packets.ContinueAuthentication
	if id != nil {
		a.dialogue, rc = nil, packets.Success
		c.sess.Renew(*id)
		c.expiry.set(c, id.Expires)
		c.listener.server.observer.Authenticated(id.Method, "accepted")
		c.log("re-authenticated")
		c.withdraw(c.listener.policy.Load())
	}
	v := c.fit(filters.Verdict{Action: filters.Reply, Packet: packets.AppendAuth(nil, rc, a.properties(answer))})
	if a.pace == nil {
		a.pace = rate.NewLimiter(authRate, authBurst)
	}
	v.Delay = a.pace.Reserve().Delay()
	return v, nil
}

// notRenewed is the end of a session whose client failed to prove who it is.
func (c *conn) notRenewed(err error) *ending {
	if errors.Is(err, context.Canceled) && c.life.Err() != nil {
		return c.ending.Load()
	}
	e := c.notAuthenticated(c.sess.Identity.Method, err)
	if e.end == EndAuthDown {
		e.code = packets.ServerBusy // DISCONNECT knows no Server unavailable (section 3.14.2.1)
		return e
	}
	e.end, e.code = EndReauth, packets.NotAuthorized
	return e
}

var errAuthOrder = &packets.Error{Code: packets.ProtocolError, Spec: "section 4.12", Msg: "AUTH out of order"}
