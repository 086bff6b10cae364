package jwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
)

// Introspection is an authorization server that is asked about each token (RFC
// 7662).
type Introspection struct {
	URL      string
	ClientID string // with which we log in there
	Secret   string
	Client   *http.Client
	Guard    *authn.Guard
}

// Close ends the connections to the server that are not in use.
func (i *Introspection) Close() error {
	i.Client.CloseIdleConnections()
	return nil
}

// introspect asks about any token: it may be opaque.
func (a *Authenticator) introspect(ctx context.Context, c filters.Credentials, token string) (filters.Identity, error) {
	switch {
	case token == "":
		return filters.Identity{}, authn.ErrNotMine
	case len(token) > maxToken:
		return filters.Identity{}, errTooLong
	}
	fingerprint, _ := filters.CertificateValue(c.Certificate, "cert.fingerprint")
	// All that the identity is made of.
	parts := []string{token, c.ClientID, c.Listener, c.RemoteAddr.String(), fingerprint}
	return a.Introspection.Guard.Do(ctx, c.Rank, parts, func(ctx context.Context) (filters.Identity, error) {
		claims, err := a.Introspection.ask(ctx, token)
		if err != nil {
			return filters.Identity{}, err
		}
		return a.identify(c, claims, time.Now())
	})
}

// ask returns the claims of a token that is active.
func (i *Introspection) ask(ctx context.Context, token string) (claims, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("introspection: no request can be made for the URL")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	// RFC 6749, section 2.3.1, encodes them.
	r.SetBasicAuth(url.QueryEscape(i.ClientID), url.QueryEscape(i.Secret))
	reply, err := authn.Send(ctx, i.Client, r)
	if err != nil {
		return nil, fmt.Errorf("introspection: %w", err)
	}
	if reply.Blames() {
		return nil, refused("the authorization server answers %d to the token", reply.Status)
	}
	if reply.Status != http.StatusOK {
		return nil, fmt.Errorf("introspection: the server answers %d", reply.Status)
	}
	claims, err := decodeObject(reply.Body)
	if err != nil {
		return nil, errors.New("introspection: the answer is no JSON object")
	}
	switch active, ok := claims["active"].(bool); {
	case !ok:
		return nil, errors.New("introspection: the answer does not say whether the token is active")
	case !active:
		return nil, refused("the token is not active")
	}
	return claims, nil
}
