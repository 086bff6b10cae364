package proxy

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// Balancers are peers that pass the connections of others on and say by a PROXY header
// whose each is.
type Balancers struct {
	// Trust reports whether the peer at addr, which is invalid on a Unix socket, is one.
	// Its connections have to begin with a header. Anybody else's must not: a header is
	// no MQTT and no TLS.
	Trust func(addr netip.Addr) bool

	// Hold decides whether a connection of a balancer is taken until it is known whose
	// it is. What it costs must not be the balancer's: Admit is asked then.
	Hold func(now time.Time) (v Visit, refusal string)
}

// arrive decides about a connection from addr, and whether a header has to say first
// whose it is.
func (p *Policy) arrive(now time.Time, addr netip.Addr) (v Visit, held bool, refusal string) {
	if p.Balancers != nil && p.Balancers.Trust(addr) {
		v, refusal = p.Balancers.Hold(now)
		return v, true, refusal
	}
	v, refusal = p.Admit(now, addr)
	return v, false, refusal
}

// headerTime is how long a balancer may take for its header: it has it ready.
func (l *Limits) headerTime() time.Duration {
	if l.HandshakeTimeout == 0 || l.ConnectTimeout == 0 {
		return max(l.HandshakeTimeout, l.ConnectTimeout)
	}
	return min(l.HandshakeTimeout, l.ConnectTimeout)
}

// introduce learns from the balancer whose the connection is, which from then on is
// that client's. A connection that the balancer has opened for itself is its own,
// once something comes over it: most only look whether we are there.
func (c *conn) introduce() *ending {
	if !c.held {
		return nil
	}
	if err := c.setDeadline(c.wire.Conn, c.policy.Limits.headerTime()); err != nil {
		return asEnding(err, EndEarly, packets.Success)
	}
	from := headerReader{wire: c.wire, silent: true}
	o, err := readOrigin(&from)
	own := !o.source.IsValid() || o.source.Addr() == c.sess.RemoteAddr.Addr() // HAProxy's checks in version 1 say the latter
	if err == nil && own && c.wire.ahead.none() {
		from.silent = true
		err = c.wire.fill()
	}
	if err != nil {
		return c.notIntroduced(err, from.silent)
	}
	if o.source.IsValid() {
		c.origin, c.sess.RemoteAddr, c.sess.ServerName = &o, o.source, o.serverName
	}
	c.visit.Leave(time.Now(), NoFault)
	c.visit = nil
	visit, refusal := c.policy.Admit(time.Now(), c.sess.RemoteAddr.Addr())
	if refusal != "" {
		return &ending{end: End(refusal), quiet: true}
	}
	c.visit = visit
	return nil
}

// notIntroduced is the ending of a connection that is nobody's because of err. silent
// says that nothing has come.
func (c *conn) notIntroduced(err error, silent bool) *ending {
	if stopped := c.ending.Load(); stopped != nil {
		return stopped
	}
	switch {
	case silent && isGone(err):
		return &ending{end: EndEarly, quiet: true}
	case isTimeout(err):
		err = errors.New("no PROXY header, or nothing behind it, in time")
	case isGone(err):
		err = errors.New("it ends within the PROXY header")
	}
	c.listener.warnOfHeader(c.sess.RemoteAddr, err)
	return &ending{end: EndProxyHeader, err: err}
}

// headerWarnings is how long operators hear no more of balancers that get it wrong,
// which they do with every connection.
const headerWarnings = time.Minute

func (l *Listener) warnOfHeader(remote netip.AddrPort, err error) {
	now := time.Now().UnixNano()
	last := l.warned.Load()
	if last != 0 && now-last < int64(headerWarnings) || !l.warned.CompareAndSwap(last, now) {
		return
	}
	l.server.log.Warn("a balancer does not say whose its connections are", "listener", l.policy.Load().Listener, "remote", remote.String(), "error", err)
}

// headerReader reads a header from a wire. What comes behind it stays there.
type headerReader struct {
	wire   *wire
	silent bool // nothing has come
}

func (r *headerReader) Read(b []byte) (int, error) {
	a := &r.wire.ahead
	if a.none() {
		if err := r.wire.fill(); err != nil {
			return 0, err
		}
	}
	if a.none() {
		return 0, io.ErrNoProgress
	}
	r.silent = false
	return a.read(b), nil
}
