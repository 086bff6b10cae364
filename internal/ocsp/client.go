// Package ocsp finds out whether certificates are revoked, by the Online
// Certificate Status Protocol (RFC 6960): a Checker for those of clients, a Staple
// for one of ours.
//
// It believes an answer only if the issuer of the certificate has signed it, or a
// responder to whom the issuer gave a certificate for that, and if it is of now.
// Whether a responder is revoked itself is not asked. Where there is no such answer
// it says so with ErrNoAnswer. Answers are no secret, so responders may be asked in
// the clear; their URLs are those of the configuration or of certificates that a
// trusted authority has issued.
package ocsp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/crypto/ocsp"
)

// maxAnswer bounds the body of an answer, in bytes; most have two thousand.
const maxAnswer = 64 << 10

// ErrNoAnswer is that nobody could say whether a certificate is revoked.
var ErrNoAnswer = errors.New("no answer of OCSP")

var (
	// errLate is that whoever wants to know had no time left: that is not the
	// responder's fault.
	errLate = fmt.Errorf("%w: no time left to ask", ErrNoAnswer)

	// errUnusable is an answer that says nothing. The responder works, though, so
	// others go on asking it: a client must not be able to prevent that by a
	// certificate about which a responder talks nonsense.
	errUnusable = fmt.Errorf("%w that can be used", ErrNoAnswer)
)

// Options say how to ask.
type Options struct {
	URL     string         // of the responder; "": the one that a certificate names
	CAs     *x509.CertPool // whom to trust for https; nil: those of the system
	Timeout time.Duration  // of one question
}

// client asks responders.
type client struct {
	options Options
	http    http.Client
}

func newClient(o Options) client {
	return client{options: o, http: http.Client{
		// Answers are asked for seldom: a connection that is kept would outlive us.
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext, // as a request that is over does not end it
			TLSHandshakeTimeout:    o.Timeout,
			TLSClientConfig:        &tls.Config{RootCAs: o.CAs, MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// responder returns the URL at which to ask about cert, nil if there is none.
func (c *client) responder(cert *x509.Certificate) *url.URL {
	named := cert.OCSPServer
	if c.options.URL != "" {
		named = []string{c.options.URL}
	}
	for _, name := range named {
		if u, err := url.Parse(name); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
			return u
		}
	}
	return nil
}

// ask returns the answer of the responder at u about cert. Every error is an
// ErrNoAnswer.
func (c *client) ask(ctx context.Context, u *url.URL, cert, issuer *x509.Certificate) (*ocsp.Response, error) {
	question, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnusable, err)
	}
	body, err := c.post(ctx, u, question)
	switch {
	case ctx.Err() != nil:
		return nil, errLate
	case err != nil:
		return nil, fmt.Errorf("%w from %s: %w", ErrNoAnswer, u.Host, err)
	}
	answer, err := parse(body, question, cert, issuer, time.Now())
	if err != nil {
		kind := errUnusable
		if e, ok := errors.AsType[ocsp.ResponseError](err); ok && (e.Status == ocsp.TryLater || e.Status == ocsp.InternalError) {
			kind = ErrNoAnswer
		}
		return nil, fmt.Errorf("%w from %s: %w", kind, u.Host, err)
	}
	return answer, nil
}

func (c *client) post(ctx context.Context, u *url.URL, question []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(question))
	if err != nil {
		return nil, errors.New("no valid URL")
	}
	r.Header.Set("Content-Type", "application/ocsp-request")
	r.Header.Set("Accept", "application/ocsp-response")
	res, err := c.http.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the URL, which may hold a password
		}
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("larger than %d bytes", maxAnswer)
	}
	return body, err
}
