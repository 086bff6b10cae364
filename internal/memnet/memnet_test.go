package memnet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/memnet"
)

func pair(t *testing.T) (client, server *memnet.Conn) {
	t.Helper()
	client, server = memnet.Pipe(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 5000}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1883})
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if n, err := c.Write([]byte(s)); n != len(s) || err != nil {
		t.Fatalf("Write(%q) = %d, %v", s, n, err)
	}
}

func read(c net.Conn) (string, error) {
	b := make([]byte, 100)
	n, err := c.Read(b)
	return string(b[:n]), err
}

// TestEnds shows what each end sees when the other has ended the connection in
// one of the ways there are.
func TestEnds(t *testing.T) {
	type seen struct {
		text string
		err  error
	}
	tests := []struct {
		name  string
		do    func(client, server *memnet.Conn)
		reads []seen // of the server, in order
		write error  // of the server, after them
	}{
		{"what was written is read before a close", func(c, _ *memnet.Conn) { c.Close() }, []seen{{"last words", nil}, {"", io.EOF}}, syscall.ECONNRESET},
		{"a half-close leaves the other direction", func(c, _ *memnet.Conn) { c.CloseWrite() }, []seen{{"last words", nil}, {"", io.EOF}, {"", io.EOF}}, nil},
		{"a close with unread bytes takes what was written", func(c, s *memnet.Conn) { s.Write([]byte("unread")); c.Close() }, []seen{{"", syscall.ECONNRESET}}, syscall.ECONNRESET},
		{"also after a half-close", func(c, s *memnet.Conn) { s.Write([]byte("unread")); c.CloseWrite(); c.Close() }, []seen{{"", syscall.ECONNRESET}}, syscall.ECONNRESET},
		{"a closed connection is closed", func(_, s *memnet.Conn) { s.Close() }, []seen{{"", net.ErrClosed}}, net.ErrClosed},
		{"a half-closed one takes no bytes", func(_, s *memnet.Conn) { s.CloseWrite() }, []seen{{"last words", nil}}, syscall.EPIPE},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, server := pair(t)
			write(t, client, "last words")
			tt.do(client, server)
			for i, want := range tt.reads {
				if text, err := read(server); text != want.text || !errors.Is(err, want.err) {
					t.Errorf("read %d: %q, %v; want %q, %v", i, text, err, want.text, want.err)
				}
			}
			if _, err := server.Write([]byte("x")); !errors.Is(err, tt.write) {
				t.Errorf("write: %v, want %v", err, tt.write)
			}
		})
	}
}

func TestCloseEndsWaiting(t *testing.T) {
	tests := []struct {
		name string
		end  func(client, server *memnet.Conn)
		want error
	}{
		{"by this end", func(_, s *memnet.Conn) { s.Close() }, net.ErrClosed},
		{"by the other", func(c, _ *memnet.Conn) { c.Close() }, io.EOF},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			client, server := pair(t)
			got := make(chan error)
			go func() {
				_, err := read(server)
				got <- err
			}()
			synctest.Wait()
			tt.end(client, server)
			if err := <-got; !errors.Is(err, tt.want) {
				t.Errorf("closed %s: %v, want %v", tt.name, err, tt.want)
			}
		})
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t)
		start := time.Now()
		server.SetReadDeadline(start.Add(3 * time.Second))
		_, err := read(server)
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("Read ended after %v with %v, want 3s and a timeout", time.Since(start), err)
		}
		var netErr net.Error
		if !errors.As(err, &netErr) || !netErr.Timeout() {
			t.Errorf("%v is no timeout in package net's sense", err)
		}

		write(t, client, "x")
		if _, err := read(server); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a passed deadline lets bytes through: %v", err)
		}
		server.SetReadDeadline(time.Time{})
		if text, err := read(server); text != "x" || err != nil {
			t.Errorf("without deadline: %q, %v", text, err)
		}

		go func() {
			time.Sleep(time.Second)
			server.SetReadDeadline(time.Unix(1, 0))
		}()
		start = time.Now()
		if _, err := read(server); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("a deadline set meanwhile ended Read after %v with %v, want 1s and a timeout", time.Since(start), err)
		}
	})
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t)
		client.SetDeadline(time.Now().Add(time.Second))
		sent, err := client.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || sent == 0 || sent > 1<<17 {
			t.Errorf("wrote %d bytes to a peer that does not read (%v), want some and a timeout", sent, err)
		}
		if got := server.Unread(); got != sent {
			t.Errorf("%d bytes are unread, want the %d that were written", got, sent)
		}
	})
}

// TestIntegrity sends random chunks against random reads.
func TestIntegrity(t *testing.T) {
	client, server := pair(t)
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	go func() {
		rng := rand.New(rand.NewPCG(3, 4))
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(100_000))
			client.Write(rest[:n])
			rest = rest[n:]
		}
		client.CloseWrite()
	}()
	var got bytes.Buffer
	for {
		_, err := io.CopyN(&got, server, int64(1+rng.IntN(10_000)))
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if sha256.Sum256(got.Bytes()) != sha256.Sum256(data) {
		t.Errorf("%d bytes arrived, not as the %d that were sent", got.Len(), len(data))
	}
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		from := &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 7}
		client, err := l.DialFrom(from)
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if server.RemoteAddr() != net.Addr(from) || client.RemoteAddr() != l.Addr() || server.LocalAddr() != l.Addr() {
			t.Errorf("addresses %v to %v, %v; want %v to %v", server.RemoteAddr(), server.LocalAddr(), client.RemoteAddr(), from, l.Addr())
		}
		other, err := l.Dial(t.Context())
		if err != nil || other.LocalAddr().String() == client.LocalAddr().String() {
			t.Errorf("second connection from %v (%v), want an address of its own", other.LocalAddr(), err)
		}

		accepted := make(chan error)
		go func() {
			l.Accept() // other
			_, err := l.Accept()
			accepted <- err
		}()
		synctest.Wait()
		waiting, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := <-accepted; err != nil {
			t.Errorf("Accept: %v", err)
		}
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept of a closed listener: %v", err)
		}
		if _, err := l.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial of a closed listener: %v", err)
		}
		if _, err := waiting.Write([]byte("x")); err != nil {
			t.Errorf("an accepted connection ended with its listener: %v", err)
		}
	})
}

func TestListenerClosedBeforeAccept(t *testing.T) {
	l := memnet.Listen()
	c, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := read(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want a reset", err)
	}
}

func TestDialGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		for err == nil { // until the backlog is full
			_, err = l.Dial(ctx)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial: %v", err)
		}
	})
}

// TestNoAllocations holds because others measure allocations over memnet.
func TestNoAllocations(t *testing.T) {
	client, server := pair(t)
	b := make([]byte, 1000)
	deadline := time.Now().Add(time.Hour)
	allocs := testing.AllocsPerRun(1000, func() {
		client.SetDeadline(deadline)
		server.SetDeadline(deadline)
		client.Write(b)
		server.Read(b)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per message, want none", allocs)
	}
}
