package webauth

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
)

// emqx is the contract of EMQX 5's HTTP authenticator. It is harder in this: EMQX
// goes on to the next method when the service fails.
type emqx struct{}

func (emqx) question(c filters.Credentials) (question, filters.Identity, error) {
	password, err := passwordOf(c)
	fields := map[string]any{"username": c.Username, "password": password, "clientid": c.ClientID}
	if c.RemoteAddr.IsValid() { // not on a Unix socket
		fields["peerhost"] = c.RemoteAddr.Unmap().String()
	}
	if cn, ok := filters.CertificateValue(c.Certificate, "cert.cn"); ok {
		fields["cert_common_name"] = cn
	}
	return question{fields: fields}, filters.Identity{Username: c.Username}, err
}

func (emqx) answer(_ context.Context, r authn.Reply, c filters.Credentials, id *filters.Identity) error {
	switch r.Status {
	case http.StatusOK:
	case http.StatusNoContent:
		return nil
	default:
		return status(r)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return errors.New("the service's answer is not of type application/json")
	}
	o, err := parseObject(r.Body)
	if err != nil {
		return err
	}
	var result string
	if _, err := o.read("result", &result); err != nil {
		return errors.New("the service's result is no text")
	}
	switch result {
	case "allow":
		return allowed(o, c, id)
	case "deny":
		return wrong("the service denies")
	case "ignore":
		return authn.ErrNotMine
	}
	return errors.New("the service's result is none of allow, deny and ignore")
}

// What client_attrs may hold.
const (
	maxAttrs    = 64
	maxAttrSize = 1 << 10 // name and value
)

// lastDate is the end of the year 9999. A time in milliseconds is beyond it.
const lastDate = 253402300799

// allowed takes over what the service says of a client whom it allows.
func allowed(o object, c filters.Credentials, id *filters.Identity) error {
	var (
		superuser bool
		attrs     map[string]string
		expires   int64
		clientID  string
	)
	if _, err := o.read("is_superuser", &superuser); err != nil {
		return unusable("is_superuser is neither true nor false")
	}
	if _, err := o.read("client_attrs", &attrs); err != nil || len(attrs) > maxAttrs {
		return unusable("client_attrs are not at most %d texts", maxAttrs)
	}
	for name, v := range attrs {
		if len(name)+len(v) > maxAttrSize {
			return unusable("one of client_attrs is longer than %d bytes", maxAttrSize)
		}
		if id.Claims == nil {
			id.Claims = map[string]string{}
		}
		id.Claims["client_attrs."+name] = v
	}
	switch given, err := o.read("expire_at", &expires); {
	case err != nil || expires < 0 || expires > lastDate:
		return unusable("expire_at is no time in seconds")
	case given && !time.Now().Before(time.Unix(expires, 0)):
		return unusable("expire_at has passed")
	case given:
		id.Expires = time.Unix(expires, 0)
	}
	if given, err := o.read("clientid_override", &clientID); err != nil || given && clientID != c.ClientID {
		return unusable("clientid_override would give the client another identifier")
	}
	return permit(o, superuser, c, id)
}

// permit takes over permissions. For a superuser the list does not count, but one
// that cannot be understood is never passed over.
func permit(o object, superuser bool, c filters.Credentials, id *filters.Identity) (err error) {
	if acl, given := o["acl"]; given && string(acl) != "null" {
		id.Permissions, err = authn.ParseACL(acl, authn.ACLSubject{
			Username: c.Username, ClientID: c.ClientID, Listener: c.Listener, RemoteAddr: c.RemoteAddr,
		})
		if err != nil {
			return unusable("%.200v", err) // which quotes the service
		}
	}
	if superuser {
		// What begins with $ is the broker's own, not for clients to write.
		id.Permissions = &filters.Permissions{Rules: []filters.Permission{
			{Name: "is_superuser", Publish: true, Subscribe: true, Topics: []string{"#"}},
			{Name: "is_superuser", Subscribe: true, Topics: []string{"$SYS/#"}},
		}}
	}
	return nil
}
