// Package password knows clients by user name and password, from a file in
// the formats of Mosquitto's password_file, with bcrypt hashes or keys for SCRAM.
//
// It reads and edits such files and compares passwords in constant time, on a
// bounded number of processors. It does not count failures: slowing down who
// guesses is the work of the caller's limits, which come first.
//
// A file with one bad line is refused as a whole: dropping the line could let
// its user in by another method, or lock the user out unseen
// [CVE-2018-12551]. A comparison that cannot be had in time is a refusal.
package password

import (
	"bytes"
	"context"
	"errors"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

// Authenticator is the password method over one file as it was read.
type Authenticator struct {
	name  string
	users *Users
	pool  *Pool
}

// New returns the method; name is its name in the configuration. The pool is
// the process's own, shared by all methods.
func New(name string, users *Users, pool *Pool) *Authenticator {
	return &Authenticator{name: name, users: users, pool: pool}
}

// Authenticate accepts a user of the file who gives the right password. It
// refuses a user of the file who does not, and has no say about anybody else.
//
// It compares before it knows whether there is such a user, so that the time
// does not tell which names exist.
func (a *Authenticator) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	if !c.HasUsername {
		return filters.Identity{}, authn.ErrNotMine
	}
	stored, known := a.users.lookup(c.Username)
	match, err := a.pool.match(ctx, c, stored)
	if err != nil {
		return filters.Identity{}, err
	}
	if !known {
		return filters.Identity{}, authn.ErrNotMine
	}
	if !match || !c.HasPassword || !acceptable(c.Password) {
		return filters.Identity{}, &packets.Error{
			Code: packets.BadUserNameOrPassword,
			Msg:  "wrong password",
		}
	}
	return filters.Identity{Username: c.Username, Method: a.name}, nil
}

// Recheck accepts a user who is still in the file. It cannot tell whether the
// password is the same: it was not kept.
func (a *Authenticator) Recheck(_ context.Context, s *filters.Session) error {
	if s.Identity.Method != a.name {
		return authn.ErrNotMine
	}
	if _, known := a.users.lookup(s.Identity.Username); !known {
		return errors.New("the user is gone from the password file")
	}
	return nil
}

// acceptable reports whether a password can be one of the file's. Mosquitto
// hashes up to the first NUL, so that "a" and "a\x00b" would be one password;
// an empty password is one that was forgotten [CVE-2016-9877].
func acceptable(password []byte) bool {
	return len(password) > 0 && bytes.IndexByte(password, 0) < 0
}

// Pool bounds how many passwords are hashed at once. One comparison can take
// a processor for a second and 256 MiB of memory; without a bound, a burst of
// logins would take them from the sessions that run.
type Pool struct {
	turns *ratelimit.Turns
}

// NewPool returns a pool for n comparisons at once, at least one. With as many as
// there are processors, guesses would leave none to the sessions.
func NewPool(n int) *Pool { return &Pool{ratelimit.NewTurns(max(1, n))} }

// match compares when there is a turn, which higher ranks have first. If ctx ends before
// there is one, the error is a *packets.Error with ServerBusy; a comparison that has
// begun goes on to its end. So it is for a client that has left while it waited.
func (p *Pool) match(ctx context.Context, c filters.Credentials, stored hash) (bool, error) {
	if p.turns.Take(ctx, c.Rank) != nil {
		return false, &packets.Error{Code: packets.ServerBusy, Msg: "too many passwords to compare"}
	}
	defer p.turns.Give()
	if c.Left != nil && c.Left() {
		return false, &packets.Error{Code: packets.ServerBusy, Msg: "the client has left"}
	}
	return stored.match(c.Password), nil
}
