package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"
)

// freshness is how long a connection that was opened vouches for its server.
const freshness = 5 * time.Second

// Server is one broker of a pool.
type Server struct {
	pool             *Pool
	network, address string // as it is dialled
	host             string // that TLS verifies, unless the pool has a name for that
	priority         uint16 // the lower are used first
	spec             Spec
	*state
}

// state is what is known of a server. It lasts as long as the server, over reloads.
type state struct {
	active  atomic.Int64 // connections
	seats   Seats        // nil: any number
	reached atomic.Int64 // time of the last dial, if it succeeded; Unix nanoseconds
	drained atomic.Bool  // by an operator
	health  health
	outlier outlier
	checker checker
}

func (p *Pool) newState() *state {
	st := &state{}
	if p.options.Seats != nil {
		st.seats = p.options.Seats()
	}
	return st
}

// Name returns the address of the server, which no other of the pool has.
func (s *Server) Name() string {
	if s.network == "unix" {
		return "unix:" + s.address
	}
	return s.address
}

// Active returns how many connections it has for sessions.
func (s *Server) Active() int { return int(s.active.Load()) }

// Drain says that the server takes no new sessions, by an operator's word or not any
// more. It holds until it is taken back, over reloads.
func (s *Server) Drain(on bool) { s.drained.Store(on) }

// Maintenance reports whether the server takes no new sessions, by the configuration
// or by an operator.
func (s *Server) Maintenance() bool { return s.spec.Maintenance || s.drained.Load() }

// Reference returns where clients are to go when the server loses them, as Server
// Reference; "" if they are to come back.
func (s *Server) Reference() string { return s.spec.Reference }

// Leg is a connection to a server that stands for a session.
type Leg struct {
	net.Conn // nil until it is opened
	server   *Server
	trial    bool // of a server that was an outlier
}

// Server returns where the connection leads.
func (l *Leg) Server() *Server { return l.server }

// sit takes one of the connections that the server has for us.
func (s *Server) sit(rank int) (*Leg, error) {
	trial, ok := s.outlier.begin(time.Now())
	if !ok {
		return nil, ErrDown // somebody else tries it
	}
	leg := &Leg{server: s, trial: trial}
	if s.seats != nil && !s.seats.Try(rank) {
		leg.untried()
		return nil, ErrFull
	}
	s.active.Add(1)
	return leg, nil
}

// Leave says that the session is over.
func (l *Leg) Leave() {
	l.untried()
	l.server.active.Add(-1)
	if l.server.seats != nil {
		l.server.seats.Give()
	}
}

// untried lets others try the server, if this was a trial that has told nothing.
func (l *Leg) untried() {
	if l.trial {
		l.trial = false
		l.server.outlier.untried()
	}
}

// Answered says that the server has answered the CONNECT, and whether it serves.
func (l *Leg) Answered(serves bool) { l.report(serves, errRefused) }

// Silent says that the server has not answered the CONNECT in time.
func (l *Leg) Silent() { l.report(false, errSilent) }

var (
	errRefused = errors.New("refuses CONNECTs as unavailable or busy")
	errSilent  = errors.New("does not answer CONNECTs")
)

func (l *Leg) report(well bool, why error) {
	trial := l.trial
	l.trial = false
	l.server.noted(well, trial, why)
}

// failed notes what could not be opened, if that is the server's fault.
func (l *Leg) failed(ctx context.Context, err error) {
	if !errors.Is(ctx.Err(), context.Canceled) && !ours(err) {
		l.report(false, err)
	}
}

// ours reports whether a connection could not be opened for a reason that is on this
// machine: what it has too few of says nothing about the server.
func ours(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRINUSE, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// open opens a connection on which a CONNECT is due.
func (s *Server) open(ctx context.Context, header []byte, wrap func(net.Conn, bool) net.Conn) (net.Conn, error) {
	socket, err := s.dial(ctx)
	if err != nil {
		s.reached.Store(0)
		return nil, err
	}
	config := s.pool.options.TLS
	conn := socket
	if wrap != nil {
		conn = wrap(socket, config != nil)
	}
	if len(header) > 0 {
		err = s.greet(ctx, socket, header)
	}
	if err == nil && config != nil {
		conn, err = s.handshake(ctx, conn, config)
	}
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	s.reached.Store(time.Now().UnixNano())
	return conn, nil
}

func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	o := &s.pool.options
	switch {
	case o.Dial != nil:
		return o.Dial(ctx, s.network, s.address)
	case s.network == "tcp" && len(s.pool.sources.list) > 0:
		return s.pool.sources.dial(ctx, s.network, s.address)
	}
	var d net.Dialer
	return d.DialContext(ctx, s.network, s.address)
}

// greet writes a PROXY header, in the time of ctx.
func (s *Server) greet(ctx context.Context, socket net.Conn, header []byte) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := socket.SetWriteDeadline(deadline); err != nil {
			return err
		}
	}
	_, err := socket.Write(header)
	if err == nil {
		err = socket.SetWriteDeadline(time.Time{})
	}
	return err
}

func (s *Server) handshake(ctx context.Context, conn net.Conn, config *tls.Config) (net.Conn, error) {
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = s.host
	}
	t := tls.Client(conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// Dial opens a connection for the proxy itself.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	header, err := localHeader(s.pool.options.ProxyProtocol)
	if err != nil {
		return nil, err
	}
	return s.open(ctx, header, nil)
}

// localHeader says that a connection is the proxy's own; nil without a version.
func localHeader(version byte) ([]byte, error) {
	if version == 0 {
		return nil, nil
	}
	h := proxyproto.Header{Version: version, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	return h.Format()
}

// check returns an error if the server cannot be reached. It dials only if nobody
// else knows: no connection was opened of late, and none is asked for regularly.
func (s *Server) check(ctx context.Context) error {
	if s.pool.options.Health.Interval > 0 || time.Since(time.Unix(0, s.reached.Load())) < freshness {
		return nil
	}
	conn, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// follow makes of what the configuration of before has left what the one of now says.
func (s *Server) follow() {
	s.resize()
	if s.pool.options.Health.Interval == 0 {
		s.health.forget()
	}
	if s.pool.options.Outlier.Failures == 0 {
		s.readmit(time.Now())
	}
}

// resize lets the server have as many connections as the configuration says.
func (s *Server) resize() {
	if s.seats == nil {
		return
	}
	n := s.spec.MaxConnections
	if n == 0 {
		n = math.MaxInt32
	}
	s.seats.Resize(n)
}

// isTimeout reports whether err is the end of a time.
func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}
