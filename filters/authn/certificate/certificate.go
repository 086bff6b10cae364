// Package certificate names clients after their client certificate.
//
// It makes a user name of a certificate that TLS has verified. It checks
// neither chain nor expiry nor revocation: that is done during the handshake.
// The identity ends with the certificate.
// User name and password of the CONNECT play no part.
//
// A certificate without the wanted value, or with one that could act as a
// wildcard, is refused; no other method is asked.
package certificate

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// Authenticator is the certificate method.
type Authenticator struct {
	name     string
	username filters.Template
}

// New returns the method; name is its name in the configuration, username
// makes the user name. A template that uses what the client says of itself,
// ${username} or ${clientid}, is an error: one certificate could then be any
// user.
func New(name string, username filters.Template) (*Authenticator, error) {
	for _, placeholder := range username.Placeholders() {
		if strings.HasPrefix(placeholder, "cert.") || placeholder == "ip" || placeholder == "listener" {
			continue
		}
		return nil, fmt.Errorf("${%s} is chosen by the client and proves nothing; name the user after ${cert.…}", placeholder)
	}
	return &Authenticator{name: name, username: username}, nil
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
	return filters.Identity{Username: username, Method: a.name, Expires: c.Certificate.NotAfter}, nil
}

// Recheck accepts a client whose certificate gives the name that it has; the
// certificate itself is verified again where TLS is.
func (a *Authenticator) Recheck(_ context.Context, s *filters.Session) error {
	if s.Identity.Method != a.name {
		return authn.ErrNotMine
	}
	username, ok := a.nameOf(s.Certificate, s.RemoteAddr.Addr(), s.Listener)
	if !ok || username != s.Identity.Username {
		return fmt.Errorf("the client certificate gives another user name for %q, or none", a.username)
	}
	return nil
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
