package authn

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/sony/gobreaker/v2"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

// Guard stands between the logins and a source of identities that is somewhere
// else: a database, a directory, a service. It remembers answers for a while,
// bounds time and number of the questions, and stops asking a source that fails.
//
// Only answers are remembered, never failures. What it remembers is found by a
// keyed hash of the credentials; the credentials themselves are not kept.
type Guard struct {
	options  GuardOptions
	key      [sha256.Size]byte
	accepted memory
	refused  memory // of its own, so that a flood of guesses pushes no acceptance out
	turns    *ratelimit.Turns
	breaker  *gobreaker.CircuitBreaker[filters.Identity]
}

// GuardOptions bound a Guard. All are positive, but that a TTL of zero means that
// such answers are not remembered.
type GuardOptions struct {
	Timeout     time.Duration // of one question
	Concurrent  int           // questions at once; more wait
	TTL         time.Duration // for which an acceptance is remembered: as long may a revocation go unnoticed
	NegativeTTL time.Duration // and a refusal
	Size        int           // how many of each are remembered
	Failures    int           // in a row after which the source is not asked
	Cooldown    time.Duration // for which it is not

	// Changed is told when the source is given up, with the last failure, and,
	// with nil, when it answers again. It may be nil.
	Changed func(failure error)
}

type guardKey [sha256.Size]byte

// remembered is what is remembered of the source.
type remembered struct {
	identity filters.Identity
	err      error
	until    time.Time
}

// memory holds answers for a while. Their time is looked at when they are read: a
// cache that does so by itself keeps a goroutine.
type memory struct {
	ttl   time.Duration
	cache *otter.Cache[guardKey, remembered] // nil: nothing is remembered
}

func newMemory(ttl time.Duration, size int) memory {
	if ttl == 0 {
		return memory{}
	}
	return memory{ttl, otter.Must(&otter.Options[guardKey, remembered]{MaximumSize: size})}
}

func (m memory) find(k guardKey, now time.Time) (remembered, bool) {
	if m.cache == nil {
		return remembered{}, false
	}
	a, ok := m.cache.GetIfPresent(k)
	return a, ok && now.Before(a.until)
}

func (m memory) keep(k guardKey, a remembered, now time.Time) {
	if m.cache == nil {
		return
	}
	a.until = earlier(now.Add(m.ttl), earlier(a.until, a.identity.Expires))
	_, _ = m.cache.Set(k, a) // what was there was out of date
}

// errOpen is the refusal while the source is not asked.
var errOpen = errors.New("the source has failed before and is not asked for now")

// errNoSign is in the errors that say nothing of the source, good or bad.
var errNoSign = errors.New("not told by the source")

// NewGuard returns a Guard that remembers nothing yet.
func NewGuard(o GuardOptions) *Guard {
	g := &Guard{
		options:  o,
		accepted: newMemory(o.TTL, o.Size),
		refused:  newMemory(o.NegativeTTL, o.Size),
		turns:    ratelimit.NewTurns(o.Concurrent),
	}
	_, _ = rand.Read(g.key[:]) // never fails
	var last error
	g.breaker = gobreaker.NewCircuitBreaker[filters.Identity](gobreaker.Settings{
		Timeout:     o.Cooldown,
		ReadyToTrip: func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= o.Failures },
		IsSuccessful: func(err error) bool {
			if failed := err != nil && !answered(err); failed {
				last = err // under the breaker's lock, as OnStateChange
				return false
			}
			return true
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errNoSign) || busy(err) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case o.Changed == nil:
			case to == gobreaker.StateOpen && from == gobreaker.StateClosed:
				o.Changed(last)
			case to == gobreaker.StateClosed:
				o.Changed(nil)
			}
		},
	})
	return g
}

// answered reports whether err is an answer of the source and not its failure.
func answered(err error) bool {
	_, refused := errors.AsType[*packets.Error](err)
	return refused || errors.Is(err, ErrNotMine)
}

// busy reports whether err says that there was no time to ask or to compare.
func busy(err error) bool {
	e, ok := errors.AsType[*packets.Error](err)
	return ok && e.Code == packets.ServerBusy
}

// Do returns what is remembered for the parts of a question, or asks, for higher
// ranks first. What ask returns is an answer if it is an identity, ErrNotMine or a *packets.Error; any
// other error is a failure of the source.
func (g *Guard) Do(ctx context.Context, rank int, parts []string, ask func(context.Context) (filters.Identity, error)) (filters.Identity, error) {
	k, now := g.hash(parts), time.Now()
	if a, ok := g.accepted.find(k, now); ok {
		return a.identity, nil
	}
	if a, ok := g.refused.find(k, now); ok {
		return filters.Identity{}, a.err
	}
	var until time.Time
	id, err := g.Ask(context.WithValue(ctx, untilKey{}, &until), rank, ask)
	switch {
	case err == nil:
		g.accepted.keep(k, remembered{id, nil, until}, now)
	case answered(err) && !busy(err):
		g.refused.keep(k, remembered{filters.Identity{}, err, until}, now)
	}
	return id, err
}

type untilKey struct{}

// ForgetAfter says to the Guard that asks, if one does, that the answer to come is
// to be remembered until then at the longest. ctx is that of the question.
func ForgetAfter(ctx context.Context, until time.Time) {
	if at, ok := ctx.Value(untilKey{}).(*time.Time); ok {
		*at = until
	}
}

// Ask asks without looking at what is remembered, and remembers nothing.
func (g *Guard) Ask(ctx context.Context, rank int, ask func(context.Context) (filters.Identity, error)) (filters.Identity, error) {
	if err := g.enter(ctx, rank); err != nil {
		return filters.Identity{}, err
	}
	defer g.turns.Give()
	// Its time begins here: that others were in the way is no fault of the source.
	asking, cancel := context.WithTimeout(ctx, g.options.Timeout)
	defer cancel()
	id, err := g.breaker.Execute(func() (filters.Identity, error) {
		id, err := ask(asking)
		if err != nil && !answered(err) && ctx.Err() != nil {
			err = fmt.Errorf("the client has left, or had no time: %w: %w", errNoSign, err)
		}
		return id, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = errOpen
	}
	return id, err
}

// enter waits for a turn.
func (g *Guard) enter(ctx context.Context, rank int) error {
	ctx, cancel := context.WithTimeout(ctx, g.options.Timeout)
	defer cancel()
	if g.turns.Take(ctx, rank) != nil {
		return &packets.Error{Code: packets.ServerBusy, Msg: "too many questions to the source of identities"}
	}
	return nil
}

// hash tells apart any two lists of parts.
func (g *Guard) hash(parts []string) guardKey {
	h := hmac.New(sha256.New, g.key[:])
	var length [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write([]byte(p))
	}
	return guardKey(h.Sum(nil))
}

// Guarded is a method whose source is behind a Guard.
type Guarded struct {
	name   string
	method Authenticator
	guard  *Guard
}

// NewGuarded puts g between the logins and method, whose name in the configuration
// is name.
func NewGuarded(name string, method Authenticator, g *Guard) *Guarded {
	return &Guarded{name: name, method: method, guard: g}
}

// Authenticate answers as the method does, or did.
func (m *Guarded) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	return m.guard.Do(ctx, c.Rank, partsOf(c), func(ctx context.Context) (filters.Identity, error) {
		return m.method.Authenticate(ctx, c)
	})
}

// partsOf is all of the credentials: which of them count, the method knows.
func partsOf(c filters.Credentials) []string {
	fingerprint, _ := filters.CertificateValue(c.Certificate, "cert.fingerprint")
	return []string{
		c.Username, fmt.Sprint(c.HasUsername), string(c.Password), fmt.Sprint(c.HasPassword),
		c.ClientID, c.AuthMethod, c.RemoteAddr.String(), c.Listener, fingerprint,
		fmt.Sprint(c.Version), fmt.Sprint(c.CleanStart),
	}
}

// Recheck asks the method, which cannot say if it is no Rechecker.
func (m *Guarded) Recheck(ctx context.Context, s *filters.Session) error {
	r, ok := m.method.(Rechecker)
	if !ok || s.Identity.Method != m.name {
		return ErrNotMine // the source is not asked about sessions of others
	}
	var end error // neither the source's failure nor an answer to a login
	_, err := m.guard.Ask(ctx, ratelimit.Known, func(ctx context.Context) (filters.Identity, error) {
		end = r.Recheck(ctx, s)
		if errors.Is(end, ErrUnavailable) {
			return filters.Identity{}, end
		}
		return filters.Identity{}, errNoSign // it may have been answered without the source
	})
	if !errors.Is(err, errNoSign) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return end
}
