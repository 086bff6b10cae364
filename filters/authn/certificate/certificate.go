// Package certificate names clients after their client certificate.
//
// It makes a user name of a certificate that TLS has verified. It checks
// neither chain nor expiry nor revocation: that is done during the handshake.
// The identity ends with the certificate.
// User name and password of the CONNECT play no part.
//
// A certificate without the wanted value, or with one that could act as a
// wildcard, is refused, and so is one that is on none of the lists, if there are
// any, or that names a group which cannot be one; no other method is asked.
package certificate

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// Authenticator is the certificate method.
type Authenticator struct {
	name     string
	username filters.Template
	allow    Allow
	groups   GroupsFrom
}

// Allow says which certificates are accepted: those on one of the lists or, if
// both are nil, all.
type Allow struct {
	Users        []string // globs of the user names that certificates give
	Fingerprints []string // SHA-256 in hexadecimal, in any case, with or without colons
}

// GroupsFrom is where in a certificate the groups of its user stand.
type GroupsFrom uint8

// The places.
const (
	NoGroups GroupsFrom = iota
	Units               // each organizational unit of the subject
)

// maxGroups is how many groups a certificate may name.
const maxGroups = 100

// New returns the method; name is its name in the configuration, username
// makes the user name. A template that uses what the client says of itself,
// ${username} or ${clientid}, is an error: one certificate could then be any
// user.
func New(name string, username filters.Template, allow Allow, groups GroupsFrom) (*Authenticator, error) {
	for _, placeholder := range username.Placeholders() {
		if strings.HasPrefix(placeholder, "cert.") || placeholder == "ip" || placeholder == "listener" {
			continue
		}
		return nil, fmt.Errorf("${%s} is chosen by the client and proves nothing; name the user after ${cert.…}", placeholder)
	}
	allow.Fingerprints = slices.Clone(allow.Fingerprints)
	for i, f := range allow.Fingerprints {
		allow.Fingerprints[i] = strings.ToLower(strings.ReplaceAll(f, ":", ""))
	}
	return &Authenticator{name: name, username: username, allow: allow, groups: groups}, nil
}

// Authenticate names the client after its certificate. It has no say about a
// client without one.
func (a *Authenticator) Authenticate(_ context.Context, c filters.Credentials) (filters.Identity, error) {
	if c.Certificate == nil {
		return filters.Identity{}, authn.ErrNotMine
	}
	username, ok := a.nameOf(c.Certificate, c.RemoteAddr, c.Listener)
	if !ok {
		return filters.Identity{}, &packets.Error{
			Code: packets.NotAuthorized,
			Msg:  fmt.Sprintf("the client certificate gives no usable user name for %q", a.username),
		}
	}
	if !a.allow.accepts(username, c.Certificate) {
		return filters.Identity{}, &packets.Error{
			Code: packets.NotAuthorized,
			Msg:  fmt.Sprintf("neither allow_users nor fingerprints accept the certificate of %q", username),
		}
	}
	groups, err := a.groupsIn(c.Certificate)
	if err != nil {
		return filters.Identity{}, &packets.Error{Code: packets.NotAuthorized, Msg: err.Error()}
	}
	return filters.Identity{Username: username, Method: a.name, Expires: c.Certificate.NotAfter, Groups: groups}, nil
}

// groupsIn returns the groups that a certificate names. If one of them cannot be
// a group, there are none at all: to leave it out could be to leave out the one
// that a rule denies.
func (a *Authenticator) groupsIn(c *x509.Certificate) ([]string, error) {
	if a.groups == NoGroups {
		return nil, nil
	}
	groups := slices.Clone(c.Subject.OrganizationalUnit)
	if len(groups) > maxGroups {
		return nil, fmt.Errorf("the client certificate names more than %d groups", maxGroups)
	}
	for _, g := range groups {
		if !authn.GroupName(g) {
			return nil, fmt.Errorf("the client certificate names a group that cannot be one: %q", g)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// Recheck accepts a client whose certificate gives the name that it has and is on
// the lists, with the groups of now; the certificate itself is verified again
// where TLS is.
func (a *Authenticator) Recheck(_ context.Context, s *filters.Session) error {
	if s.Identity.Method != a.name {
		return authn.ErrNotMine
	}
	username, ok := a.nameOf(s.Certificate, s.RemoteAddr.Addr(), s.Listener)
	if !ok || username != s.Identity.Username {
		return fmt.Errorf("the client certificate gives another user name for %q, or none", a.username)
	}
	if !a.allow.accepts(username, s.Certificate) {
		return fmt.Errorf("neither allow_users nor fingerprints accept the certificate of %q any more", username)
	}
	groups, err := a.groupsIn(s.Certificate)
	if err != nil {
		return err
	}
	if !slices.Equal(groups, s.Proof().Groups) {
		id := *s.Proof()
		id.Groups = groups
		s.Renew(id)
	}
	return nil
}

func (l Allow) accepts(username string, c *x509.Certificate) bool {
	if l.Users == nil && l.Fingerprints == nil {
		return true
	}
	fingerprint, _ := filters.CertificateValue(c, "cert.fingerprint")
	return slices.Contains(l.Fingerprints, fingerprint) ||
		slices.ContainsFunc(l.Users, func(glob string) bool { return filters.Glob(glob, username) })
}

func (a *Authenticator) nameOf(c *x509.Certificate, addr netip.Addr, listener string) (string, bool) {
	return a.username.Expand(func(name string) (string, bool) {
		switch name {
		case "ip":
			return addr.Unmap().String(), addr.IsValid()
		case "listener":
			return listener, true
		}
		return filters.CertificateValue(c, name)
	})
}
