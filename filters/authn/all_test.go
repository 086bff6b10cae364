package authn

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

func TestAll(t *testing.T) {
	var (
		early  = time.Unix(1000, 0)
		late   = time.Unix(2000, 0)
		own    = &filters.Permissions{Closed: true}
		cert   = answer{identity: filters.Identity{Username: "bob", Method: "cert", Expires: late, Groups: []string{"b", "a"}}}
		users  = answer{identity: filters.Identity{Username: "bob", Method: "users", Expires: early, Groups: []string{"a", "c"}, Tenant: "t", Claims: map[string]string{"x": "1"}, Permissions: own}}
		eve    = answer{identity: filters.Identity{Username: "eve", Method: "users"}}
		never  = answer{err: ErrNotMine}
		wrong  = answer{err: &packets.Error{Code: packets.BadUserNameOrPassword, Msg: "wrong password"}}
		broken = answer{err: errors.New("down")}
	)
	tests := []struct {
		name      string
		first     Authenticator
		second    Authenticator
		different bool
		want      filters.Identity
		code      packets.ReasonCode // of the refusal by a Chain
		notMine   bool
	}{
		{name: "both", first: cert, second: users, want: filters.Identity{
			Username: "bob", Method: "both", Expires: early, Groups: []string{"a", "b", "c"}, Tenant: "t", Permissions: own,
			Claims: map[string]string{"x": "1", "cert.username": "bob", "users.username": "bob"},
		}},
		{name: "a claim that names a part", first: cert, second: answer{identity: filters.Identity{
			Username: "bob", Method: "users", Claims: map[string]string{"cert.username": "root", "cert": "x", "other": "1"},
		}}, want: filters.Identity{
			Username: "bob", Method: "both", Expires: late, Groups: []string{"a", "b"},
			Claims: map[string]string{"other": "1", "cert.username": "bob", "users.username": "bob"},
		}},
		{name: "different users", first: cert, second: eve, code: packets.NotAuthorized},
		{name: "different users, as wanted", first: cert, second: eve, different: true, want: filters.Identity{
			Username: "bob", Method: "both", Expires: late, Groups: []string{"a", "b"},
			Claims: map[string]string{"cert.username": "bob", "users.username": "eve"},
		}},
		{name: "no certificate", first: never, second: users, notMine: true},
		{name: "no password", first: cert, second: never, notMine: true},
		{name: "wrong password", first: cert, second: wrong, code: packets.BadUserNameOrPassword},
		{name: "source down", first: cert, second: broken, code: packets.ServerUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := NewAll("both", []Part{{"cert", tt.first}, {"users", tt.second}}, tt.different)
			got, err := all.Authenticate(t.Context(), filters.Credentials{})
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("identity %+v, want %+v", got, tt.want)
			}
			if errors.Is(err, ErrNotMine) != tt.notMine {
				t.Errorf("got %v", err)
			}
			if tt.code == 0 {
				return
			}
			_, err = Chain{all}.Authenticate(t.Context(), filters.Credentials{})
			var e *packets.Error
			if !errors.As(err, &e) || e.Code != tt.code {
				t.Errorf("refusal %v, want %#x", err, tt.code)
			}
		})
	}
}

// mute is a method whose source does not answer.
type mute struct{ known }

func (mute) Recheck(context.Context, *filters.Session) error { return ErrUnavailable }

// known is a method that still knows the users of a list.
type known []string

func (k known) Authenticate(context.Context, filters.Credentials) (filters.Identity, error) {
	return filters.Identity{}, ErrNotMine
}

func (k known) Recheck(_ context.Context, s *filters.Session) error {
	for _, name := range k {
		if s.Identity.Method+"/"+s.Identity.Username == name {
			return nil
		}
	}
	return errors.New("gone")
}

func TestAllRecheck(t *testing.T) {
	s := &filters.Session{Identity: filters.Identity{
		Username: "bob", Method: "both", Claims: map[string]string{"cert.username": "bob", "users.username": "eve"},
	}}
	tests := []struct {
		name        string
		cert, users Authenticator
		method      string
		ok, notMine bool
	}{
		{"both go on", known{"cert/bob"}, known{"users/eve"}, "both", true, false},
		{"the second has ended", known{"cert/bob"}, known{"users/bob"}, "both", false, false},
		{"the first has ended", known{}, known{"users/eve"}, "both", false, false},
		{"the second has ended and the first cannot say", mute{}, known{}, "both", false, false},
		{"one cannot be asked", known{"cert/bob"}, answer{}, "both", false, false},
		{"another method's", known{"cert/bob"}, known{"users/eve"}, "other", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := NewAll(tt.method, []Part{{"cert", tt.cert}, {"users", tt.users}}, true).Recheck(t.Context(), s)
			if (err == nil) != tt.ok || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotMine) != tt.notMine {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAllUnavailable(t *testing.T) {
	s := &filters.Session{Identity: filters.Identity{Username: "bob", Method: "both", Claims: map[string]string{"users.username": "bob"}}}
	for _, parts := range [][]Part{
		{{"cert", mute{}}, {"users", known{"users/bob"}}},
		{{"users", known{"users/bob"}}, {"cert", mute{}}},
	} {
		if err := NewAll("both", parts, false).Recheck(t.Context(), s); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	}
}
