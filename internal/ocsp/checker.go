package ocsp

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/crypto/ocsp"
)

const (
	maxAnswers    = 10_000
	maxResponders = 100

	unknownAge = time.Minute // a certificate may be so new that its responder learns of it only now

	// A responder answers this many questions at once; more wait. After so many
	// failures in a row it is left alone for a while.
	concurrent = 16
	failures   = 5
	cooldown   = 10 * time.Second
)

// Checker asks whether certificates of clients are revoked, and remembers the
// answers until they run out, an hour at most. Failures are not remembered, but a
// responder that fails is left alone for a while. It may be used by many goroutines.
type Checker struct {
	options    CheckerOptions
	client     client
	answers    *otter.Cache[answerKey, answer]
	responders *otter.Cache[string, *responder]
}

// CheckerOptions say whom to ask, and what happens without an answer.
type CheckerOptions struct {
	Options

	// Hard refuses certificates about which there is no answer. Otherwise they are
	// accepted and Unanswered is told why.
	Hard       bool
	Unanswered func(error)
}

// answerKey is a hash of a certificate and its issuer.
type answerKey [sha256.Size]byte

// answer is what a responder said: nil, or why the certificate is refused.
type answer struct {
	refusal error
	until   time.Time
}

// responder is somebody who is asked.
type responder struct {
	slots   chan struct{}
	breaker *gobreaker.CircuitBreaker[answer]
}

// NewChecker returns a Checker that remembers nothing yet.
func NewChecker(o CheckerOptions) *Checker {
	return &Checker{
		options: o,
		client:  newClient(o.Options),
		// Without the expiry of otter, for which it keeps a goroutine.
		answers:    otter.Must(&otter.Options[answerKey, answer]{MaximumSize: maxAnswers}),
		responders: otter.Must(&otter.Options[string, *responder]{MaximumSize: maxResponders}),
	}
}

// Check returns nil if nothing of a verified chain is revoked. It asks about all
// certificates but the last, whom the configuration trusts; about authorities only
// if they name a responder. An error that is ErrNoAnswer says that nobody knows, any
// other one that the certificate is refused. If ctx ends before there is an answer
// that is an error too, whatever the options: a client could bring it about.
func (c *Checker) Check(ctx context.Context, chain []*x509.Certificate) error {
	var missing error
	for i, cert := range chain[:max(len(chain)-1, 1)] {
		u := c.client.responder(cert)
		if i > 0 && len(cert.OCSPServer) == 0 {
			continue
		}
		var err error
		switch {
		case u == nil:
			err = fmt.Errorf("%s names no OCSP responder", name(cert))
		case i+1 == len(chain):
			err = fmt.Errorf("%s is trusted without its issuer, for whom OCSP would speak", name(cert))
		default:
			err = c.status(ctx, u, cert, chain[i+1])
			if errors.Is(err, errLate) || err != nil && !errors.Is(err, ErrNoAnswer) {
				return err
			}
		}
		if err != nil {
			missing = err
		}
	}
	if missing != nil && !c.options.Hard {
		c.options.Unanswered(missing)
		return nil
	}
	return missing
}

// status returns what is remembered about cert, or asks.
func (c *Checker) status(ctx context.Context, u *url.URL, cert, issuer *x509.Certificate) error {
	key := keyOf(cert, issuer)
	if a, ok := c.remembered(key); ok {
		return a.refusal
	}
	r, _ := c.responders.ComputeIfAbsent(u.Scheme+"://"+u.Host, newResponder)
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return errLate
	}
	if a, ok := c.remembered(key); ok { // by somebody for whom we waited
		return a.refusal
	}
	a, err := r.breaker.Execute(func() (answer, error) {
		response, err := c.client.ask(ctx, u, cert, issuer)
		if err != nil {
			return answer{}, err
		}
		return judge(response, cert, time.Now()), nil
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests):
		return fmt.Errorf("%w: %s has failed before and is not asked for now", ErrNoAnswer, u.Host)
	case err != nil:
		return err
	}
	c.answers.Set(key, a)
	return a.refusal
}

func (c *Checker) remembered(key answerKey) (answer, bool) {
	a, ok := c.answers.GetIfPresent(key)
	return a, ok && time.Now().Before(a.until)
}

// judge refuses what is revoked and what the responder does not know: it was never
// issued, then.
func judge(response *ocsp.Response, cert *x509.Certificate, now time.Time) answer {
	a := answer{until: now.Add(maxAge)}
	if end := expiry(response); end.Before(a.until) {
		a.until = end
	}
	switch response.Status {
	case ocsp.Good:
	case ocsp.Revoked:
		a.refusal = fmt.Errorf("%s is revoked since %s, says OCSP", name(cert), response.RevokedAt.UTC().Format(time.RFC3339))
	default:
		a.refusal = fmt.Errorf("%s is unknown to its OCSP responder", name(cert))
		if soon := now.Add(unknownAge); soon.Before(a.until) {
			a.until = soon
		}
	}
	return a
}

func newResponder() (r *responder, cancel bool) {
	return &responder{
		slots: make(chan struct{}, concurrent),
		breaker: gobreaker.NewCircuitBreaker[answer](gobreaker.Settings{
			Timeout:      cooldown,
			ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= failures },
			IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, errUnusable) },
			IsExcluded:   func(err error) bool { return errors.Is(err, errLate) },
		}),
	}, false
}

func keyOf(cert, issuer *x509.Certificate) answerKey {
	of, by := sha256.Sum256(cert.Raw), sha256.Sum256(issuer.Raw)
	return sha256.Sum256(append(of[:], by[:]...))
}

func name(c *x509.Certificate) string {
	return fmt.Sprintf("certificate %x of %q", c.SerialNumber, c.Issuer)
}
