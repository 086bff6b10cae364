package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// ejecting is a pool of three servers that leaves out for 10 s who fails twice.
func ejecting(n *network, w *told) *Pool {
	return over(n, func(o *Options) {
		o.Servers = append(o.Servers, Spec{Address: "c:1"})
		o.Outlier = Outlier{Failures: 2, Time: 10 * time.Second, MaxEjected: 50}
		o.Changed = w.changed
	})
}

func (p *Pool) server(name string) *Server {
	list := p.Servers()
	return list[slices.IndexFunc(list, func(s *Server) bool { return s.Name() == name })]
}

// uses reports whether new sessions may go to the server.
func uses(p *Pool, name string) bool {
	return slices.Contains(p.order(time.Now(), ""), p.server(name))
}

// TestOutlier: the circuit of a server that fails opens, one session tries it after a
// while, and that decides.
func TestOutlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, w := &network{fails: map[string]error{"a:1": nil, "b:1": nil, "c:1": nil}}, &told{}
		p := ejecting(n, w)
		a := p.server("a:1")
		talk := func(end func(*Leg)) {
			t.Helper()
			leg, err := a.sit(0)
			if err != nil {
				t.Fatal(err)
			}
			end(leg)
			leg.Leave()
		}
		refused := func(l *Leg) { l.Answered(false) }
		served := func(l *Leg) { l.Answered(true) }
		talk(refused)
		talk(served)
		talk((*Leg).Silent)
		if !uses(p, "a:1") {
			t.Fatal("left out for failures that were not in a row")
		}
		talk(refused)
		if uses(p, "a:1") || !uses(p, "b:1") {
			t.Fatal("two failures in a row do not leave it out")
		}
		if word, why := a.State(); word != "ejected" || !errors.Is(why, errRefused) {
			t.Errorf("%s: %v", word, why)
		}
		time.Sleep(10*time.Second - 1)
		if _, err := a.sit(0); !errors.Is(err, ErrDown) {
			t.Errorf("before its time: %v", err)
		}
		time.Sleep(time.Nanosecond)
		trial, err := a.sit(0)
		if err != nil || uses(p, "a:1") {
			t.Fatalf("a trial: %v; for others it is used: %v", err, uses(p, "a:1"))
		}
		if _, err := a.sit(0); !errors.Is(err, ErrDown) {
			t.Errorf("a second trial: %v", err)
		}
		trial.Leave() // without a word: the client has gone
		talk(refused) // the next trial fails
		time.Sleep(20*time.Second - 1)
		if uses(p, "a:1") {
			t.Error("left out for no longer than the first time")
		}
		time.Sleep(time.Nanosecond)
		if got := w.since(); !slices.Equal(got, []string{"a:1 down"}) {
			t.Errorf("told %v", got)
		}
		talk(served)
		if got := w.since(); !uses(p, "a:1") || !slices.Equal(got, []string{"a:1 up"}) {
			t.Errorf("told %v", got)
		}
	})
}

// TestMostAreNotLeftOut: when many fail, that is no outlier.
func TestMostAreNotLeftOut(t *testing.T) {
	n := &network{fails: map[string]error{}}
	p := ejecting(n, &told{})
	for range 10 {
		_, _ = p.Open(t.Context(), Client{})
	}
	left := 0
	for _, s := range p.Servers() {
		if s.outlier.open() {
			left++
		}
	}
	if left != 1 {
		t.Errorf("%d of 3 are left out, want at most half", left)
	}
}

// TestDialsThatFail: what is wrong on this machine, or with the client, is no failure
// of the server.
func TestDialsThatFail(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		want bool
	}{
		{"refused", t.Context(), syscall.ECONNREFUSED, true},
		{"reset", t.Context(), syscall.ECONNRESET, true},
		{"timeout", t.Context(), os.ErrDeadlineExceeded, true},
		{"no descriptor", t.Context(), os.NewSyscallError("socket", syscall.EMFILE), false},
		{"no port", t.Context(), os.NewSyscallError("connect", syscall.EADDRNOTAVAIL), false},
		{"the client has left", canceled, context.Canceled, false},
	} {
		p := ejecting(&network{fails: map[string]error{}}, &told{})
		a := p.server("a:1")
		for range 2 {
			leg, err := a.sit(0)
			if err != nil {
				t.Fatal(err)
			}
			leg.failed(tt.ctx, tt.err)
			leg.Leave()
		}
		if left := a.outlier.open(); left != tt.want {
			t.Errorf("%s: left out: %v", tt.name, left)
		}
	}
}

// TestBound: nobody is left out for longer than maxEjections times.
func TestBound(t *testing.T) {
	o, now := outlier{}, time.Now()
	limits := Outlier{Failures: 1, Time: time.Second, MaxEjected: 100}
	always := func() bool { return true }
	o.fail(now, limits, false, always, errSilent)
	for range 100 {
		now = now.Add(time.Hour)
		if trial, ok := o.begin(now); !trial || !ok {
			t.Fatal("no trial")
		}
		o.fail(now, limits, true, always, errSilent)
	}
	if most := now.Add(maxEjections * time.Second); o.until.After(most) {
		t.Errorf("left out until %s after now", o.until.Sub(now))
	}
}

// TestOutliersAtOnce: of servers that fail at the same moment no more are left out than
// may be, and none of their sessions waits for ever.
func TestOutliersAtOnce(t *testing.T) {
	p := over(&network{}, func(o *Options) {
		o.Servers, o.Outlier = nil, Outlier{Failures: 1, Time: time.Hour, MaxEjected: 50}
		for i := range 32 {
			o.Servers = append(o.Servers, Spec{Address: fmt.Sprintf("s%d:1", i)})
		}
	})
	for range 2000 {
		var all sync.WaitGroup
		for _, s := range p.Servers() {
			all.Go(func() { s.noted(false, false, errRefused) })
		}
		all.Wait()
		out := 0
		for _, s := range p.Servers() {
			if s.outlier.open() {
				out++
			}
			s.readmit(time.Now())
		}
		if out != 16 {
			t.Fatalf("%d of 32 servers are left out", out)
		}
	}
}
