package backend

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestReloadsThatStopAsking: a server that is out of use since it was asked, or since
// sessions failed, is used again when the configuration does not want that any more:
// nobody would find out that it serves.
func TestReloadsThatStopAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{fails: map[string]error{"a:1": errors.New("gone"), "b:1": nil}}
		p := over(n, func(o *Options) {
			o.Health = Health{Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 1, Fall: 1}
			o.Outlier = Outlier{Failures: 1, Time: time.Minute, MaxEjected: 50}
		})
		p.Start()
		synctest.Wait()
		p.server("b:1").noted(false, false, errRefused)
		if uses(p, "a:1") || !p.server("b:1").outlier.open() {
			t.Fatal("a server is used that is down, or has failed")
		}
		for _, step := range []struct {
			edit func(*Options)
			a, b bool
		}{
			{func(*Options) {}, false, false},
			{func(o *Options) { o.Health.Interval = 0 }, true, false},
			{func(o *Options) { o.Outlier.Failures = 0 }, true, true},
		} {
			_ = p.Close()
			o := p.options
			step.edit(&o)
			p = New(o, p)
			p.Start()
			synctest.Wait()
			if a, b := uses(p, "a:1"), uses(p, "b:1"); a != step.a || b != step.b {
				t.Errorf("health %s, failures %d: a is used: %v, b: %v; want %v, %v", o.Health.Interval, o.Outlier.Failures, a, b, step.a, step.b)
			}
		}
		_ = p.Close()
	})
}

// TestTrialOfAReload: a trial that ends after a reload counts as any other session does
// if the server is let in again meanwhile, and leaves room for the next one.
func TestTrialOfAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := ejecting(&network{}, &told{})
		a := p.server("a:1")
		for range 2 {
			a.noted(false, false, errRefused)
		}
		trial := func() *Leg {
			t.Helper()
			time.Sleep(time.Minute)
			leg, err := a.sit(0)
			if err != nil || !leg.trial {
				t.Fatalf("a trial: %v", err)
			}
			return leg
		}
		late := trial()
		a.readmit(time.Now()) // by a health check
		late.Answered(false)
		late.Leave()
		if a.outlier.open() {
			t.Error("one failure leaves out a server that was let in again")
		}
		a.noted(false, false, errRefused)
		late = trial()
		p.options.Outlier.Failures = 0
		late.Answered(false)
		late.Leave()
		if !uses(p, "a:1") {
			t.Error("nobody tries the server any more")
		}
	})
}

// TestCloseWhileAsking: a question that the end of a pool cuts off says nothing of the
// server, which goes on in the next pool.
func TestCloseWhileAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := over(&network{stuck: map[string]bool{"a:1": true, "b:1": true}}, func(o *Options) {
			o.Health = Health{Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 1, Fall: 1}
		})
		p.Start()
		synctest.Wait()
		_ = p.Close()
		if !uses(p, "a:1") || !uses(p, "b:1") {
			t.Error("it is taken for down")
		}
	})
}
