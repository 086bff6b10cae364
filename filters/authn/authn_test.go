package authn

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// answer is a method that always says the same.
type answer struct {
	identity filters.Identity
	err      error
}

func (a answer) Authenticate(context.Context, filters.Credentials) (filters.Identity, error) {
	return a.identity, a.err
}

func TestChain(t *testing.T) {
	var (
		bob     = filters.Identity{Username: "bob", Method: "users"}
		yes     = answer{identity: bob}
		other   = answer{identity: filters.Identity{Username: "eve", Method: "other"}}
		notMine = answer{err: ErrNotMine}
		wrapped = answer{err: fmt.Errorf("users: %w", ErrNotMine)}
		refuses = answer{err: &packets.Error{Code: packets.BadUserNameOrPassword, Msg: "wrong password"}}
		deep    = answer{err: fmt.Errorf("users: %w", refuses.err)}
		broken  = answer{err: errors.New("connection refused")}
		// A method that returns an identity along with its refusal.
		muddled = answer{identity: bob, err: refuses.err}
		// A refusal without a code would read as Success.
		codeless = answer{err: &packets.Error{Msg: "no code"}}
	)
	tests := []struct {
		name  string
		chain Chain
		want  filters.Identity
		code  packets.ReasonCode // of the refusal
	}{
		{"no method", nil, filters.Identity{}, packets.NotAuthorized},
		{"nobody's", Chain{notMine, notMine}, filters.Identity{}, packets.NotAuthorized},
		{"the first", Chain{yes, other}, bob, 0},
		{"the second", Chain{notMine, yes}, bob, 0},
		{"wrapped not mine", Chain{wrapped, yes}, bob, 0},
		{"a refusal stops", Chain{refuses, yes}, filters.Identity{}, packets.BadUserNameOrPassword},
		{"a wrapped refusal stops", Chain{deep, yes}, filters.Identity{}, packets.BadUserNameOrPassword},
		{"a failure stops", Chain{broken, yes}, filters.Identity{}, packets.ServerUnavailable},
		{"a failure after not mine", Chain{notMine, broken, yes}, filters.Identity{}, packets.ServerUnavailable},
		{"a refusal with an identity", Chain{muddled}, filters.Identity{}, packets.BadUserNameOrPassword},
		{"a refusal without a code", Chain{codeless, yes}, filters.Identity{}, packets.ServerUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.chain.Authenticate(t.Context(), filters.Credentials{})
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("identity %+v, want %+v", got, tt.want)
			}
			if tt.code == 0 {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var refusal *packets.Error
			if !errors.As(err, &refusal) {
				t.Fatalf("error %v, want a *packets.Error", err)
			}
			if refusal.Code != tt.code {
				t.Errorf("code %#x, want %#x", refusal.Code, tt.code)
			}
		})
	}
}

// again is a method that can be asked again, and always says the same.
type again struct {
	answer
	recheck error
}

func (a again) Recheck(context.Context, *filters.Session) error { return a.recheck }

func TestRecheck(t *testing.T) {
	var (
		yes     = again{}
		notMine = again{recheck: fmt.Errorf("users: %w", ErrNotMine)}
		gone    = again{recheck: errors.New("gone")}
		mute    = answer{identity: filters.Identity{Username: "bob", Method: "users"}}
	)
	const withdrawn = `no method "users" vouches for the client any more`
	tests := []struct {
		name  string
		chain Chain
		want  string // of the error
	}{
		{"no method", nil, withdrawn},
		{"nobody's", Chain{notMine, notMine}, withdrawn},
		{"the second's", Chain{notMine, yes}, ""},
		{"ended", Chain{notMine, gone, yes}, "gone"},
		{"a method that cannot say", Chain{mute}, withdrawn},
		{"one that cannot say before one that can", Chain{mute, yes}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.chain.Recheck(t.Context(), &filters.Session{Identity: filters.Identity{Username: "bob", Method: "users"}})
			if tt.want == "" {
				if err != nil {
					t.Errorf("ended: %v", err)
				}
				return
			}
			var end *packets.Error
			if !errors.As(err, &end) || end.Code != packets.NotAuthorized || end.Msg != tt.want {
				t.Errorf("got %#v, want %s", err, tt.want)
			}
		})
	}
}
