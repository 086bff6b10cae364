// Package ldap knows clients by user name and password from an LDAP directory,
// such as OpenLDAP or Active Directory.
//
// It finds the entry of a user by a search or by its DN, and lets the directory
// compare the password by binding as the entry. It follows no referrals, writes
// nothing, and does not cache or count failures: that is for its Guard. How long
// an answer takes tells whether there is such a user.
//
// An empty password is refused before the directory is asked: it would be an
// anonymous bind, which succeeds. So is a user whose name the directory writes in
// another way, as "ALICE" for "alice": rules could not tell who that is. What
// the directory says of one user is an answer; anything else that is no success
// is a failure of the source, and lets nobody in.
package ldap

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// maxName is the longest user name that is asked about, in bytes.
const maxName = 256

// Options say where the directory is and how users are found there: with UserDN
// by that, otherwise by a search for UserFilter under BaseDN.
type Options struct {
	Name     string // of the method, in the configuration
	URL      string // ldap://host[:port], or ldaps://
	StartTLS bool   // with ldap://
	CAs      *x509.CertPool

	BindDN   string // of ours, for looking at entries; "": anonymous to search, and no look without UserDN's password
	Password string

	UserDN     filters.Template // of ${username} alone, as UserFilter
	BaseDN     string
	UserFilter filters.Template

	GroupAttribute string // of the user's entry; "": no groups
	Connections    int    // kept open for looking, and as many for passwords; the Guard bounds those in use
}

// Authenticator is the method.
type Authenticator struct {
	options Options
	names   []assertion // one of which an entry must bear out
	service *pool       // of connections that are bound as BindDN
	users   *pool       // of those that are bound as a user each time
}

// New returns a method that connects when it is asked.
func New(o Options) (*Authenticator, error) {
	s, err := newServer(o)
	if err != nil {
		return nil, err
	}
	a := &Authenticator{options: o, users: &pool{open: s.dial, most: o.Connections}}
	a.service = &pool{open: s.dial, most: o.Connections}
	if o.BindDN != "" {
		a.service.open = func(ctx context.Context) (*conn, error) { return s.dialAs(ctx, o.BindDN, o.Password) }
	}
	if a.names, err = o.assertions(); err != nil {
		return nil, err
	}
	for _, dn := range []struct{ key, value string }{{"base_dn", o.BaseDN}, {"bind_dn", o.BindDN}} {
		if _, err := ldap.ParseDN(dn.value); err != nil {
			return nil, fmt.Errorf("%s: wants a distinguished name such as dc=example,dc=org", dn.key)
		}
	}
	return a, nil
}

// Close closes the connections that nobody uses; the others close after use.
func (a *Authenticator) Close() error {
	a.service.close()
	a.users.close()
	return nil
}

// looks reports whether entries can be looked at without a user's password.
func (a *Authenticator) looks() bool { return a.options.searches() || a.options.BindDN != "" }

func (o *Options) searches() bool { return o.UserDN.String() == "" }

// Authenticate accepts a user of the directory who gives the right password, and
// has no say about anybody else. If entries cannot be looked at, a user who is
// not there is one with a wrong password.
func (a *Authenticator) Authenticate(ctx context.Context, c filters.Credentials) (filters.Identity, error) {
	if !c.HasUsername || !possible(c.Username) {
		return filters.Identity{}, authn.ErrNotMine
	}
	if !c.HasPassword || len(c.Password) == 0 || bytes.IndexByte(c.Password, 0) >= 0 {
		return filters.Identity{}, refused(packets.BadUserNameOrPassword, "no password that could be one")
	}
	check := a.lookThenBind
	if !a.looks() {
		check = a.bindThenLook
	}
	groups, err := check(ctx, c.Username, string(c.Password))
	if err != nil {
		return filters.Identity{}, err
	}
	return filters.Identity{Username: c.Username, Method: a.options.Name, Groups: groups}, nil
}

// possible reports whether the directory is asked about a name.
func possible(username string) bool {
	return username != "" && len(username) <= maxName && filters.PlainName(username)
}

func (a *Authenticator) lookThenBind(ctx context.Context, username, password string) ([]string, error) {
	entry, groups, err := a.look(ctx, username)
	if err != nil {
		return nil, err
	}
	err = a.users.use(ctx, func(c *ldap.Conn) error { return c.Bind(entry.DN, password) })
	return groups, judgeBind(ctx, err)
}

// bindThenLook looks at the entry as the user itself.
func (a *Authenticator) bindThenLook(ctx context.Context, username, password string) ([]string, error) {
	var result *ldap.SearchResult
	var search error
	err := a.users.use(ctx, func(c *ldap.Conn) error {
		if err := c.Bind(a.options.dn(username), password); err != nil {
			return err
		}
		result, search = c.Search(a.request(ctx, username))
		return nil
	})
	if err := judgeBind(ctx, err); err != nil {
		return nil, err
	}
	_, groups, err := a.judge(ctx, username, result, search)
	if errors.Is(err, authn.ErrNotMine) {
		err = refused(packets.NotAuthorized, "the directory does not let the user read its own entry")
	}
	return groups, err
}

// look returns the entry of a user and the groups in it.
func (a *Authenticator) look(ctx context.Context, username string) (*ldap.Entry, []string, error) {
	var result *ldap.SearchResult
	err := a.service.use(ctx, func(c *ldap.Conn) (err error) {
		result, err = c.Search(a.request(ctx, username))
		return err
	})
	return a.judge(ctx, username, result, err)
}

// Recheck accepts a user who is still in the directory, with the groups of now.
// It cannot tell whether the password is the same. Where entries cannot be looked
// at, it knows nothing new.
func (a *Authenticator) Recheck(ctx context.Context, s *filters.Session) error {
	if s.Identity.Method != a.options.Name {
		return authn.ErrNotMine
	}
	if !a.looks() {
		return nil
	}
	_, groups, err := a.look(ctx, s.Identity.Username)
	if _, answered := errors.AsType[*packets.Error](err); answered {
		return err
	}
	switch {
	case errors.Is(err, authn.ErrNotMine):
		return errors.New("the user is gone from the directory")
	case err != nil:
		return fmt.Errorf("%w: %w", authn.ErrUnavailable, err)
	}
	id := *s.Proof()
	id.Groups = groups
	s.Renew(id)
	return nil
}

func refused(code packets.ReasonCode, msg string) error {
	return &packets.Error{Code: code, Msg: msg}
}
