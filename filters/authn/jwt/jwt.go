// Package jwt knows clients by tokens: JSON Web Tokens (RFC 7519), which it
// verifies with keys that it has or fetches, or tokens of any form, which it asks
// an authorization server about (RFC 7662). It says who the client is, in which
// groups, and what the token itself allows.
//
// It obtains no tokens and keeps none. The algorithm is the key's, never the
// token's choice; tokens without an expiry, of type none or with a critical
// header are refused.
//
// Everything fails closed: a token that is wrong in any way is refused, with a
// reason that does not hold it. Of keys that cannot be fetched anew the last stay
// in force; if there never were any, or if the server that is asked fails, that is
// a failure of the source and not of the client.
package jwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// The values of Options.In.
const (
	InPassword = "password"  // of CONNECT
	InUsername = "username"  // of CONNECT
	InAuthData = "auth_data" // of MQTT 5.0 enhanced authentication
)

// Options are the method's. Either Source or Introspection is given.
type Options struct {
	Name       string // of the method in the configuration
	In         string // where the token stands
	AuthMethod string // the Authentication Method; with InAuthData

	Source        Source
	Introspection *Introspection

	Issuer      string        // "": any; tokens of others are not this method's
	Audience    string        // one that the token must name; "": any
	Algorithms  []string      // nil: all that the keys are good for
	Leeway      time.Duration // for clocks that differ: of nbf and iat. exp holds exactly
	MaxLifetime time.Duration // from iat, or now, to exp; 0: any

	Username filters.Template // not used if Source is Devices
	Tenant   filters.Template // zero: none
	ClientID filters.Template // of the only client identifier; zero: any

	GroupsClaim string // path of the claim with the groups; "": none
	ACLClaim    string // path of the claim with permissions as authn.ParseACL reads them; "": none
	Scopes      Scopes
	Bound       bool // whether each token must be bound to the client's certificate
}

// Source is where keys are: Keys, *KeySet or Devices.
type Source interface {
	// pick returns the keys, a few at most, with which a token of the client may
	// have been signed. Its errors are those of Authenticate.
	pick(ctx context.Context, clientID, kid, alg string) ([]Key, error)
}

// Authenticator is the token method.
type Authenticator struct {
	Options
	devices Devices // Source, if it is Devices
}

// New returns the method. It is an error if the client could choose a user name,
// tenant or client identifier that its token does not lay down.
func New(o Options) (*Authenticator, error) {
	a := &Authenticator{Options: o}
	a.devices, _ = o.Source.(Devices)
	if (o.Source == nil) == (o.Introspection == nil) {
		return nil, errors.New("either keys or a server to ask")
	}
	// Whether the client identifier follows from the token and the connection alone.
	fixed := given(o.ClientID) && !uses(o.ClientID, "clientid", "username", "tenant")
	for _, t := range []struct {
		template filters.Template
		circular bool
	}{
		{o.Username, uses(o.Username, "username", "tenant") || uses(o.Username, "clientid") && !fixed},
		{o.Tenant, uses(o.Tenant, "tenant") || uses(o.Tenant, "clientid") && !fixed},
		{o.ClientID, uses(o.ClientID, "clientid")},
	} {
		if t.circular {
			return nil, fmt.Errorf("%q: the client could choose it; use ${claims.…}, or ${clientid} where client_id follows from claims", t.template)
		}
	}
	return a, nil
}

// uses reports whether a template has one of the placeholders.
func uses(t filters.Template, names ...string) bool {
	return slices.ContainsFunc(t.Placeholders(), func(p string) bool { return slices.Contains(names, p) })
}

func given(t filters.Template) bool { return t.String() != "" }

// Authenticate accepts a client with a good token. It has no say about what has
// not the form of a token, about tokens of other issuers and about devices that
// it does not know.
func (a *Authenticator) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	switch {
	case a.In == InPassword && c.HasPassword:
		return a.judge(ctx, c, string(c.Password))
	case a.In == InUsername && c.HasUsername:
		return a.judge(ctx, c, c.Username)
	}
	return filters.Identity{}, authn.ErrNotMine
}

func (a *Authenticator) judge(ctx context.Context, c filters.Credentials, token string) (filters.Identity, error) {
	if a.Introspection != nil {
		return a.introspect(ctx, c, token)
	}
	claims, err := a.verify(ctx, c.ClientID, token)
	if err != nil {
		return filters.Identity{}, err
	}
	return a.identify(c, claims, time.Now())
}

// Begin starts enhanced authentication, in which the token is the first and only
// Authentication Data of the client.
func (a *Authenticator) Begin(c filters.Credentials) (authn.Dialogue, error) {
	if a.In != InAuthData || c.AuthMethod != a.AuthMethod {
		return nil, authn.ErrNotMine
	}
	return dialogue{a, c}, nil
}

type dialogue struct {
	method      *Authenticator
	credentials filters.Credentials
}

// Next gives neither an identity that Authenticate would not, nor the code of a
// wrong password: there was none.
func (d dialogue) Next(ctx context.Context, data filters.Secret) ([]byte, *filters.Identity, error) {
	id, err := d.method.judge(ctx, d.credentials, string(data))
	if e, ok := errors.AsType[*packets.Error](err); ok && e.Code == packets.BadUserNameOrPassword {
		err = forbidden("%s", e.Msg)
	}
	if err != nil {
		return nil, nil, err
	}
	return nil, &id, nil
}

// Recheck accepts whoever the method has accepted: the token, which was not kept,
// holds until it expires, whatever became of its key and of issuer and audience.
// A device must still have keys.
func (a *Authenticator) Recheck(_ context.Context, s *filters.Session) error {
	if s.Identity.Method != a.Name {
		return authn.ErrNotMine
	}
	if a.devices != nil && a.devices[s.Identity.Username] == nil {
		return errors.New("the device has no keys any more")
	}
	return nil
}

// refused is the answer to a token that is wrong.
func refused(format string, args ...any) error {
	return &packets.Error{Code: packets.BadUserNameOrPassword, Msg: fmt.Sprintf(format, args...)}
}

// forbidden is the answer to a good token that does not let this client in.
func forbidden(format string, args ...any) error {
	return &packets.Error{Code: packets.NotAuthorized, Msg: fmt.Sprintf(format, args...)}
}

// maxToken bounds a token before anything is made of it, in bytes.
const maxToken = 16 << 10

var errTooLong = refused("the token is longer than %d bytes", maxToken)

// compact reports whether text is three parts in the alphabet of base64url, as
// signed tokens are (RFC 7515, section 7.1). A password may be, too.
func compact(text string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	return strings.Count(text, ".") == 2 && strings.Trim(text, alphabet) == ""
}
