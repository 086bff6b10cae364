// Package scram knows clients by SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC
// 7677) as MQTT 5.0 enhanced authentication: the password does not cross the
// wire, and the client too learns whom it talks to.
//
// It does not read files: the caller gives it the users' keys. It offers no
// channel binding, no authorization identity other than the user's own and no
// extensions, and it has no say about clients that send a password.
//
// A client is told as little as about passwords: a name that has no keys gets
// some that no password fits, and is refused where a wrong password is.
package scram

import (
	"context"
	"errors"

	"github.com/xdg-go/scram"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
)

// Keys are those of all users who have some for one mechanism, by user name as
// SASLprep has it.
type Keys map[string]scram.StoredCredentials

// Authenticator is the method over keys as they were read.
type Authenticator struct {
	name       string
	mechanisms map[string]mechanism
}

// mechanism is one of SCRAM's.
type mechanism struct {
	name   string
	hash   scram.HashGeneratorFcn
	keys   Keys
	common cost // of unknown users
}

// New returns the method; name is its name in the configuration.
func New(name string, sha256, sha512 Keys) *Authenticator {
	a := &Authenticator{name: name, mechanisms: make(map[string]mechanism)}
	for _, m := range []mechanism{
		{name: "SCRAM-SHA-256", hash: scram.SHA256, keys: sha256},
		{name: "SCRAM-SHA-512", hash: scram.SHA512, keys: sha512},
	} {
		m.common = commonest(m.keys)
		a.mechanisms[m.name] = m
	}
	return a
}

// Authenticate has no say: enhanced authentication is a Dialogue.
func (a *Authenticator) Authenticate(context.Context, filters.Credentials) (filters.Identity, error) {
	return filters.Identity{}, authn.ErrNotMine
}

// Begin starts a dialogue if the client names a mechanism of ours, whether or
// not a user has keys for it.
func (a *Authenticator) Begin(c filters.Credentials) (authn.Dialogue, error) {
	m, ok := a.mechanisms[c.AuthMethod]
	if !ok {
		return nil, authn.ErrNotMine
	}
	d := &dialogue{method: a.name, mechanism: m}
	server, err := m.hash.NewServer(d.lookup)
	if err != nil {
		return nil, err
	}
	d.conversation = server.NewConversation()
	return d, nil
}

// Recheck accepts a user who still has keys. It does not tell whether they are
// the same.
func (a *Authenticator) Recheck(_ context.Context, s *filters.Session) error {
	if s.Identity.Method != a.name {
		return authn.ErrNotMine
	}
	for _, m := range a.mechanisms {
		if _, known := m.keys[s.Identity.Username]; known {
			return nil
		}
	}
	return errors.New("the user has no keys for SCRAM any more")
}
