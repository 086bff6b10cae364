package authn

import (
	"context"
	"slices"

	"github.com/mqttward/mqttward/filters"
)

// Grouped is a method whose users are in the groups of a file, beside those
// that the method itself knows from what it looks at. It is for methods that
// need no groups of an identity to recheck it.
type Grouped struct {
	method Authenticator
	groups *Groups
}

// NewGrouped adds the groups to what method says.
func NewGrouped(method Authenticator, groups *Groups) *Grouped {
	return &Grouped{method: method, groups: groups}
}

// Authenticate answers as the method does.
func (g *Grouped) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	id, err := g.method.Authenticate(ctx, c)
	if err == nil {
		g.add(&id)
	}
	return id, err
}

func (g *Grouped) add(id *filters.Identity) {
	if more := g.groups.Of(id.Username); len(more) > 0 {
		id.Groups = union(id.Groups, more)
	}
}

// Begin starts a dialogue of the method, if it has any.
func (g *Grouped) Begin(c filters.Credentials) (Dialogue, error) {
	m, ok := g.method.(Conversant)
	if !ok {
		return nil, ErrNotMine
	}
	d, err := m.Begin(c)
	if err != nil {
		return nil, err
	}
	return groupedDialogue{d, g}, nil
}

type groupedDialogue struct {
	Dialogue
	method *Grouped
}

// Next adds the groups to the identity.
func (d groupedDialogue) Next(ctx context.Context, data filters.Secret) ([]byte, *filters.Identity, error) {
	answer, id, err := d.Dialogue.Next(ctx, data)
	if err == nil && id != nil {
		d.method.add(id)
	}
	return answer, id, err
}

// Recheck asks the method, if it can be asked, and gives a client whom it still
// accepts the groups of now.
func (g *Grouped) Recheck(ctx context.Context, s *filters.Session) error {
	r, ok := g.method.(Rechecker)
	if !ok {
		return ErrNotMine
	}
	// Those of the file are not told from the method's own in the identity, and so
	// the method is asked about one without any.
	bare := *s.Proof()
	bare.Groups = nil
	asked := &filters.Session{
		ClientID: s.ClientID, Identity: bare, Certificate: s.Certificate, RemoteAddr: s.RemoteAddr, Listener: s.Listener,
	}
	if err := r.Recheck(ctx, asked); err != nil {
		return err
	}
	id := *asked.Proof()
	g.add(&id)
	if !slices.Equal(id.Groups, s.Proof().Groups) {
		s.Renew(id)
	}
	return nil
}
