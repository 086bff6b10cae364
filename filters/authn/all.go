package authn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// Part is one of the methods of an All.
type Part struct {
	Name   string
	Method Authenticator
}

// All is a method that accepts whom all of its parts accept. The client is the
// user that the first part names; it has the groups and claims of all, the
// permissions of the first that gives any, and ends with the first that ends. As
// which user a part knows it is the claim NAME.username.
//
// A client about whom a part has no say is not of this method. The groups are those
// of the login: a Recheck does not renew them.
type All struct {
	name           string
	parts          []Part
	differentUsers bool
}

// NewAll returns the method; name is its name in the configuration. Unless
// differentUsers is set, the parts must name the same user.
func NewAll(name string, parts []Part, differentUsers bool) *All {
	return &All{name: name, parts: parts, differentUsers: differentUsers}
}

// Authenticate asks the parts in order.
func (a *All) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	all := filters.Identity{Method: a.name, Claims: map[string]string{}}
	names := map[string]string{}
	for i, p := range a.parts {
		id, err := p.Method.Authenticate(ctx, c)
		if err != nil {
			return filters.Identity{}, fmt.Errorf("%s: %w", p.Name, err)
		}
		if i == 0 {
			all.Username, all.Tenant = id.Username, id.Tenant
		}
		if id.Username != all.Username && !a.differentUsers {
			return filters.Identity{}, &packets.Error{
				Code: packets.NotAuthorized,
				Msg:  fmt.Sprintf("%s and %s name different users", a.parts[0].Name, p.Name),
			}
		}
		a.add(&all, id)
		names[p.Name+".username"] = id.Username
	}
	maps.Copy(all.Claims, names)
	return all, nil
}

// add adds to all what a part says. Claims that could pass for what All itself says
// of a part are left out: whoever writes a token may not know of them.
func (a *All) add(all *filters.Identity, id filters.Identity) {
	all.Groups = union(all.Groups, id.Groups)
	for name, value := range id.Claims {
		first, _, _ := strings.Cut(name, ".")
		if !slices.ContainsFunc(a.parts, func(p Part) bool { return p.Name == first || strings.HasPrefix(name, p.Name+".") }) {
			all.Claims[name] = value
		}
	}
	if all.Permissions == nil {
		all.Permissions = id.Permissions
	}
	if all.Tenant == "" {
		all.Tenant = id.Tenant
	}
	all.Expires = earlier(all.Expires, id.Expires)
}

func union(a, b []string) []string {
	both := slices.Concat(a, b)
	slices.Sort(both)
	return slices.Compact(both)
}

// earlier returns the first of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Recheck asks every part about the client as the user that it knows it as. One
// that has ended counts, also if another cannot say.
func (a *All) Recheck(ctx context.Context, s *filters.Session) error {
	if s.Identity.Method != a.name {
		return ErrNotMine
	}
	var unavailable error
	for _, p := range a.parts {
		switch err := a.recheck(ctx, s, p); {
		case errors.Is(err, ErrUnavailable):
			unavailable = err
		case err != nil:
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return unavailable
}

func (a *All) recheck(ctx context.Context, s *filters.Session, p Part) error {
	r, ok := p.Method.(Rechecker)
	if !ok {
		return errors.New("cannot be asked again")
	}
	own := *s.Proof()
	own.Method, own.Username = p.Name, own.Claims[p.Name+".username"]
	err := r.Recheck(ctx, &filters.Session{
		ClientID: s.ClientID, Identity: own, Certificate: s.Certificate, RemoteAddr: s.RemoteAddr, Listener: s.Listener,
	})
	if errors.Is(err, ErrNotMine) {
		return errors.New("does not know the client any more")
	}
	return err
}
