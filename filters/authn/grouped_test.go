package authn

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/mqttward/mqttward/filters"
)

func groupsOf(t *testing.T, text string) *Groups {
	t.Helper()
	g, err := ParseGroups("groups", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGrouped(t *testing.T) {
	bob := filters.Identity{Username: "bob", Method: "users", Groups: []string{"own"}}
	tests := []struct {
		name   string
		method Authenticator
		file   string
		want   []string
		err    error
	}{
		{"both", answer{identity: bob}, "staff: bob eve", []string{"own", "staff"}, nil},
		{"the same", answer{identity: bob}, "own: bob", []string{"own"}, nil},
		{"somebody else's", answer{identity: bob}, "staff: eve", []string{"own"}, nil},
		{"not mine", answer{err: ErrNotMine}, "staff: bob", nil, ErrNotMine},
		{"refused", answer{identity: bob, err: context.Canceled}, "staff: bob", nil, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := NewGrouped(tt.method, groupsOf(t, tt.file)).Authenticate(t.Context(), filters.Credentials{})
			if !errors.Is(err, tt.err) || err == nil && !slices.Equal(id.Groups, tt.want) {
				t.Errorf("got %q, %v", id.Groups, err)
			}
		})
	}
}

// talker is a method of enhanced authentication: one step, and bob is in.
type talker struct{ answer }

func (a talker) Begin(filters.Credentials) (Dialogue, error) { return a, a.err }

func (a talker) Next(context.Context, filters.Secret) ([]byte, *filters.Identity, error) {
	return []byte("ok"), &filters.Identity{Username: "bob"}, nil
}

func TestGroupedDialogue(t *testing.T) {
	g := groupsOf(t, "staff: bob")
	d, err := NewGrouped(talker{}, g).Begin(filters.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	reply, id, err := d.Next(t.Context(), nil)
	if err != nil || string(reply) != "ok" || !slices.Equal(id.Groups, []string{"staff"}) {
		t.Errorf("got %q, %+v, %v", reply, id, err)
	}
	for name, method := range map[string]Authenticator{"no method for it": answer{}, "another": talker{answer{err: ErrNotMine}}} {
		if d, err := NewGrouped(method, g).Begin(filters.Credentials{}); d != nil || !errors.Is(err, ErrNotMine) {
			t.Errorf("%s: got %v, %v", name, d, err)
		}
	}
}

// unit is a method that knows a group of its own, now.
type unit struct {
	answer
	group string
}

func (u unit) Recheck(_ context.Context, s *filters.Session) error {
	if len(s.Proof().Groups) > 0 {
		return errors.New("asked about groups of others")
	}
	id := *s.Proof()
	id.Groups = []string{u.group}
	s.Renew(id)
	return nil
}

// A running session has the groups of now, and keeps its identity if they are the
// same: whoever holds on to it opens its rules anew when it changes.
func TestGroupedRecheck(t *testing.T) {
	gone := errors.New("gone")
	tests := []struct {
		name   string
		method Authenticator
		file   string
		want   []string // nil: as before
		err    error
	}{
		{"the same", unit{group: "own"}, "staff: bob", nil, nil},
		{"one more", unit{group: "own"}, "staff: bob\nx: bob", []string{"own", "staff", "x"}, nil},
		{"no more", unit{group: "own"}, "staff: eve", []string{"own"}, nil},
		{"the method's own", unit{group: "new"}, "staff: bob", []string{"new", "staff"}, nil},
		{"without any of its own", again{}, "staff: bob", []string{"staff"}, nil},
		{"gone", again{recheck: gone}, "x: bob", nil, gone},
		{"another method's", again{recheck: ErrNotMine}, "x: bob", nil, ErrNotMine},
		{"cannot be asked", answer{}, "x: bob", nil, ErrNotMine},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &filters.Session{Identity: filters.Identity{Username: "bob", Method: "users", Tenant: "t", Groups: []string{"own", "staff"}}}
			err := NewGrouped(tt.method, groupsOf(t, tt.file)).Recheck(t.Context(), s)
			if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if tt.want == nil {
				if s.Proof() != &s.Identity {
					t.Errorf("renewed to %+v", s.Proof())
				}
				return
			}
			want := s.Identity
			want.Groups = tt.want
			if got := *s.Proof(); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
