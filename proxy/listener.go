package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Listener accepts the connections of one address.
type Listener struct {
	server  *Server
	policy  atomic.Pointer[Policy]
	open    atomic.Int64
	tlsBase *tls.Config  // lasts over reloads, and with it the session ticket keys
	warned  atomic.Int64 // when operators have heard of a balancer, in nanoseconds of Unix time
}

// NewListener returns a listener that is governed by p.
func (s *Server) NewListener(p *Policy) *Listener {
	l := &Listener{server: s}
	l.policy.Store(p)
	l.tlsBase = &tls.Config{GetConfigForClient: l.tlsConfig, MinVersion: tls.VersionTLS12}
	return l
}

// SetPolicy puts p in force for new connections and for running sessions, and
// ends those whose clients it would not admit any more.
func (l *Listener) SetPolicy(p *Policy) {
	l.policy.Store(p)
	l.server.sessions.recheck(l, p)
}

// Open returns the number of connections that are open.
func (l *Listener) Open() int { return int(l.open.Load()) }

// tlsConfig is called with the ClientHello. It picks the configuration of now, so
// that reloads reach the next handshake.
func (l *Listener) tlsConfig(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if slot, ok := hello.Context().Value(slotKey{}).(*handshakeSlot); ok {
		if err := slot.take(); err != nil {
			return nil, err
		}
	}
	t := l.policy.Load().TLS
	if t == nil {
		return nil, errors.New("TLS was turned off")
	}
	return t.configFor(hello), nil
}

const (
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = time.Second
)

// Serve accepts connections until ln is closed.
func (l *Listener) Serve(ln net.Listener) {
	backoff := firstBackoff
	for {
		raw, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// Out of descriptors, most likely: more will be there when sessions end.
			l.server.log.Warn("accept failed", "listener", l.policy.Load().Listener, "error", err)
			time.Sleep(backoff)
			backoff = min(2*backoff, maxBackoff)
		default:
			backoff = firstBackoff
			l.admit(raw)
		}
	}
}

// admit refuses what the policy does not admit, before anything is spent on
// it: a refusal costs one close and one counter.
func (l *Listener) admit(raw net.Conn) {
	remote := remoteAddr(raw)
	policy := l.policy.Load()
	visit, held, refusal := policy.arrive(time.Now(), remote.Addr())
	if refusal != "" {
		l.server.observer.Refused(refusal)
		_ = raw.Close()
		return
	}
	l.server.observer.Opened(policy.Listener)
	c := newConn(l, policy, raw, remote)
	c.visit, c.held = visit, held
	if !l.server.sessions.add(c) {
		visit.Leave(time.Now(), NoFault)
		_ = raw.Close()
		l.server.observer.Closed()
		return
	}
	l.open.Add(1)
	go c.live()
}

// left takes back what admit has given c.
func (l *Listener) left(c *conn, e *ending) {
	if e.end == EndBackend || e.end == EndNoSeat || e.end == EndNoRoute {
		c.visit.Unserved()
	}
	if c.visit != nil {
		c.visit.Leave(time.Now(), e.fault())
	}
	l.server.sessions.remove(c) // last, so that Shutdown waits for it
	l.open.Add(-1)
}

// remoteAddr returns the address of the peer, zero if it has none.
func remoteAddr(c net.Conn) netip.AddrPort {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return addrPort(a)
	}
	return netip.AddrPort{}
}

func addrPort(a *net.TCPAddr) netip.AddrPort {
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
