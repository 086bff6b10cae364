// Package webauth knows clients by asking an HTTP service about the user name and
// the password, in the contracts of EMQX's HTTP authenticator, of VerneMQ's
// webhooks and of mosquitto-go-auth, so that a service that was written for one of
// them can stay as it is.
//
// It asks who a client is and no more: of permissions it takes over those that
// come with the answer. What the answer calls the user changes nothing: the client
// is who it says it is, or nobody.
//
// It fails closed. A service that cannot be reached, redirects, or answers with
// something else than its contract has is a failure, and nobody is admitted. An
// answer in which one name stands twice is none. A detail about the client that
// cannot be understood is a refusal of that client.
package webauth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// Options are what a method is made of.
type Options struct {
	Name     string // in the configuration
	URL      string
	Contract string // emqx, vernemq, go-auth or go-auth-jwt
	Form     bool   // the question is a form instead of JSON; not of vernemq
	Answer   string // of go-auth and go-auth-jwt: status, json or text
	Token    string // for the header Authorization; "": none; not of go-auth-jwt
	Client   *http.Client
}

// Authenticator is the method.
type Authenticator struct {
	options  Options
	contract contract
}

// contract is how a service is asked, and what its answers mean.
type contract interface {
	// question returns what is asked about a client, and who the client is if the
	// service agrees. ErrNotMine says that there is nothing to ask.
	question(c filters.Credentials) (question, filters.Identity, error)

	// answer adds to id what the service says of the client. Errors are those of
	// Authenticate.
	answer(ctx context.Context, r authn.Reply, c filters.Credentials, id *filters.Identity) error
}

type question struct {
	fields map[string]any
	header map[string]string
}

// New returns the method. It panics if there is no such contract.
func New(o Options) *Authenticator {
	a := &Authenticator{options: o}
	switch o.Contract {
	case "emqx":
		a.contract = emqx{}
	case "vernemq":
		a.contract = vernemq{}
	case "go-auth":
		a.contract = goAuth{o.Answer}
	case "go-auth-jwt":
		a.contract = goAuthJWT{goAuth{o.Answer}}
	default:
		panic("webauth: no contract " + o.Contract)
	}
	return a
}

// Authenticate asks the service.
func (a *Authenticator) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	if !c.HasUsername || c.Username == "" {
		return filters.Identity{}, authn.ErrNotMine
	}
	q, id, err := a.contract.question(c)
	if err != nil {
		return filters.Identity{}, err
	}
	r, err := a.request(q)
	if err != nil {
		return filters.Identity{}, err
	}
	reply, err := authn.Send(ctx, a.options.Client, r)
	if err != nil {
		return filters.Identity{}, err
	}
	if err := a.contract.answer(ctx, reply, c, &id); err != nil {
		return filters.Identity{}, err
	}
	id.Method = a.options.Name
	return id, nil
}

// Recheck accepts every identity of the method: the service can only be asked
// with the password, which was not kept. An answer that says when it expires ends
// the session in time.
func (a *Authenticator) Recheck(_ context.Context, s *filters.Session) error {
	if s.Identity.Method != a.options.Name {
		return authn.ErrNotMine
	}
	return nil
}

func (a *Authenticator) request(q question) (*http.Request, error) {
	body, kind, err := []byte(nil), "application/json", error(nil)
	if a.options.Form {
		form := url.Values{}
		for name, v := range q.fields {
			form.Set(name, fmt.Sprint(v))
		}
		body, kind = []byte(form.Encode()), "application/x-www-form-urlencoded"
	} else if body, err = json.Marshal(q.fields); err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, a.options.URL, bytes.NewReader(body)) //nolint:noctx // Send gives it one
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Accept", "application/json, text/plain;q=0.5")
	r.Header.Set("User-Agent", "mqttward")
	if a.options.Token != "" {
		r.Header.Set("Authorization", "Bearer "+a.options.Token)
	}
	for name, v := range q.header {
		r.Header.Set(name, v)
	}
	return r, nil
}

// passwordOf returns the password of a client, if it can be anybody's. One that
// is no UTF-8 would arrive as another, and with a NUL as a shorter one.
func passwordOf(c filters.Credentials) (string, error) {
	if !c.HasPassword || len(c.Password) == 0 || slices.Contains(c.Password, 0) || !utf8.Valid(c.Password) {
		return "", wrong("a password that can be nobody's")
	}
	return string(c.Password), nil
}

// wrong is the refusal of credentials.
func wrong(why string) error {
	return &packets.Error{Code: packets.BadUserNameOrPassword, Msg: why}
}

// unusable is the refusal of a client about whom the service says what cannot be
// understood or done. It is not one of the service: it would fail for all if one
// user's record were bad.
func unusable(format string, args ...any) error {
	return &packets.Error{
		Code: packets.NotAuthorized,
		Msg:  fmt.Sprintf("the answer about the client cannot be used: "+format, args...),
	}
}
