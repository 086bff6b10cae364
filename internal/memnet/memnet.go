// Package memnet is a network in memory for tests: listeners, and connections
// with bounded buffers that behave as TCP's do where a proxy can tell.
//
// Half-close, deadlines, back-pressure and resets are there; delay, loss and
// packet boundaries are not. It uses nothing but sync.Cond and time.AfterFunc,
// so that it works in a testing/synctest bubble, where time passes only while
// all connections are silent. Its errors are those of package net.
package memnet

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// backlog is how many connections wait to be accepted.
const backlog = 128

// Listener accepts the connections that its own Dial methods open.
type Listener struct {
	addr    *net.TCPAddr
	pending chan *Conn
	done    chan struct{}
	close   sync.Once

	mu       sync.Mutex
	lastPort int
}

// Listen returns a new listener, which nobody else can reach. Its address is
// one of those for documentation.
func Listen() *Listener {
	return &Listener{
		addr:    &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1883},
		pending: make(chan *Conn, backlog),
		done:    make(chan struct{}),
	}
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, l.fail("accept", net.ErrClosed)
	default:
	}
	select {
	case c := <-l.pending:
		return c, nil
	case <-l.done:
		return nil, l.fail("accept", net.ErrClosed)
	}
}

// Close ends Accept and refuses further connections. Those that were accepted
// stay; those that were not are reset.
func (l *Listener) Close() error {
	l.close.Do(func() {
		close(l.done)
		for {
			select {
			case c := <-l.pending:
				c.reset()
			default:
				return
			}
		}
	})
	return nil
}

// Addr returns the address that connections have at this end.
func (l *Listener) Addr() net.Addr { return l.addr }

// Dial connects to l from an address of its own.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	l.lastPort++
	port := 49151 + l.lastPort
	l.mu.Unlock()
	return l.dial(ctx, &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: port})
}

// DialFrom connects to l; the other end sees addr as the peer.
func (l *Listener) DialFrom(addr *net.TCPAddr) (net.Conn, error) {
	return l.dial(context.Background(), addr)
}

func (l *Listener) dial(ctx context.Context, from *net.TCPAddr) (net.Conn, error) {
	select {
	case <-l.done:
		return nil, l.fail("dial", syscall.ECONNREFUSED)
	default:
	}
	ours, theirs := Pipe(from, l.addr)
	select {
	case l.pending <- theirs:
		return ours, nil
	case <-l.done:
		return nil, l.fail("dial", syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, l.fail("dial", ctx.Err())
	}
}

func (l *Listener) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: l.addr, Err: err}
}
