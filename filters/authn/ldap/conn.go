package ldap

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// server is a directory to connect to.
type server struct {
	address  string
	tls      *tls.Config
	ldaps    bool
	startTLS bool
}

func newServer(o Options) (*server, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" {
		return nil, errors.New("url: wants ldap://host:port, or ldaps://")
	}
	s := &server{ldaps: u.Scheme == "ldaps", startTLS: o.StartTLS}
	port := ldap.DefaultLdapPort
	if s.ldaps {
		port = ldap.DefaultLdapsPort
	}
	s.address = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
	s.tls = &tls.Config{RootCAs: o.CAs, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	return s, nil
}

// conn is a connection that obeys the context of whom it serves: the library's
// calls know of none.
type conn struct {
	*ldap.Conn
	wire *wire
}

// dial connects, and does not return before there is TLS if there shall be.
func (s *server) dial(ctx context.Context) (*conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, failure(ctx, "connect", err)
	}
	c := &conn{wire: &wire{Conn: raw}}
	var stream net.Conn = c.wire
	done := c.wire.serve(ctx)
	if s.ldaps {
		secure := tls.Client(c.wire, s.tls)
		stream, err = secure, secure.HandshakeContext(ctx)
	}
	c.Conn = ldap.NewConn(stream, s.ldaps)
	c.Start()
	if s.startTLS {
		err = c.StartTLS(s.tls)
	}
	if err != nil || !done() {
		c.close()
		return nil, failure(ctx, "TLS", err)
	}
	return c, nil
}

// dialAs connects and binds. That we are refused is a failure, and no answer
// about a user.
func (s *server) dialAs(ctx context.Context, dn, password string) (*conn, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	done := c.wire.serve(ctx)
	if err = c.Bind(dn, password); err != nil || !done() {
		c.close()
		return nil, failure(ctx, "bind as bind_dn", err)
	}
	return c, nil
}

// close does not wait for the other side, as the library would with TLS.
func (c *conn) close() {
	c.wire.Close()
	_ = c.Close() // it ends the library's goroutines
}

// maxAnswer bounds what is read from the directory for one question, in bytes.
const maxAnswer = 1 << 20

var errTooLarge = errors.New("the answer is too large")

// wire bounds the time and the bytes of a connection.
type wire struct {
	net.Conn
	left atomic.Int64
}

// serve lets the connection work until ctx ends. Then all that goes on fails.
// done reports false if that has come.
func (w *wire) serve(ctx context.Context) (done func() bool) {
	w.left.Store(maxAnswer)
	return context.AfterFunc(ctx, func() { _ = w.SetDeadline(time.Unix(1, 0)) })
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if w.left.Add(-int64(n)) < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// pool keeps connections that nobody uses for those who will.
type pool struct {
	open func(context.Context) (*conn, error)
	most int // that are kept

	mu     sync.Mutex
	idle   []*conn // the last one was used last
	closed bool
}

// use calls ask with a connection for it alone. A connection is used again only
// if it gave an answer in time.
func (p *pool) use(ctx context.Context, ask func(*ldap.Conn) error) error {
	c := p.take()
	if c == nil {
		var err error
		if c, err = p.open(ctx); err != nil {
			return err
		}
	}
	done := c.wire.serve(ctx)
	err := ask(c.Conn)
	if !done() || !answered(err) {
		c.close()
		return err
	}
	p.keep(c)
	return err
}

// answered reports whether err is none, or what the other side said.
func answered(err error) bool {
	e, ok := errors.AsType[*ldap.Error](err)
	return err == nil || ok && e.ResultCode < ldap.ErrorNetwork
}

func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.IsClosing() {
			return c
		}
		c.wire.Close()
	}
	return nil
}

func (p *pool) keep(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.most || c.IsClosing() {
		c.close()
		return
	}
	p.idle = append(p.idle, c)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}
