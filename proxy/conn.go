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
)

// conn is one client's connection, from admission to its end.
type conn struct {
	listener *Listener
	policy   *Policy // in force when the connection came
	remote   netip.AddrPort

	wire     *wire    // the client's socket
	client   net.Conn // wire, or TLS over it
	reader   *packets.Reader
	toClient sink

	broker       *wire // nil until it is dialled
	brokerReader *packets.Reader
	toBroker     sink

	sess    filters.Session
	connect packets.Connect
	terms   terms

	mu      sync.Mutex             // guards broker against stop
	ending  atomic.Pointer[ending] // set once, by whoever ends the connection
	stopped chan struct{}          // closed then
	refused bool                   // it never became a session
}

func newConn(l *Listener, p *Policy, raw net.Conn, remote netip.AddrPort) *conn {
	w := &wire{Conn: raw}
	c := &conn{listener: l, policy: p, remote: remote, wire: w, client: w, reader: packets.NewReader(packets.Client), stopped: make(chan struct{})}
	c.sess.RemoteAddr = remote
	c.sess.Listener = p.Listener
	c.toClient.conn, c.toClient.timeout = w, p.Limits.PacketTimeout
	return c
}

// live runs the connection to its end, which it counts and logs once.
func (c *conn) live() {
	e := c.run()
	o := c.listener.server.observer
	if c.refused {
		o.Refused(string(e.end))
	} else {
		o.Ended(string(e.end))
	}
	o.Closed()
	c.auditEnd(e)
}

func (c *conn) run() (e *ending) {
	defer c.wire.Conn.Close() //nolint:errcheck // the last close, after linger
	defer func() {
		if r := recover(); r != nil {
			e = c.recovered(r)
		}
	}()
	if err := c.handshake(); err != nil {
		return c.refuse(asEnding(err, EndHandshake, packets.Success))
	}
	up, err := c.accept()
	if err != nil {
		return c.refuse(asEnding(err, EndDenied, packets.UnspecifiedError))
	}
	return c.pump(up)
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
	c.client, c.toClient.conn = t, t
	if state := t.ConnectionState(); len(state.VerifiedChains) > 0 {
		c.sess.Certificate = state.PeerCertificates[0]
	}
	return nil
}

func (c *conn) handshakeTLS(t *tls.Conn) error {
	ctx, cancel := within(c.policy.Limits.HandshakeTimeout)
	defer cancel()
	if slots := c.policy.Handshakes; slots != nil {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return errors.New("no free handshake slot")
		}
	}
	if err := c.setDeadline(c.wire.Conn, c.policy.Limits.HandshakeTimeout); err != nil {
		return err
	}
	return t.HandshakeContext(ctx)
}

// within is a context that ends after d; zero means never.
func within(d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), d)
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
	if e := c.ending.Load(); e != nil {
		return e
	}
	return nil
}

// stop ends the connection from outside.
func (c *conn) stop(e *ending) {
	if !c.ending.CompareAndSwap(nil, e) {
		return
	}
	close(c.stopped)
	c.wakeUp()
}

// wakeUp lets reads on both sockets return at once and writes soon.
func (c *conn) wakeUp() {
	past := time.Unix(1, 0)
	_ = c.wire.SetReadDeadline(past)
	c.toClient.hurry()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broker != nil {
		_ = c.broker.SetReadDeadline(past)
		c.toBroker.hurry()
	}
}
