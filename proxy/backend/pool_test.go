package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// network is servers that a test plays. Those that it does not name refuse.
type network struct {
	mu     sync.Mutex
	fails  map[string]error // nil: the dial succeeds
	stuck  map[string]bool  // the dial takes for ever
	dialed []string
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	err, named := n.fails[address]
	stuck := n.stuck[address]
	n.dialed = append(n.dialed, address)
	n.mu.Unlock()
	switch {
	case stuck:
		<-ctx.Done()
		return nil, ctx.Err()
	case !named:
		return nil, syscall.ECONNREFUSED
	case err != nil:
		return nil, err
	}
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	return near, nil
}

func (n *network) set(address string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fails[address] = err
}

// dials returns who was dialled since the last call.
func (n *network) dials() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer func() { n.dialed = nil }()
	return n.dialed
}

// seats are as many as Resize says.
type seats struct{ places, free int }

func (s *seats) Try(int) bool {
	if s.free <= 0 {
		return false
	}
	s.free--
	return true
}
func (s *seats) Give()        { s.free++ }
func (s *seats) Resize(n int) { s.free, s.places = s.free+n-s.places, n }

// over is a pool over a network, whose servers a and b take turns beginning with a.
func over(n *network, edit func(*Options)) *Pool {
	o := Options{Name: "plant", Servers: []Spec{{Address: "a:1"}, {Address: "b:1"}}, Balance: RoundRobin, Dial: n.dial}
	if edit != nil {
		edit(&o)
	}
	return New(o, nil)
}

// TestOpenTriesTheNext: a server that cannot be reached costs the try.
func TestOpenTriesTheNext(t *testing.T) {
	n := &network{fails: map[string]error{"b:1": nil}}
	p := over(n, nil)
	leg, err := p.Open(t.Context(), Client{})
	if err != nil {
		t.Fatal(err)
	}
	defer leg.Close()
	if got := n.dials(); leg.Server().Name() != "b:1" || !slices.Equal(got, []string{"a:1", "b:1"}) {
		t.Errorf("at %s after %v", leg.Server().Name(), got)
	}
	if a, b := p.Servers()[0].Active(), p.Servers()[1].Active(); a != 0 || b != 1 {
		t.Errorf("%d and %d connections", a, b)
	}
	leg.Leave()
	if b := p.Servers()[1].Active(); b != 0 {
		t.Errorf("%d connections after the session", b)
	}
}

// TestOpenGivesUp: no more servers are dialled than tries, and the error names each.
func TestOpenGivesUp(t *testing.T) {
	n := &network{}
	p := over(n, func(o *Options) {
		for i := range 10 {
			o.Servers = append(o.Servers, Spec{Address: fmt.Sprintf("c%d:1", i)})
		}
	})
	_, err := p.Open(t.Context(), Client{})
	got := n.dials()
	if len(got) != tries || err == nil {
		t.Fatalf("%v after %v", err, got)
	}
	for _, server := range got {
		if !strings.Contains(err.Error(), server+": ") {
			t.Errorf("%v does not name %s", err, server)
		}
	}
}

// TestOpenSharesTime: a server that does not answer leaves the next one time.
func TestOpenSharesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{fails: map[string]error{"b:1": nil}, stuck: map[string]bool{"a:1": true}}
		p := over(n, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		began := time.Now()
		leg, err := p.Open(ctx, Client{})
		if err != nil {
			t.Fatal(err)
		}
		leg.Close()
		if took := time.Since(began); took != 2*time.Second || leg.Server().Name() != "b:1" {
			t.Errorf("at %s after %s", leg.Server().Name(), took)
		}
	})
}

// TestFull: who is full sends on to the next, and all together refuse without a dial.
func TestFull(t *testing.T) {
	n := &network{fails: map[string]error{"a:1": nil, "b:1": nil}}
	p := over(n, func(o *Options) {
		o.Seats = func() Seats { return &seats{} }
		o.Servers[0].MaxConnections, o.Servers[1].MaxConnections = 1, 2
	})
	var legs []*Leg
	for range 3 {
		leg, err := p.Open(t.Context(), Client{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { leg.Close() })
		legs = append(legs, leg)
	}
	n.dials()
	if _, err := p.Open(t.Context(), Client{}); !errors.Is(err, ErrFull) || len(n.dials()) != 0 {
		t.Errorf("the fourth: %v", err)
	}
	legs[0].Leave()
	leg, err := p.Open(t.Context(), Client{})
	if err != nil {
		t.Fatal(err)
	}
	leg.Close()
}

// TestSeatsOverReload: a new number holds for the server that has sessions.
func TestSeatsOverReload(t *testing.T) {
	n := &network{fails: map[string]error{"a:1": nil}}
	var made []*seats
	options := Options{Servers: []Spec{{Address: "a:1", MaxConnections: 1}}, Dial: n.dial, Seats: func() Seats {
		made = append(made, &seats{})
		return made[len(made)-1]
	}}
	first := New(options, nil)
	if _, err := first.Open(t.Context(), Client{}); err != nil {
		t.Fatal(err)
	}
	options.Servers = []Spec{{Address: "a:1", MaxConnections: 5}, {Address: "b:1"}}
	second := New(options, first)
	if made[0].free != 0 {
		t.Error("a configuration that is not in force changes the number")
	}
	second.Start()
	defer second.Close()
	if made[0].free != 4 || len(made) != 2 || second.Servers()[0].Active() != 1 {
		t.Errorf("%d seats, %d servers made, %d connections", made[0].free, len(made), second.Servers()[0].Active())
	}
}

// TestDown: without a server that can be used nothing is dialled.
func TestDown(t *testing.T) {
	n := &network{fails: map[string]error{"a:1": nil, "b:1": nil}}
	p := over(n, func(o *Options) { o.Servers[0].Maintenance = true })
	p.Servers()[1].Drain(true)
	if _, err := p.Open(t.Context(), Client{}); !errors.Is(err, ErrDown) || len(n.dials()) != 0 {
		t.Errorf("%v", err)
	}
	if err := p.Ready(t.Context()); !errors.Is(err, ErrDown) {
		t.Errorf("ready: %v", err)
	}
	p = New(p.options, p)
	if word, _ := p.Servers()[1].State(); word != "maintenance" {
		t.Errorf("after a reload a server that was drained is %s", word)
	}
	p.Servers()[1].Drain(false)
	if err := p.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestReadyBesideOneThatIsStuck: a server that does not answer does not make a pool
// unready that has another.
func TestReadyBesideOneThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{fails: map[string]error{"b:1": nil}, stuck: map[string]bool{"a:1": true}}
		p := over(n, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Ready(ctx); err != nil {
			t.Error(err)
		}
	})
}
