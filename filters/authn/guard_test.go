package authn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

var (
	errDown    = errors.New("connection refused")
	errWrong   = &packets.Error{Code: packets.BadUserNameOrPassword, Msg: "wrong password"}
	errCrowded = &packets.Error{Code: packets.ServerBusy, Msg: "too many passwords to compare"}
)

// source is a method whose answer can be set, and which counts the questions.
type source struct {
	asked  atomic.Int64
	answer func(ctx context.Context) (filters.Identity, error)
}

func (s *source) Authenticate(ctx context.Context, _ filters.Credentials) (filters.Identity, error) {
	s.asked.Add(1)
	return s.answer(ctx)
}

// says is an answer that does not take time.
func says(id filters.Identity, err error) func(context.Context) (filters.Identity, error) {
	return func(context.Context) (filters.Identity, error) { return id, err }
}

// hangs is an answer that never comes.
func hangs(ctx context.Context) (filters.Identity, error) {
	<-ctx.Done()
	return filters.Identity{}, ctx.Err()
}

var (
	guarded = GuardOptions{Timeout: time.Second, Concurrent: 2, Size: 100, Failures: 3, Cooldown: time.Minute}
	bob     = filters.Credentials{Username: "bob", HasUsername: true, Password: filters.Secret("secret"), HasPassword: true}
	isBob   = filters.Identity{Username: "bob", Method: "users"}
)

func (o GuardOptions) remembering(ttl, negative time.Duration) GuardOptions {
	o.TTL, o.NegativeTTL = ttl, negative
	return o
}

// inTime runs f in a bubble with a guarded source that says yes.
func inTime(t *testing.T, o GuardOptions, f func(s *source, m *Guarded, ask func(want error, asked int64))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: says(isBob, nil)}
		m := NewGuarded("users", s, NewGuard(o))
		f(s, m, func(want error, asked int64) {
			t.Helper()
			id, err := m.Authenticate(t.Context(), bob)
			var who filters.Identity
			if want == nil {
				who = isBob
			}
			if !errors.Is(err, want) || !reflect.DeepEqual(id, who) {
				t.Errorf("got %+v, %v; want %+v, %v", id, err, who, want)
			}
			if got := s.asked.Load(); got != asked {
				t.Errorf("the source was asked %d times, want %d", got, asked)
			}
		})
	})
}

func TestGuardRemembers(t *testing.T) {
	inTime(t, guarded.remembering(time.Minute, time.Second), func(s *source, _ *Guarded, ask func(error, int64)) {
		ask(nil, 1)
		time.Sleep(time.Minute - 1)
		s.answer = says(filters.Identity{}, errWrong)
		ask(nil, 1) // a revocation is not noticed before
		time.Sleep(time.Nanosecond)
		ask(errWrong, 2)
		time.Sleep(time.Second - 1)
		s.answer = says(isBob, nil)
		ask(errWrong, 2)
		time.Sleep(time.Nanosecond)
		ask(nil, 3)
	})
}

func TestGuardRemembersNothingUnasked(t *testing.T) {
	inTime(t, guarded, func(s *source, _ *Guarded, ask func(error, int64)) {
		ask(nil, 1)
		ask(nil, 2)
		s.answer = says(filters.Identity{}, errWrong)
		ask(errWrong, 3)
		ask(errWrong, 4)
	})
	inTime(t, guarded.remembering(time.Hour, 0), func(s *source, _ *Guarded, ask func(error, int64)) {
		s.answer = says(filters.Identity{}, errWrong)
		ask(errWrong, 1)
		ask(errWrong, 2)
	})
	inTime(t, guarded.remembering(0, time.Hour), func(s *source, _ *Guarded, ask func(error, int64)) {
		ask(nil, 1)
		ask(nil, 2)
		s.answer = says(filters.Identity{}, ErrNotMine)
		ask(ErrNotMine, 3)
		ask(ErrNotMine, 3) // that nobody is known is an answer, too
	})
}

// TestGuardForgetsEarlier: what ends before its time in memory.
func TestGuardForgetsEarlier(t *testing.T) {
	for name, answer := range map[string]func(ctx context.Context) (filters.Identity, error){
		"the identity expires": func(context.Context) (filters.Identity, error) {
			return filters.Identity{Username: "bob", Expires: time.Now().Add(time.Second)}, nil
		},
		"the source says so": func(ctx context.Context) (filters.Identity, error) {
			ForgetAfter(ctx, time.Now().Add(time.Second))
			return isBob, nil
		},
		"the source says so of a refusal": func(ctx context.Context) (filters.Identity, error) {
			ForgetAfter(ctx, time.Now().Add(time.Second))
			return filters.Identity{}, errWrong
		},
		"the source says longer, and the identity expires": func(ctx context.Context) (filters.Identity, error) {
			ForgetAfter(ctx, time.Now().Add(time.Hour))
			return filters.Identity{Username: "bob", Expires: time.Now().Add(time.Second)}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{answer: answer}
				m := NewGuarded("users", s, NewGuard(guarded.remembering(time.Minute, time.Minute)))
				for i, asked := range []int64{1, 1, 2} {
					_, _ = m.Authenticate(t.Context(), bob)
					if got := s.asked.Load(); got != asked {
						t.Errorf("login %d: asked %d times, want %d", i, got, asked)
					}
					time.Sleep(time.Second/2 + 1)
				}
			})
		})
	}
	t.Run("nor does it last longer", func(t *testing.T) {
		inTime(t, guarded.remembering(time.Second, 0), func(s *source, _ *Guarded, ask func(error, int64)) {
			s.answer = func(ctx context.Context) (filters.Identity, error) {
				ForgetAfter(ctx, time.Now().Add(time.Hour))
				return isBob, nil
			}
			ask(nil, 1)
			time.Sleep(time.Second)
			ask(nil, 2)
		})
	})
	ForgetAfter(t.Context(), time.Now()) // without a Guard that listens
}

func TestGuardRemembersNoFailure(t *testing.T) {
	for _, failure := range []error{errDown, errCrowded, context.DeadlineExceeded} {
		inTime(t, guarded.remembering(time.Hour, time.Hour), func(s *source, _ *Guarded, ask func(error, int64)) {
			s.answer = says(filters.Identity{}, failure)
			ask(failure, 1)
			ask(failure, 2)
			s.answer = says(isBob, nil)
			ask(nil, 3)
		})
	}
}

// changes notes what a Guard tells of its source.
type changes []string

func (c *changes) note(failure error) { *c = append(*c, fmt.Sprint(failure)) }

func (c *changes) want(t *testing.T, want ...string) {
	t.Helper()
	if !reflect.DeepEqual([]string(*c), want) && len(*c)+len(want) > 0 {
		t.Errorf("told %q, want %q", *c, want)
	}
}

func TestGuardBreaker(t *testing.T) {
	var told changes
	o := guarded
	o.Changed = told.note
	inTime(t, o, func(s *source, _ *Guarded, ask func(error, int64)) {
		down := says(filters.Identity{}, errDown)
		s.answer = down
		ask(errDown, 1)
		ask(errDown, 2)
		s.answer = says(filters.Identity{}, errWrong)
		ask(errWrong, 3) // an answer: it counts from the beginning
		s.answer = down
		ask(errDown, 4)
		ask(errDown, 5)
		told.want(t)
		ask(errDown, 6)
		told.want(t, "connection refused")
		s.answer = says(isBob, nil)
		ask(errOpen, 6)
		time.Sleep(o.Cooldown)
		ask(errOpen, 6)
		time.Sleep(time.Nanosecond)
		s.answer = down
		ask(errDown, 7) // one may try
		ask(errOpen, 7)
		told.want(t, "connection refused") // that is nothing new
		time.Sleep(o.Cooldown + 1)
		s.answer = says(isBob, nil)
		ask(nil, 8)
		told.want(t, "connection refused", "<nil>")
		ask(nil, 9)
		s.answer = down
		for i := range int64(3) {
			ask(errDown, 10+i)
		}
		told.want(t, "connection refused", "<nil>", "connection refused")
	})
}

// TestGuardAnswersFromMemoryWhileDown: who is remembered gets in.
func TestGuardAnswersFromMemoryWhileDown(t *testing.T) {
	inTime(t, guarded.remembering(time.Minute, 0), func(s *source, m *Guarded, ask func(error, int64)) {
		ask(nil, 1)
		s.answer = says(filters.Identity{}, errDown)
		eve := bob
		eve.Username = "eve"
		for range 4 {
			if _, err := m.Authenticate(context.Background(), eve); err == nil {
				t.Error("eve got in")
			}
		}
		ask(nil, 4)
		time.Sleep(time.Minute)
		ask(errOpen, 4)
	})
}

// TestGuardHalfOpen: while one question is under way to find out, no other is.
func TestGuardHalfOpen(t *testing.T) {
	inTime(t, guarded, func(s *source, m *Guarded, ask func(error, int64)) {
		open(ask, s)
		release := make(chan struct{})
		s.answer = func(context.Context) (filters.Identity, error) { <-release; return isBob, nil }
		done := make(chan error)
		go func() { _, err := m.Authenticate(context.Background(), bob); done <- err }()
		synctest.Wait()
		ask(errOpen, 4)
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.answer = says(isBob, nil)
		ask(nil, 5)
	})
}

// open makes the breaker open, and waits until it lets one try.
func open(ask func(error, int64), s *source) {
	s.answer = says(filters.Identity{}, errDown)
	for i := range int64(3) {
		ask(errDown, i+1)
	}
	time.Sleep(guarded.Cooldown + 1)
}

// TestGuardLeavingClients are no failures, and do not keep the breaker from
// finding out.
func TestGuardLeavingClients(t *testing.T) {
	leave := func(m *Guarded) error {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second/2, cancel)
		_, err := m.Authenticate(ctx, bob)
		return err
	}
	driver := func(ctx context.Context) (filters.Identity, error) {
		<-ctx.Done()
		return filters.Identity{}, errors.New("driver: bad connection") // as some put it
	}
	for _, answer := range []func(context.Context) (filters.Identity, error){hangs, driver} {
		inTime(t, guarded, func(s *source, m *Guarded, ask func(error, int64)) {
			s.answer = answer
			for range 5 {
				if err := leave(m); err == nil || errors.Is(err, errOpen) {
					t.Errorf("got %v", err)
				}
			}
			s.answer = says(isBob, nil)
			ask(nil, 6)
		})
		inTime(t, guarded, func(s *source, m *Guarded, ask func(error, int64)) {
			open(ask, s)
			s.answer = answer
			if err := leave(m); err == nil || errors.Is(err, errOpen) {
				t.Errorf("got %v", err)
			}
			s.answer = says(isBob, nil)
			ask(nil, 5)
		})
	}
	t.Run("but a source that says canceled has failed", func(t *testing.T) {
		inTime(t, guarded, func(s *source, _ *Guarded, ask func(error, int64)) {
			s.answer = says(filters.Identity{}, context.Canceled)
			for i := range int64(3) {
				ask(context.Canceled, i+1)
			}
			ask(errOpen, 3)
		})
	})
}

func TestGuardTimeout(t *testing.T) {
	inTime(t, guarded, func(s *source, _ *Guarded, ask func(error, int64)) {
		s.answer = hangs
		for i := range int64(3) {
			start := time.Now()
			ask(context.DeadlineExceeded, i+1)
			if took := time.Since(start); took != time.Second {
				t.Errorf("took %v", took)
			}
		}
		ask(errOpen, 3)
	})
}

// TestGuardConcurrency: more questions wait, and give up; that they had to is no
// failure of the source, nor does waiting take from the time of a question.
func TestGuardConcurrency(t *testing.T) {
	inTime(t, guarded, func(s *source, m *Guarded, ask func(error, int64)) {
		var now, most atomic.Int64
		s.answer = func(ctx context.Context) (filters.Identity, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			select {
			case <-time.After(time.Second * 9 / 10):
				return isBob, nil
			case <-ctx.Done():
				return filters.Identity{}, ctx.Err()
			}
		}
		results := make(chan error, 20)
		for range 20 {
			go func() { _, err := m.Authenticate(context.Background(), bob); results <- err }()
		}
		admitted, crowded := 0, 0
		for range 20 {
			switch err := <-results; {
			case err == nil:
				admitted++
			case busy(err):
				crowded++
			default:
				t.Errorf("got %v", err)
			}
		}
		if most.Load() != 2 || admitted != 4 || crowded != 16 {
			t.Errorf("%d at once, %d admitted, %d crowded; want 2, 4 and 16", most.Load(), admitted, crowded)
		}
		s.answer = says(isBob, nil)
		ask(nil, 5)
	})
}

// TestGuardRecheck: what a method answers without its source says nothing of it.
func TestGuardRecheck(t *testing.T) {
	session := &filters.Session{Identity: isBob}
	var told changes
	o := guarded
	o.Changed = told.note
	synctest.Test(t, func(t *testing.T) {
		s := &rechecked{source: source{answer: says(filters.Identity{}, errDown)}}
		m := NewGuarded("users", s, NewGuard(o))
		for range 3 {
			_, _ = m.Authenticate(t.Context(), bob)
		}
		time.Sleep(o.Cooldown + 1)
		gone := errors.New("the user is gone")
		for _, answer := range []error{nil, ErrNotMine, gone} {
			s.says = answer
			if err := m.Recheck(t.Context(), session); !errors.Is(err, answer) {
				t.Errorf("got %v, want %v", err, answer)
			}
		}
		told.want(t, "connection refused")
		s.says = fmt.Errorf("%w: %w", ErrUnavailable, errDown)
		for range 2 { // the second is not asked
			if err := m.Recheck(t.Context(), session); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		if s.rechecks != 4 {
			t.Errorf("asked %d times", s.rechecks)
		}
	})
	if err := NewGuarded("users", &source{}, NewGuard(guarded)).Recheck(t.Context(), session); !errors.Is(err, ErrNotMine) {
		t.Errorf("a method that cannot be asked again: %v", err)
	}
}

type rechecked struct {
	source
	says     error
	rechecks int
}

func (r *rechecked) Recheck(context.Context, *filters.Session) error { r.rechecks++; return r.says }

// TestRecheckBesideUnavailable: a source that is down vouches for nobody else's
// users.
func TestRecheckBesideUnavailable(t *testing.T) {
	down, mine := &rechecked{says: ErrUnavailable}, &rechecked{says: errors.New("the user is gone")}
	session := &filters.Session{Identity: isBob}
	gone := errors.New("the user is gone")
	for _, test := range []struct {
		says, want error
	}{{gone, gone}, {nil, nil}, {ErrNotMine, ErrUnavailable}} {
		mine.says = test.says
		for _, chain := range []Chain{{down, mine}, {mine, down}} {
			err := chain.Recheck(t.Context(), session)
			if _, ended := errors.AsType[*packets.Error](err); ended != (test.want == gone) || !ended && !errors.Is(err, test.want) {
				t.Errorf("beside %v: got %v", test.says, err)
			}
		}
	}
}

// TestGuardKeys: no two credentials that differ in anything share an answer.
func TestGuardKeys(t *testing.T) {
	base := filters.Credentials{
		Version: packets.V311, ClientID: "id", Username: "u", HasUsername: true, Password: filters.Secret("p"), HasPassword: true,
		AuthMethod: "m", RemoteAddr: netip.MustParseAddr("192.0.2.1"), Listener: "l",
	}
	all := []filters.Credentials{base}
	for _, change := range []func(*filters.Credentials){
		func(c *filters.Credentials) { c.Version = packets.V5 },
		func(c *filters.Credentials) { c.CleanStart = true },
		func(c *filters.Credentials) { c.ClientID = "i" },
		func(c *filters.Credentials) { c.Username, c.Password = "up", nil },
		func(c *filters.Credentials) { c.Username, c.Password = "", filters.Secret("up") },
		func(c *filters.Credentials) { c.Username = "" },
		func(c *filters.Credentials) { c.Username, c.HasUsername = "", false },
		func(c *filters.Credentials) { c.Password = nil },
		func(c *filters.Credentials) { c.Password, c.HasPassword = nil, false },
		func(c *filters.Credentials) { c.Password = filters.Secret("p\x00") },
		func(c *filters.Credentials) { c.Password = filters.Secret("q") },
		func(c *filters.Credentials) { c.AuthMethod = "" },
		func(c *filters.Credentials) { c.AuthMethod, c.ClientID = "idm", "" },
		func(c *filters.Credentials) { c.RemoteAddr = netip.MustParseAddr("192.0.2.2") },
		func(c *filters.Credentials) { c.RemoteAddr = netip.Addr{} },
		func(c *filters.Credentials) { c.Listener = "m" },
	} {
		c := base
		change(&c)
		all = append(all, c)
	}
	g, seen := NewGuard(guarded), map[guardKey]int{}
	for i, c := range all {
		k := g.hash(partsOf(c))
		if j, taken := seen[k]; taken {
			t.Errorf("%d and %d have the same key: %v", i, j, c)
		}
		seen[k] = i
		if k != g.hash(partsOf(c)) {
			t.Errorf("%d has two keys", i)
		}
	}
	if NewGuard(guarded).hash(partsOf(base)) == g.hash(partsOf(base)) {
		t.Error("the key is the same in another process")
	}
}

func FuzzGuardKeys(f *testing.F) {
	f.Add("ab|c", "a|bc")
	f.Add("a||b", "a|b|")
	g := NewGuard(guarded)
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := strings.Split(a, "|"), strings.Split(b, "|")
		if (g.hash(x) == g.hash(y)) != reflect.DeepEqual(x, y) {
			t.Errorf("%q and %q", x, y)
		}
	})
}

func BenchmarkGuardWarm(b *testing.B) {
	s := &source{answer: says(isBob, nil)}
	m := NewGuarded("users", s, NewGuard(guarded.remembering(time.Hour, 0)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Authenticate(b.Context(), bob); err != nil {
			b.Fatal(err)
		}
	}
	if s.asked.Load() != 1 {
		b.Errorf("asked %d times", s.asked.Load())
	}
}

// TestRecheckOfOthers: a source is not asked about the session of another method,
// so that its being down keeps nobody else's.
func TestRecheckOfOthers(t *testing.T) {
	s := &rechecked{says: ErrUnavailable}
	m := NewGuarded("other", s, NewGuard(guarded))
	if err := m.Recheck(t.Context(), &filters.Session{Identity: isBob}); !errors.Is(err, ErrNotMine) || s.rechecks != 0 {
		t.Errorf("got %v after %d questions", err, s.rechecks)
	}
}

// TestGuardHurry: a login whose own time is over says nothing of the source.
func TestGuardHurry(t *testing.T) {
	inTime(t, guarded, func(s *source, m *Guarded, ask func(error, int64)) {
		s.answer = func(ctx context.Context) (filters.Identity, error) {
			<-ctx.Done()
			return filters.Identity{}, ctx.Err()
		}
		for range 2 * guarded.Failures {
			ctx, cancel := context.WithTimeout(context.Background(), guarded.Timeout/2)
			if _, err := m.Authenticate(ctx, bob); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		s.answer = says(isBob, nil)
		ask(nil, int64(2*guarded.Failures+1))
	})
}
