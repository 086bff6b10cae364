package memnet

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is one end of a connection. Its methods may be called by several
// goroutines.
type Conn struct {
	in, out       *stream
	local, remote *net.TCPAddr
	closed        atomic.Bool
}

// Pipe returns the two ends of a connection: near, whose address is a, and far,
// whose address is b.
func Pipe(a, b *net.TCPAddr) (near, far *Conn) {
	up, down := newStream(), newStream()
	return &Conn{in: down, out: up, local: a, remote: b}, &Conn{in: up, out: down, local: b, remote: a}
}

// Read reads what has come, and waits if nothing has.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.fail("read", err)
}

// Write writes all of b, and waits while the other end's buffer is full.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.fail("write", err)
}

// Close closes both directions. If something has come that was not read, it
// resets the connection: the other end loses what it has not read yet.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.fail("close", net.ErrClosed)
	}
	if c.in.abandon() {
		c.out.reset()
	} else {
		c.out.finish(net.ErrClosed)
	}
	return nil
}

// CloseWrite ends the stream that the other end reads.
func (c *Conn) CloseWrite() error {
	if c.closed.Load() {
		return c.fail("close", net.ErrClosed)
	}
	c.out.finish(syscall.EPIPE)
	return nil
}

// reset breaks both directions.
func (c *Conn) reset() {
	c.closed.Store(true)
	c.in.abandon()
	c.out.reset()
}

// LocalAddr returns the address of this end, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Unread is how many bytes the other end has sent that were not read here.
func (c *Conn) Unread() int { return c.in.unread() }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline ends waiting in Read at t; zero means never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.fail("set", net.ErrClosed)
	}
	c.in.setDeadline(&c.in.readUntil, t)
	return nil
}

// SetWriteDeadline ends waiting in Write at t; zero means never.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.fail("set", net.ErrClosed)
	}
	c.out.setDeadline(&c.out.writeUntil, t)
	return nil
}

// fail wraps err as package net does.
func (c *Conn) fail(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}
