package password

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// Source knows users in a store other than a file. User returns the hash of a
// user's password in a form that a password file could have, and the user's
// groups; a hash of "" means that there is no such user. Any error is a failure
// of the store.
type Source interface {
	User(ctx context.Context, username string) (hash string, groups []string, err error)
}

// Stored is the password method over a Source.
type Stored struct {
	name   string
	source Source
	pool   *Pool
	decoy  atomic.Pointer[hash] // of the user who was found last; see Users
}

// NewStored returns the method; name is its name in the configuration.
func NewStored(name string, source Source, pool *Pool) *Stored {
	s := &Stored{name: name, source: source, pool: pool}
	s.decoy.Store(&nobody)
	return s
}

// Authenticate answers for the users of the store as Authenticator.Authenticate
// does for those of a file.
func (a *Stored) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	if !c.HasUsername || c.Username == "" {
		return filters.Identity{}, authn.ErrNotMine
	}
	encoded, groups, err := a.source.User(ctx, c.Username)
	if err != nil {
		return filters.Identity{}, err
	}
	known, stored := encoded != "", *a.decoy.Load()
	if known {
		if stored, err = parseHash(encoded); err != nil {
			return filters.Identity{}, &packets.Error{
				Code: packets.NotAuthorized,
				Msg:  "the stored password of the user cannot be compared with: " + err.Error(),
			}
		}
		a.decoy.Store(&stored)
	}
	match, err := a.pool.match(ctx, c, stored)
	switch {
	case err != nil:
		return filters.Identity{}, err
	case !known:
		return filters.Identity{}, authn.ErrNotMine
	case !match || !c.HasPassword || !acceptable(c.Password):
		return filters.Identity{}, &packets.Error{Code: packets.BadUserNameOrPassword, Msg: "wrong password"}
	}
	return filters.Identity{Username: c.Username, Method: a.name, Groups: groups}, nil
}

// Recheck accepts a user who is still in the store, with the groups of now.
func (a *Stored) Recheck(ctx context.Context, s *filters.Session) error {
	if s.Identity.Method != a.name {
		return authn.ErrNotMine
	}
	encoded, groups, err := a.source.User(ctx, s.Identity.Username)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", authn.ErrUnavailable, err)
	case encoded == "":
		return errors.New("the user is gone from the store")
	}
	id := *s.Proof()
	id.Groups = groups
	s.Renew(id)
	return nil
}
