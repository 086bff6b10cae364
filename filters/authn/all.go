package authn

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
		add(&all, id)
		all.Claims[p.Name+".username"] = id.Username
	}
	return all, nil
}

// add adds to all what a part says.
func add(all *filters.Identity, id filters.Identity) {
	all.Groups = union(all.Groups, id.Groups)
	maps.Copy(all.Claims, id.Claims)
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

// Recheck asks every part about the client as the user that it knows it as.
func (a *All) Recheck(ctx context.Context, s *filters.Session) error {
	if s.Identity.Method != a.name {
		return ErrNotMine
	}
	proof := *s.Proof()
	for _, p := range a.parts {
		r, ok := p.Method.(Rechecker)
		if !ok {
			return fmt.Errorf("%s cannot be asked again", p.Name)
		}
		own := proof
		own.Method = p.Name
		own.Username = proof.Claims[p.Name+".username"]
		seen := &filters.Session{
			ClientID: s.ClientID, Identity: own, Certificate: s.Certificate, RemoteAddr: s.RemoteAddr, Listener: s.Listener,
		}
		if err := r.Recheck(ctx, seen); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}
