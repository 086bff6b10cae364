// Package anonymous lets clients in that bring no credentials.
//
// It is had only where the configuration names it, and accepts only a CONNECT
// with neither user name nor password: a client that tried to log in and
// failed never becomes anonymous. A client certificate does not matter to it.
package anonymous

import (
	"context"
	"errors"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
)

// Authenticator is the anonymous method.
type Authenticator struct {
	name string
}

// New returns the method; name is its name in the configuration.
func New(name string) *Authenticator {
	return &Authenticator{name: name}
}

// Authenticate accepts a client without user name and password under the
// empty user name, and has no say about any other.
func (a *Authenticator) Authenticate(_ context.Context, c filters.Credentials) (filters.Identity, error) {
	if c.HasUsername || c.HasPassword {
		return filters.Identity{}, authn.ErrNotMine
	}
	return filters.Identity{Method: a.name}, nil
}

// Recheck accepts whom it once accepted: who has a user name got it from
// another method that had the same name.
func (a *Authenticator) Recheck(_ context.Context, s *filters.Session) error {
	if s.Identity.Method != a.name {
		return authn.ErrNotMine
	}
	if s.Identity.Username != "" {
		return errors.New("the method has become an anonymous one")
	}
	return nil
}
