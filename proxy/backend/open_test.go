package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// watched is a socket that says what is done with it.
type watched struct {
	net.Conn
	fails     error // of writes
	deadlines []time.Time
	closed    bool
}

func (w *watched) Write(b []byte) (int, error) {
	if w.fails != nil {
		return 0, w.fails
	}
	return w.Conn.Write(b)
}

func (w *watched) SetWriteDeadline(at time.Time) error {
	w.deadlines = append(w.deadlines, at)
	return w.Conn.SetWriteDeadline(at)
}

func (w *watched) Close() error {
	w.closed = true
	return w.Conn.Close()
}

// TestHeaderHasTime: the PROXY header is written in the time of the dial, which does not
// bind what is written after.
func TestHeaderHasTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		w := &watched{Conn: near}
		s := New(Options{Servers: []Spec{{Address: "b:1"}}, Dial: func(context.Context, string, string) (net.Conn, error) { return w, nil }}, nil).Servers()[0]
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := s.open(ctx, []byte("PROXY UNKNOWN\r\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if deadline, _ := ctx.Deadline(); !slices.Equal(w.deadlines, []time.Time{deadline, {}}) {
			t.Errorf("deadlines %v", w.deadlines)
		}
	})
}

// TestNothingIsLeftOpen: a socket on which the header or TLS fails is closed.
func TestNothingIsLeftOpen(t *testing.T) {
	for name, o := range map[string]Options{
		"header": {ProxyProtocol: 2},
		"TLS":    {TLS: &tls.Config{MinVersion: tls.VersionTLS12}},
	} {
		near, far := net.Pipe()
		defer far.Close()
		w := &watched{Conn: near, fails: errors.New("broken")}
		o.Servers, o.Dial = []Spec{{Address: "b:1"}}, func(context.Context, string, string) (net.Conn, error) { return w, nil }
		if _, err := New(o, nil).Servers()[0].Dial(t.Context()); !errors.Is(err, w.fails) || !w.closed {
			t.Errorf("%s: %v, closed: %v", name, err, w.closed)
		}
	}
}

// TestTrialWithoutASeat: a server that has no room for the session that was to try it is
// tried by the next.
func TestTrialWithoutASeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := over(&network{}, func(o *Options) {
			o.Servers[0].MaxConnections = 1
			o.Seats = func() Seats { return &seats{} }
			o.Outlier = Outlier{Failures: 1, Time: time.Second, MaxEjected: 50}
		})
		a := p.server("a:1")
		leg, err := a.sit(0)
		if err != nil {
			t.Fatal(err)
		}
		leg.Answered(false)
		time.Sleep(time.Second)
		if _, err := a.sit(0); !errors.Is(err, ErrFull) {
			t.Errorf("without a seat: %v", err)
		}
		leg.Leave()
		if _, err := a.sit(0); err != nil {
			t.Errorf("with a seat: %v", err)
		}
	})
}
