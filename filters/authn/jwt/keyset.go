package jwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	refreshAfter   = 5 * time.Minute // unless the answer says otherwise,
	refreshAtLeast = time.Minute
	refreshAtMost  = time.Hour

	unknownAfter = 10 * time.Second // between fetches for an unknown key id
	retryAfter   = time.Second      // after a failure; doubled up to
	retryAtMost  = time.Minute
)

// KeySetOptions say where a KeySet comes from.
type KeySetOptions struct {
	URL     string // of the set; "": as the issuer's discovery document says
	Issuer  string // of OpenID Connect; without URL
	Client  *http.Client
	Timeout time.Duration // of one fetch

	// Changed is told when the keys cannot be fetched any more, with the failure,
	// and, with nil, when they can again. It may be nil.
	Changed func(failure error)
}

// KeySet is keys of somewhere else. One goroutine fetches them again and again;
// logins are answered from what is known. A failure, or a set without keys of use,
// never takes away the keys that are there.
type KeySet struct {
	options KeySetOptions
	life    context.Context
	end     context.CancelFunc
	wake    chan struct{} // fetch now
	done    chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // guards what follows
	started bool
	keys    Keys          // nil: never had any
	failure error         // of the last fetch
	running chan struct{} // closed when the fetch under way has ended; nil: none is
	asked   time.Time     // when an unknown key id last caused a fetch
}

// NewKeySet returns a set that is not fetched before Start or the first login.
func NewKeySet(o KeySetOptions) *KeySet {
	s := &KeySet{options: o, wake: make(chan struct{}, 1), done: make(chan struct{})}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Start begins to fetch. It does nothing after the first call, or after Close.
func (s *KeySet) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.life.Err() != nil {
		return
	}
	s.started, s.running = true, make(chan struct{})
	go s.run()
}

// Close ends fetching, and waits for that. The keys that are there stay.
func (s *KeySet) Close() error {
	s.end()
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if started {
		<-s.done
	}
	s.options.Client.CloseIdleConnections()
	return nil
}

// run fetches until the end.
func (s *KeySet) run() {
	defer close(s.done)
	retry := retryAfter
	for {
		s.begin()
		keys, pause, err := s.fetch(s.life)
		s.finish(keys, err)
		if err != nil {
			pause, retry = retry, min(2*retry, retryAtMost)
		} else {
			retry = retryAfter
		}
		timer := time.NewTimer(pause)
		select {
		case <-s.life.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
		if s.life.Err() != nil {
			return
		}
	}
}

// begin notes that a fetch is under way, which is what wake was for.
func (s *KeySet) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.running = make(chan struct{})
	}
	select {
	case <-s.wake:
	default:
	}
}

func (s *KeySet) finish(keys Keys, err error) {
	s.mu.Lock()
	before := s.failure
	s.failure = err
	if err == nil {
		s.keys = keys
	}
	close(s.running)
	s.running = nil
	s.mu.Unlock()
	if s.options.Changed != nil && (err == nil) != (before == nil) && s.life.Err() == nil {
		s.options.Changed(err)
	}
}

// refetch returns the fetch to wait for, which it causes if the last time is long
// enough ago; nil if there is none.
func (s *KeySet) refetch(now time.Time) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil && s.life.Err() == nil && now.Sub(s.asked) >= unknownAfter {
		s.asked, s.running = now, make(chan struct{})
		s.wake <- struct{}{} // was taken by begin since it was last sent
	}
	return s.running
}

func (s *KeySet) state() (Keys, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys, s.running, s.failure
}

// wait waits for a fetch to end; nil is one that has.
func (s *KeySet) wait(ctx context.Context, running <-chan struct{}) error {
	if running == nil {
		return nil
	}
	select {
	case <-running:
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("the keys have not come yet: %w", ctx.Err())
	}
	return nil
}

// pick answers from what is known. It waits for the very first keys, and for a
// fetch that an unknown key id has caused, but never for leave to fetch: those who
// make up key ids would hold up the others when keys really change.
func (s *KeySet) pick(ctx context.Context, clientID, kid, alg string) ([]Key, error) {
	s.Start()
	keys, running, _ := s.state()
	if keys == nil {
		if err := s.wait(ctx, running); err != nil {
			return nil, err
		}
		var failure error
		if keys, _, failure = s.state(); keys == nil {
			return nil, errors.Join(errors.New("there are no keys yet"), failure)
		}
	}
	picked, err := keys.pick(ctx, clientID, kid, alg)
	if !errors.Is(err, errUnknownKey) {
		return picked, err
	}
	if err := s.wait(ctx, s.refetch(time.Now())); err != nil {
		return nil, err
	}
	keys, _, failure := s.state()
	picked, err = keys.pick(ctx, clientID, kid, alg)
	if errors.Is(err, errUnknownKey) && failure != nil {
		// Perhaps it is a new key: the client is not to blame.
		return nil, fmt.Errorf("the token's key id is unknown, and the keys cannot be fetched anew: %w", failure)
	}
	return picked, err
}
