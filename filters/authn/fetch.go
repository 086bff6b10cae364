package authn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxReply bounds the body of an answer over HTTP, in bytes.
const maxReply = 1 << 20

// NewHTTPClient returns a client for a service that is believed: it goes to no
// other place than it was told, so a redirection is an answer like any other.
// CAs are whom to trust for https; nil: those of the system.
func NewHTTPClient(cas *x509.CertPool, connections int, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			// net/http goes on to connect when the request is over, and the connection
			// counts: without these, a service that hangs would use them all up.
			DialContext:         (&net.Dialer{Timeout: timeout}).DialContext,
			TLSHandshakeTimeout: timeout,

			TLSClientConfig:        &tls.Config{RootCAs: cas, MinVersion: tls.VersionTLS12},
			MaxConnsPerHost:        connections,
			MaxIdleConnsPerHost:    connections,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Reply is an answer over HTTP, read whole.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Send sends a request and reads the answer, up to 1 MiB of it. An error is a
// failure of the service and does not hold the URL's query, which may be secret.
func Send(ctx context.Context, client *http.Client, r *http.Request) (Reply, error) {
	res, err := client.Do(r.WithContext(ctx)) //nolint:gosec // G704: the URL is the configuration's
	if err != nil {
		return Reply{}, fmt.Errorf("%s %s: %w", r.Method, r.URL.Host, withoutURL(err))
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	switch {
	case err != nil:
		return Reply{}, fmt.Errorf("%s %s: %w", r.Method, r.URL.Host, withoutURL(err))
	case len(body) > maxReply:
		return Reply{}, fmt.Errorf("%s %s: the answer is larger than %d bytes", r.Method, r.URL.Host, maxReply)
	}
	return Reply{Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

// Blames reports whether a status says that what was sent is wrong. As a client may
// have chosen that, it is no sign that the service fails.
func (r Reply) Blames() bool {
	switch r.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		return true
	}
	return false
}

// withoutURL takes off the cover in which net/http tells the whole URL.
func withoutURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
