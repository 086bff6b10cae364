package ocsp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ocsp"
)

// retry is when a responder is asked again that gave no answer, and how often one is
// asked at most.
const retry = time.Minute

// Staple keeps an answer about one of our own certificates, to be sent along in
// handshakes. Only one that says good is kept, and only until it runs out: to a
// client that insists on one, none is the better answer than a false one.
type Staple struct {
	client       client
	cert, issuer *x509.Certificate
	url          *url.URL
	answer       atomic.Pointer[stapled] // nil: none so far
}

type stapled struct {
	raw   []byte
	until time.Time
}

// NewStaple returns the Staple of a certificate that is followed by that of its
// issuer. It asks nobody: Run does.
func NewStaple(o Options, pair *tls.Certificate) (*Staple, error) {
	if len(pair.Certificate) < 2 {
		return nil, errors.New("wants the certificate of its issuer behind it, for staple: true")
	}
	issuer, err := x509.ParseCertificate(pair.Certificate[1])
	if err != nil {
		return nil, err
	}
	s := &Staple{client: newClient(o), cert: pair.Leaf, issuer: issuer}
	if err := s.cert.CheckSignatureFrom(issuer); err != nil {
		return nil, errors.New("the certificate behind it is not that of its issuer, which staple: true wants")
	}
	if s.url = s.client.responder(s.cert); s.url == nil {
		return nil, errors.New("names no OCSP responder, and staple: true wants one, or ocsp_url")
	}
	return s, nil
}

// Answer returns the answer to send along, nil if there is none now.
func (s *Staple) Answer() []byte {
	a := s.answer.Load()
	if a == nil || !time.Now().Before(a.until) {
		return nil
	}
	return a.raw
}

// Inherit takes over the answer of last if it is about the same certificate.
func (s *Staple) Inherit(last *Staple) {
	if s.cert.Equal(last.cert) && s.issuer.Equal(last.issuer) {
		s.answer.Store(last.answer.Load())
	}
}

// Run keeps the answer fresh until ctx ends: half of its life after it was made
// there is a new one. Whether that is trouble, log says when it begins and when it
// ends.
func (s *Staple) Run(ctx context.Context, log *slog.Logger) {
	log = log.With("certificate", s.cert.Subject.String())
	for failed := false; ; {
		next, err := s.refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failed:
			log.Warn("no OCSP answer to send along: the last one is until it runs out", "error", err)
		case err == nil && failed:
			log.Info("OCSP answers are sent along again")
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
	}
}

// refresh asks once, and returns when to ask again.
func (s *Staple) refresh(ctx context.Context) (time.Duration, error) {
	answer, err := s.client.ask(ctx, s.url, s.cert, s.issuer)
	switch {
	case err != nil:
		return retry, err
	case answer.Status != ocsp.Good:
		s.answer.Store(nil)
		return retry, fmt.Errorf("%s is revoked or unknown, says OCSP", name(s.cert))
	}
	end := expiry(answer)
	s.answer.Store(&stapled{raw: answer.Raw, until: end})
	half := answer.ThisUpdate.Add(end.Sub(answer.ThisUpdate) / 2)
	return max(time.Until(half), retry), nil
}
