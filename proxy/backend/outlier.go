package backend

import (
	"sync"
	"time"
)

// Outlier is when a server that fails sessions is left out: the breaker of its
// circuit opens. After Time one session tries it, and if that fails it is left out
// for twice as long, up to maxEjections times. The zero Outlier leaves nobody out.
type Outlier struct {
	Failures   int // in a row
	Time       time.Duration
	MaxEjected int // of the servers of a pool, in percent
}

// maxEjections bounds for how many times Outlier.Time a server is left out.
const maxEjections = 10

// outlier is what sessions have told of a server. The zero outlier has told nothing.
type outlier struct {
	mu       sync.Mutex
	failures int // in a row
	ejected  int // times in a row
	until    time.Time
	trying   bool
	since    time.Time // when it was let in again; zero: it was never left out
	why      error
}

// usable reports whether a session may be sent there.
func (o *outlier) usable(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ejected == 0 || !o.trying && !now.Before(o.until)
}

// begin says that a session is sent there, as a trial if the server was left out. It
// reports whether it may.
func (o *outlier) begin(now time.Time) (trial, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.ejected == 0:
		return false, true
	case o.trying || now.Before(o.until):
		return false, false
	}
	o.trying = true
	return true, true
}

// untried is the end of a trial that has told nothing.
func (o *outlier) untried() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trying = false
}

// pardon lets the server in again, and reports whether it was left out.
func (o *outlier) pardon(now time.Time) (back bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures = 0
	if o.ejected == 0 {
		return false
	}
	o.ejected, o.trying, o.since, o.why = 0, false, now, nil
	return true
}

// fail counts a failure, of a trial or not, and reports whether the server is left out
// with it; may is asked whether another server may be.
func (o *outlier) fail(now time.Time, limits Outlier, trial bool, may func() bool, why error) (left bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures++
	trial = trial && o.ejected > 0 // it may have been let in meanwhile
	if trial {
		o.trying = false
	}
	switch {
	case limits.Failures == 0:
		return false
	case trial:
	case o.ejected > 0 || o.failures < limits.Failures || !may():
		return false // or the session began before it was left out
	}
	o.ejected = min(o.ejected+1, maxEjections)
	o.until, o.why = now.Add(limits.Time<<(o.ejected-1)), why
	if most := now.Add(maxEjections * limits.Time); o.until.After(most) {
		o.until = most
	}
	return !trial
}

func (o *outlier) open() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ejected > 0
}

func (o *outlier) reason() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.why
}

func (o *outlier) back() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.since
}

// deciding is held while it is decided whether a server is left out, which depends on
// the others: two at once would wait for each other, or both go. It is one for all
// pools, since those of a reload share servers.
var deciding sync.Mutex

// noted takes what a session tells of its server.
func (s *Server) noted(well, trial bool, why error) {
	now := time.Now()
	if well {
		s.readmit(now)
		return
	}
	deciding.Lock()
	left := s.outlier.fail(now, s.pool.options.Outlier, trial, s.pool.mayEject(s), why)
	deciding.Unlock()
	if left {
		s.pool.tell(s.Name(), why)
	}
}

// readmit forgets failures.
func (s *Server) readmit(now time.Time) {
	if s.outlier.pardon(now) {
		s.pool.tell(s.Name(), nil)
	}
}

// mayEject reports whether one more server than s is kept out of, as things are.
func (p *Pool) mayEject(s *Server) func() bool {
	return func() bool {
		all, out := p.servers.Load().list, 1
		for _, other := range all {
			if other.state != s.state && other.outlier.open() {
				out++
			}
		}
		return out*100 <= p.options.Outlier.MaxEjected*len(all)
	}
}
