// Package certificate names clients after their client certificate.
//
// It makes a user name of a certificate that TLS has verified. It checks
// neither chain nor expiry nor revocation: that is done during the handshake.
// User name and password of the CONNECT play no part.
//
// A certificate without the wanted value, or with one that could act as a
// wildcard, is refused; no other method is asked.
package certificate

import (
	"context"
	"errors"
	"fmt"
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
	username, ok := a.username.Expand(func(name string) (string, bool) {
		switch name {
		case "ip":
			return c.RemoteAddr.Unmap().String(), c.RemoteAddr.IsValid()
		case "listener":
			return c.Listener, true
		}
		return filters.CertificateValue(c.Certificate, name)
	})
	if !ok {
		return filters.Identity{}, &packets.Error{
			Code: packets.NotAuthorized,
			Msg:  fmt.Sprintf("the client certificate gives no usable user name for %q", a.username),
		}
	}
	return filters.Identity{Username: username, Method: a.name, Expires: c.Certificate.NotAfter}, nil
}

// Recheck returns an error if the certificate would be given another name now.
// Whether it is valid still is for TLS to say.
func (a *Authenticator) Recheck(s *filters.Session) (mine bool, err error) {
	if s.Identity.Method != a.name {
		return false, nil
	}
	identity, err := a.Authenticate(context.Background(), filters.Credentials{
		Certificate: s.Certificate, RemoteAddr: s.RemoteAddr.Addr(), Listener: s.Listener,
	})
	if err == nil && identity.Username != s.Identity.Username {
		err = errors.New("the client certificate stands for another user now")
	}
	return true, err
}
