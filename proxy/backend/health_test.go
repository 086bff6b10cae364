package backend

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// told collects what operators are told.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (w *told) changed(server string, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := server + " up"
	if why != nil {
		line = server + " down"
	}
	w.lines = append(w.lines, line)
}

func (w *told) since() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.lines = nil }()
	return w.lines
}

// TestHealth: a server is not used after as many questions without answer as fall says,
// and again after as many answers as rise says; the first answer is believed at once.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, w := &network{fails: map[string]error{"a:1": nil}}, &told{}
		p := over(n, func(o *Options) {
			o.Health = Health{Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 3, Fall: 2}
			o.Changed = w.changed
		})
		p.Start()
		defer p.Close()
		synctest.Wait()
		expect := func(after int, want ...string) {
			t.Helper()
			for i := range after {
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if got := w.since(); i < after-1 && len(got) > 0 {
					t.Errorf("told %v after %d questions", got, i+1)
				} else if i == after-1 && !slices.Equal(got, want) {
					t.Errorf("told %v, want %v", got, want)
				}
			}
		}
		if got := w.since(); !slices.Equal(got, []string{"b:1 down"}) {
			t.Errorf("told %v at first", got)
		}
		n.set("a:1", errors.New("gone"))
		expect(2, "a:1 down")
		if err := p.Ready(t.Context()); !errors.Is(err, ErrDown) {
			t.Errorf("ready: %v", err)
		}
		if word, why := p.Servers()[0].State(); word != "down" || why == nil || why.Error() != "gone" {
			t.Errorf("%s: %v", word, why)
		}
		n.set("b:1", nil)
		expect(3, "b:1 up")
		n.set("a:1", nil)
		expect(2)
		n.set("a:1", errors.New("gone")) // two answers are not three
		expect(1)
		n.set("a:1", nil)
		expect(3, "a:1 up")
		if err := p.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestHealthTimeout: a server that does not answer is down after the timeout, and takes
// no time from the others.
func TestHealthTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, w := &network{fails: map[string]error{"b:1": nil}, stuck: map[string]bool{"a:1": true}}, &told{}
		p := over(n, func(o *Options) {
			o.Health = Health{Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 2}
			o.Changed = w.changed
		})
		p.Start()
		defer p.Close()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := w.since(); !slices.Equal(got, []string{"a:1 down"}) {
			t.Errorf("told %v", got)
		}
		a := p.Servers()[0]
		if _, why := a.State(); why.Error() != "no answer to a health check" {
			t.Error(why)
		}
		if a.Vacates() {
			t.Error("its sessions are to end")
		}
		p.options.Health.EndSessions = true
		if !a.Vacates() || p.Servers()[1].Vacates() {
			t.Error("its sessions are to stay, or those of the other to end")
		}
	})
}

// TestHealthOverReload: what is known stays known, and nobody is told twice.
func TestHealthOverReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, w := &network{fails: map[string]error{"a:1": nil}}, &told{}
		first := over(n, func(o *Options) {
			o.Health = Health{Interval: time.Second, Timeout: time.Second, Rise: 2, Fall: 2}
			o.Changed = w.changed
		})
		first.Start()
		synctest.Wait()
		w.since()
		second := New(first.options, first)
		first.Close()
		second.Start()
		defer second.Close()
		synctest.Wait()
		if word, _ := second.Servers()[1].State(); word != "down" || len(w.since()) != 0 {
			t.Errorf("a server that was down is %s", word)
		}
	})
}

// TestSlowStart: a server that is back begins with a part of its weight.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{fails: map[string]error{"a:1": nil}}
		p := over(n, func(o *Options) {
			o.Health = Health{Interval: time.Second, Timeout: time.Second, Rise: 1, Fall: 1}
			o.SlowStart = 100 * time.Second
			o.Servers[1].Weight = 4
		})
		p.Start()
		defer p.Close()
		synctest.Wait()
		if w := p.Servers()[0].weight(time.Now()); w != 1 {
			t.Errorf("a server that was never down has weight %v", w)
		}
		n.set("b:1", nil)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, tt := range []struct {
			after time.Duration
			want  float64
		}{{0, 0.4}, {5 * time.Second, 0.4}, {45 * time.Second, 2}, {50 * time.Second, 4}} {
			time.Sleep(tt.after)
			if w := p.Servers()[1].weight(time.Now()); w != tt.want {
				t.Errorf("%s later it has weight %v, want %v", tt.after, w, tt.want)
			}
		}
	})
}

// TestReadyAsksOnce: without health checks, a connection that was opened vouches.
func TestReadyAsksOnce(t *testing.T) {
	n := &network{fails: map[string]error{"a:1": nil}}
	p := over(n, func(o *Options) { o.Servers = o.Servers[:1] })
	for range 3 {
		if err := p.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.dials(); len(got) != 1 {
		t.Errorf("dialled %v", got)
	}
}
