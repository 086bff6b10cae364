package e2e

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fault is a way in which a network, or a server, fails.
type fault int

const (
	none      fault = iota
	refused         // nobody listens
	reset           // connections are accepted, and broken when the first byte comes
	frozen          // connections are accepted, and nothing moves on any: half-open
	slow            // bytes come late, and few at a time
	blackhole       // nobody answers a SYN
)

// What a slow relay does. It is slow for a network, and quick for a test.
const (
	slowDelay = 20 * time.Millisecond // of each piece
	slowPiece = 16                    // bytes
)

// relay passes TCP connections on to a server, as long as there is no fault.
type relay struct {
	to      string
	address string

	mu       sync.Mutex
	fault    fault
	changed  chan struct{} // closed by the next change
	listener net.Listener  // nil: refused
	filler   net.Conn      // fills the queue of a listener that accepts nothing
	conns    map[net.Conn]bool
	accepted int
	serving  sync.WaitGroup
}

// startRelay starts a relay to a server, without a fault.
func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	r := &relay{to: to, address: "127.0.0.1:0", changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	r.set(t, none)
	t.Cleanup(func() {
		r.set(t, refused)
		r.cut()
		r.serving.Wait()
	})
	return r
}

// set makes the fault begin, and the one before end.
func (r *relay) set(t *testing.T, f fault) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
	close(r.changed)
	r.changed = make(chan struct{})
	if r.listener != nil {
		_ = r.listener.Close()
		r.listener = nil
	}
	if r.filler != nil {
		_ = r.filler.Close()
		r.filler = nil
	}
	if f == refused {
		return
	}
	// The port is the relay's own, but for the moment between two listeners.
	var l net.Listener
	eventually(t, "listening at the relay's old port", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", r.address)
		return err == nil
	})
	r.listener, r.address = l, l.Addr().String()
	if f == blackhole {
		r.filler = fill(t, l)
		return
	}
	r.serving.Go(func() { r.accept(l) })
}

// fill makes a listener deaf: it has room for no connection, and one. The kernel drops
// what else comes, without an answer.
func fill(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err == nil {
		var listenErr error
		err = errors.Join(raw.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), 0) }), listenErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// now returns the fault, and what is closed when that changes.
func (r *relay) now() (fault, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault, r.changed
}

// count returns how many connections came.
func (r *relay) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted
}

// cut resets all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

func (r *relay) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		r.keep(conn, true)
		r.serving.Go(func() { r.serve(conn) })
	}
}

func (r *relay) keep(conn net.Conn, came bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[conn] = true
	if came {
		r.accepted++
	}
}

func (r *relay) drop(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, conn)
	_ = conn.Close()
}

func (r *relay) serve(client net.Conn) {
	defer r.drop(client)
	if f, _ := r.now(); f == reset {
		_, _ = client.Read(make([]byte, 1))
		_ = client.(*net.TCPConn).SetLinger(0)
		return
	}
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	r.keep(server, false)
	defer r.drop(server)
	var back sync.WaitGroup
	back.Go(func() { r.pass(client, server) })
	r.pass(server, client)
	back.Wait()
}

// pass moves bytes, and the end of them.
func (r *relay) pass(dst, src net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		b := buf
		if f, _ := r.now(); f == slow {
			b = buf[:slowPiece]
		}
		n, err := src.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		r.hold()
		if _, writeErr := dst.Write(b[:n]); writeErr != nil {
			_ = src.Close()
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = dst.(*net.TCPConn).CloseWrite()
			return
		case err != nil:
			_ = dst.Close()
			return
		}
	}
}

// hold waits until what was read may go on.
func (r *relay) hold() {
	for {
		f, changed := r.now()
		switch f {
		case frozen:
			<-changed
		case slow:
			select {
			case <-time.After(slowDelay):
			case <-changed:
			}
			return
		default:
			return
		}
	}
}
