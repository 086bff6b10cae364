package jwt

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
)

// maxGroups bounds the groups of one token.
const maxGroups = 256

// identify makes an identity of claims that are proved to be the issuer's.
func (a *Authenticator) identify(c filters.Credentials, claims claims, now time.Time) (filters.Identity, error) {
	id := filters.Identity{Method: a.Name}
	if a.devices == nil { // a device says of itself what it likes
		id.Claims = claims.flat()
	}
	for _, step := range []func() error{
		func() (err error) { id.Expires, err = a.check(claims, now); return err },
		func() error { return a.checkBound(claims, c.Certificate) },
		func() (err error) { id.Groups, err = a.groups(claims); return err },
		func() error { return a.name(&id, c, claims) },
		func() (err error) { id.Permissions, err = a.permissions(&id, c, claims); return err },
	} {
		if err := step(); err != nil {
			return filters.Identity{}, err
		}
	}
	return id, nil
}

// checkBound requires that the client holds the certificate to which its token is
// bound (RFC 8705, section 3.1). A token that is bound to anything else is of no
// use here, since that is not checked.
func (a *Authenticator) checkBound(claims claims, cert *x509.Certificate) error {
	cnf, bound := claims["cnf"]
	if !bound {
		if a.Bound {
			return forbidden("the token is not bound to a certificate")
		}
		return nil
	}
	members, _ := cnf.(map[string]any)
	thumbprint, ok := members["x5t#S256"].(string)
	switch {
	case !ok:
		return forbidden("the token is bound to something other than a certificate")
	case cert == nil:
		return forbidden("the token is bound to a certificate, and the client has shown none")
	}
	sum := sha256.Sum256(cert.Raw)
	if subtle.ConstantTimeCompare([]byte(thumbprint), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) == 0 {
		return forbidden("the token is bound to another certificate")
	}
	return nil
}

func (a *Authenticator) groups(claims claims) ([]string, error) {
	if a.GroupsClaim == "" {
		return nil, nil
	}
	v, given := claims.at(a.GroupsClaim)
	if !given {
		return nil, nil
	}
	groups, ok := list(v, " ,")
	if !ok || len(groups) > maxGroups {
		return nil, refused("the token's claim %s is no list of at most %d groups", a.GroupsClaim, maxGroups)
	}
	return groups, nil
}

// name fills in user name and tenant, and requires the client identifier that the
// token lays down.
func (a *Authenticator) name(id *filters.Identity, c filters.Credentials, claims claims) error {
	lookup := func(name string) (string, bool) { return a.value(name, id, c, claims) }
	var ok bool
	if a.devices != nil {
		id.Username = deviceOf(c.ClientID)
	} else if id.Username, ok = a.Username.Expand(lookup); !ok {
		return forbidden("the token gives no usable user name for %q", a.Username)
	}
	if given(a.Tenant) {
		if id.Tenant, ok = a.Tenant.Expand(lookup); !ok {
			return forbidden("the token gives no usable tenant for %q", a.Tenant)
		}
	}
	if given(a.ClientID) {
		if only, ok := a.ClientID.Expand(lookup); !ok || only != c.ClientID {
			return forbidden("the token is for another client identifier")
		}
	}
	return nil
}

// value is the Lookup of the templates. It looks at all claims, not only at those
// that the identity keeps.
func (a *Authenticator) value(name string, id *filters.Identity, c filters.Credentials, claims claims) (string, bool) {
	switch name {
	case "username":
		return id.Username, true
	case "clientid":
		return c.ClientID, true
	case "listener":
		return c.Listener, true
	case "ip":
		return c.RemoteAddr.Unmap().String(), c.RemoteAddr.IsValid()
	}
	if path, ok := strings.CutPrefix(name, "claims."); ok {
		v, _ := claims.at(path)
		return text(v)
	}
	if v, ok := id.Value(name); ok {
		return v, true
	}
	return filters.CertificateValue(c.Certificate, name)
}

// permissions are what the token itself allows; nil if that is not asked, or if
// the token has no such claim and none is needed.
func (a *Authenticator) permissions(id *filters.Identity, c filters.Credentials, claims claims) (*filters.Permissions, error) {
	if a.Scopes.ResourceServer != "" {
		return a.Scopes.permissions(claims)
	}
	if a.ACLClaim == "" {
		return nil, nil //nolint:nilnil // nil: the token says nothing
	}
	v, given := claims.at(a.ACLClaim)
	if !given {
		return nil, nil //nolint:nilnil // nil: the token says nothing
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, refused("the token's claim %s: %v", a.ACLClaim, err)
	}
	p, err := authn.ParseACL(raw, authn.ACLSubject{
		Username: id.Username, ClientID: c.ClientID, Listener: c.Listener, RemoteAddr: c.RemoteAddr,
	})
	if err != nil {
		return nil, refused("the token's claim %s: %v", a.ACLClaim, err)
	}
	return p, nil
}
