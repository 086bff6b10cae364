// Package authn finds out who a client is.
//
// An Authenticator is one method of doing so; the packages below this one each
// hold one. A Chain asks several in the order of the configuration. Neither
// says what a client may do: that is authz.
//
// Everything fails closed: what no method accepts is refused, and so is a
// client whose method could not answer.
package authn

import (
	"context"
	"errors"
	"fmt"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// Authenticator is one method of authentication. It answers in one of three
// ways:
//
//   - an Identity and no error: mine and true;
//   - ErrNotMine: the credentials are of another kind or another user base;
//   - any other error: refused, and no other method is asked. A
//     *packets.Error carries the code for the client.
//
// It is called from many goroutines, blocks no longer than ctx lets it, and
// keeps nothing of the credentials.
type Authenticator interface {
	Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error)
}

// Rechecker is an Authenticator that can be asked again about an identity that
// it has vouched for, after the configuration was loaded anew. Its answers are:
// nil for an identity that it would still accept, ErrNotMine for one of another
// method, an error that wraps ErrUnavailable if nobody can say now, any other
// error for one that has ended. It blocks no longer than ctx lets it.
type Rechecker interface {
	Recheck(ctx context.Context, s *filters.Session) error
}

// Conversant is an Authenticator of MQTT 5.0 enhanced authentication (section
// 4.12). Begin starts a Dialogue with a client whose CONNECT, or AUTH for
// re-authentication, names c.AuthMethod; ErrNotMine says that the method has
// another name. Authenticate is not asked about clients that name one.
type Conversant interface {
	Begin(c filters.Credentials) (Dialogue, error)
}

// Dialogue is one run of enhanced authentication.
type Dialogue = filters.Dialogue

// ErrNotMine is the answer of a method that has no say about the credentials:
// the next one is asked.
var ErrNotMine = errors.New("not credentials of this method")

// ErrUnavailable is the cause of a Recheck that could not find out: the session
// goes on, and is asked about again later.
var ErrUnavailable = filters.ErrUnavailable

// Chain asks methods in order until one has a say. An empty Chain refuses
// everybody.
type Chain []Authenticator

// Authenticate returns the first answer that is not ErrNotMine. Its error is
// always a *packets.Error: if no method has a say, BadUserNameOrPassword for a
// client that gave a user name and NotAuthorized for one that did not; if a
// method failed to answer, ServerUnavailable.
func (chain Chain) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	for _, method := range chain {
		identity, err := method.Authenticate(ctx, c)
		if err == nil {
			return identity, nil
		}
		if !errors.Is(err, ErrNotMine) {
			return filters.Identity{}, refusal(err)
		}
	}
	// The same code as for a wrong password: another would tell which user names
	// exist.
	code := packets.NotAuthorized
	if c.HasUsername {
		code = packets.BadUserNameOrPassword
	}
	return filters.Identity{}, &packets.Error{Code: code, Msg: "no method accepts the client's credentials"}
}

// Begin starts enhanced authentication with the first method that knows
// c.AuthMethod. Its error is always a *packets.Error, BadAuthenticationMethod if
// none does.
func (chain Chain) Begin(c filters.Credentials) (Dialogue, error) {
	for _, method := range chain {
		m, ok := method.(Conversant)
		if !ok {
			continue
		}
		d, err := m.Begin(c)
		if err == nil {
			return answering{d}, nil
		}
		if !errors.Is(err, ErrNotMine) {
			return nil, refusal(err)
		}
	}
	return nil, &packets.Error{Code: packets.BadAuthenticationMethod, Msg: "no method offers the Authentication Method"}
}

// answering is a Dialogue whose errors are those of Chain.Authenticate.
type answering struct{ Dialogue }

// Next makes filters.Dialogue of it.
func (d answering) Next(ctx context.Context, data filters.Secret) ([]byte, *filters.Identity, error) {
	answer, id, err := d.Dialogue.Next(ctx, data)
	if errors.Is(err, ErrNotMine) {
		err = &packets.Error{Code: packets.NotAuthorized, Msg: "no method accepts the client's credentials"}
	}
	if err != nil {
		return nil, nil, refusal(err)
	}
	return answer, id, nil
}

// Recheck asks the methods whether the identity of a running session is still
// one to accept. Its error is ErrUnavailable, if nobody can say now, or a
// *packets.Error. The identity has ended
// too if its method is gone, or cannot be asked again.
func (chain Chain) Recheck(ctx context.Context, s *filters.Session) error {
	unavailable := false // one that may be the identity's
	for _, method := range chain {
		r, ok := method.(Rechecker)
		if !ok {
			continue
		}
		err := r.Recheck(ctx, s)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrUnavailable):
			unavailable = true
		case !errors.Is(err, ErrNotMine):
			return ended(err.Error())
		}
	}
	if unavailable {
		return ErrUnavailable
	}
	return ended(fmt.Sprintf("no method %q vouches for the client any more", s.Identity.Method))
}

// ended has the code for a client whose right to be here was withdrawn.
func ended(why string) *packets.Error {
	return &packets.Error{Code: packets.NotAuthorized, Msg: why}
}

// refusal makes an error of a method one for the client. Only a code that is a
// failure may go out: any other would tell a refused client that it is in.
func refusal(err error) *packets.Error {
	if e, ok := errors.AsType[*packets.Error](err); ok && e.Code >= packets.UnspecifiedError {
		return e
	}
	return &packets.Error{
		Code: packets.ServerUnavailable,
		Msg:  "authentication failed to answer: " + err.Error(),
	}
}
