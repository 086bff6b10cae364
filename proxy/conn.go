package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy/backend"
)

// conn is one client's connection, from admission to its end.
type conn struct {
	listener *Listener
	policy   *Policy // in force when the connection came
	visit    Visit   // nil: it is not admitted any more
	origin   *origin // as a balancer says; nil: it is the peer's own

	wire     *wire     // the client's socket
	client   net.Conn  // wire, or TLS over it, or a WebSocket over either
	tls      *tls.Conn // nil: plaintext
	reader   *packets.Reader
	toClient sink

	leg          *backend.Leg // the connection to the broker; nil until it is open
	broker       *wire        // the broker's socket; nil until it is dialled
	brokerReader *packets.Reader
	toBroker     sink

	sess     filters.Session
	connect  packets.Connect // until the session begins
	auth     auth
	asked    asked
	terms    terms
	will     []byte // a CONNECT with the Will alone; nil: none
	held     bool   // it came from a balancer
	claimed  bool   // the client identifier, in policy.Sessions
	assigned bool   // the client had no identifier of its own
	expiry   expiry
	up       upJudge
	down     downJudge
	number   uint64      // of the session, once it is running
	since    time.Time   // and when it began
	running  atomic.Bool // it became a session
	pumps    atomic.Int32
	answers  answers
	pubrels  unreleased
	notices  notices
	leaving  atomic.Int32 // calls of unsubscribe that nobody has seen to

	life    context.Context // ends when the connection is stopped
	endLife context.CancelFunc
	ending  atomic.Pointer[ending] // why it is stopped; set once
	mu      sync.Mutex             // guards broker against stop
}

func newConn(l *Listener, p *Policy, raw net.Conn, remote netip.AddrPort) *conn {
	r := packets.NewReader(packets.Client)
	w := newWire(raw, r)
	c := &conn{listener: l, policy: p, wire: w, client: w, reader: r}
	c.life, c.endLife = context.WithCancel(context.Background())
	c.sess.RemoteAddr = remote
	c.sess.Listener = p.Listener
	c.reader.Lax = p.Lax
	c.toClient.out = w
	c.up.judge = judge{conn: c, pick: func(c Chains) filters.Chain { return c.Up }}
	c.down.judge = judge{conn: c, pick: func(c Chains) filters.Chain { return c.Down }}
	return c
}

// live takes the connection as far as its session, which goes on in goroutines of
// its own, or to its end.
func (c *conn) live() {
	if e := c.open(); e != nil {
		c.finish(e)
		return
	}
	c.start()
}

// open opens the session. It returns why there is none.
func (c *conn) open() (e *ending) {
	defer c.caught(&e)
	if e := c.introduce(); e != nil {
		return e
	}
	if err := c.handshake(); err != nil {
		return c.refuse(asEnding(err, EndHandshake, packets.Success))
	}
	if err := c.upgrade(); err != nil {
		return c.refuse(asEnding(err, EndUpgrade, packets.Success))
	}
	if err := c.accept(); err != nil {
		c.unclaim() // nobody waits until a refused client has gone
		return c.refuse(asEnding(err, EndDenied, packets.UnspecifiedError))
	}
	c.keepWill()
	c.begin()
	c.log("session started")
	c.connect = packets.Connect{} // it lies in the reader's buffer, the password with it
	c.prepare()
	return nil
}

// finish ends the connection, which it counts and logs once.
func (c *conn) finish(e *ending) {
	defer func() { c.listener.left(c, e) }()
	c.release(&e)
	o := c.listener.server.observer
	if c.running.Load() {
		o.Ended(string(e.end))
	} else {
		o.Refused(string(e.end))
	}
	o.Closed()
	var violation *packets.Error
	if errors.As(e.err, &violation) && violation.Check != 0 {
		o.Checked(violation.Check.String(), "refused")
	}
	if !e.quiet {
		c.auditEnd(e)
	}
	c.wire.discard() // last: what is logged of a CONNECT lies in a buffer
	if c.broker != nil {
		c.broker.discard()
	}
}

// release lets go of what the connection still holds, however it ended, and of the
// rest if some of that panics.
func (c *conn) release(e **ending) {
	defer c.caught(e)
	defer c.unclaim()
	defer c.expiry.stop()
	defer c.answers.stop()
	defer c.pubrels.stop()
	defer c.down.chain.Close()
	defer c.up.chain.Close()
	c.endLife()
	_ = c.wire.Conn.Close()
	if c.broker != nil {
		_ = c.broker.Close()
	}
	if c.leg != nil {
		c.leg.Leave()
	}
}

// unclaim lets go of the client identifier.
func (c *conn) unclaim() {
	if c.claimed {
		c.claimed = false
		c.policy.Sessions.End(time.Now(), &c.sess, c.terms.keep)
	}
}

// claim asks whose the client identifier is, and reports whether another connection
// has it.
func (c *conn) claim() (taken bool) {
	if c.policy.Sessions == nil {
		c.sess.Owner = c.sess.Identity.Principal()
		return false
	}
	c.claimed = true
	return c.policy.Sessions.Claim(time.Now(), &c.sess)
}

// caught makes a panic the end of the connection.
func (c *conn) caught(e **ending) {
	if r := recover(); r != nil {
		*e = c.recovered(r)
	}
}

// recovered turns a panic into the end of this connection.
func (c *conn) recovered(r any) *ending {
	c.listener.server.log.Error("panic in a session", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	return &ending{end: EndPanic, code: packets.UnspecifiedError}
}

// handshake does the TLS handshake, if the listener has TLS.
func (c *conn) handshake() error {
	if c.policy.TLS == nil {
		return nil
	}
	start := time.Now()
	c.wire.records = true
	t := tls.Server(c.wire, c.listener.tlsBase)
	err := c.handshakeTLS(t)
	outcome := "ok"
	switch {
	case err != nil:
		outcome = "failed"
	case t.ConnectionState().DidResume:
		outcome = "resumed"
	}
	c.listener.server.observer.Handshake(outcome, time.Since(start).Seconds())
	if err != nil {
		return &ending{end: EndHandshake, err: err}
	}
	c.client, c.tls, c.toClient.out = t, t, t
	state := t.ConnectionState()
	if len(state.VerifiedChains) > 0 {
		c.sess.Certificate = state.PeerCertificates[0]
	}
	if state.ServerName != "" { // it may be known by a PROXY header
		c.sess.ServerName = state.ServerName
	}
	return nil
}

func (c *conn) handshakeTLS(t *tls.Conn) error {
	limit := c.policy.Limits.HandshakeTimeout
	if err := c.setDeadline(c.wire.Conn, limit); err != nil {
		return err
	}
	slot := &handshakeSlot{
		handshakes: c.policy.Handshakes, computing: c.policy.Computing, rank: c.visit.Rank(),
		life: c.life, limit: limit, start: time.Now(),
		letGo: c.wire.ahead.release,
		leave: func() { c.stop(&ending{end: EndHandshake, err: errNoSlot}) },
	}
	c.wire.beforeWait = func() error { slot.waits(); return nil }
	defer func() { c.wire.beforeWait = nil; slot.release() }()
	// The socket's deadline ends it; a context that can end would cost a goroutine.
	return t.HandshakeContext(context.WithValue(context.Background(), slotKey{}, slot))
}

// within is a context that ends after d, zero meaning never, and when the
// connection is stopped.
func (c *conn) within(d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(c.life)
	}
	return context.WithTimeout(c.life, d)
}

// setDeadline sets the deadline of one of the connection's sockets to d from
// now; zero means none. It fails once the connection is being stopped.
func (c *conn) setDeadline(socket net.Conn, d time.Duration) error {
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	if err := socket.SetDeadline(deadline); err != nil {
		return err
	}
	return c.checkStopped()
}

// checkStopped fails once the connection is being stopped. Who sets a deadline
// asks afterwards, or it could undo that of stop.
func (c *conn) checkStopped() error {
	if c.life.Err() == nil {
		return nil
	}
	return c.ending.Load()
}

// settle lays down why the connection ends, if that is not known yet.
func (c *conn) settle(e *ending) { c.ending.CompareAndSwap(nil, e) }

// stop ends the connection: reads on both sockets return at once and writes
// soon.
func (c *conn) stop(e *ending) {
	c.settle(e)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return
	}
	c.endLife()
	past := time.Unix(1, 0)
	_ = c.wire.SetReadDeadline(past)
	c.wire.hurry()
	if c.broker != nil {
		_ = c.broker.SetReadDeadline(past)
		c.broker.hurry()
	}
}
