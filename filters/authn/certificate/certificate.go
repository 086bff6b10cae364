// Package certificate names clients after their client certificate.
//
// It makes a user name of a certificate that TLS has verified. It checks
// neither chain nor expiry nor revocation: that is done during the handshake.
// The identity ends with the certificate.
// User name and password of the CONNECT play no part.
//
// A certificate without the wanted value, or with one that could act as a
// wildcard, is refused, and so is one that is on none of the lists, if there are
// any; no other method is asked.
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
}

// Allow says which certificates are accepted: those on one of the lists or, if
// both are nil, all.
type Allow struct {
	Users        []string // globs of the user names that certificates give
	Fingerprints []string // SHA-256 in hexadecimal, in any case, with or without colons
}

// New returns the method; name is its name in the configuration, username
// makes the user name. A template that uses what the client says of itself,
// ${username} or ${clientid}, is an error: one certificate could then be any
// user.
func New(name string, username filters.Template, allow Allow) (*Authenticator, error) {
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
	return &Authenticator{name: name, username: username, allow: allow}, nil
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
	return filters.Identity{Username: username, Method: a.name, Expires: c.Certificate.NotAfter}, nil
}

// Recheck accepts a client whose certificate gives the name that it has and is on
// the lists; the certificate itself is verified again where TLS is.
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
