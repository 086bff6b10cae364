package filters

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// Identity is who a client was found to be. Rules judge identities, never
// what a client says of itself.
type Identity struct {
	Username string // empty: anonymous
	Method   string // the configured name of the method that vouches for it
	Kind     string // what that method was when it did; who asks again may compare it

	Expires time.Time // when the method no longer vouches for it; zero: never

	Groups      []string          // that rules may name
	Tenant      string            // empty: none
	Claims      map[string]string // what else the proof says, by name; those within others are named a.b
	Permissions *Permissions      // what the proof itself allows; nil: it says nothing of that
}

// Value returns what the placeholder name stands for, of those that a proof
// gives: ${tenant}, ${claims.NAME} and, for somebody in a single group, ${group}.
func (id *Identity) Value(name string) (string, bool) {
	switch name {
	case "tenant":
		return id.Tenant, id.Tenant != ""
	case "group":
		if len(id.Groups) != 1 {
			return "", false
		}
		return id.Groups[0], true
	}
	claim, ok := strings.CutPrefix(name, claimPrefix)
	if !ok {
		return "", false
	}
	value, ok := id.Claims[claim]
	return value, ok
}

// Principal tells an identity from all others: user names are those of a tenant.
func (id *Identity) Principal() string {
	if id.Tenant == "" {
		return id.Username
	}
	return id.Tenant + "\x00" + id.Username
}

// ErrUnavailable says that it cannot be found out now whether an identity has ended.
var ErrUnavailable = errors.New("the source of identities does not answer")

// Permissions are rules that come with the proof of an identity, such as a
// token. They are asked before those of the configuration.
type Permissions struct {
	Rules  []Permission
	Closed bool // nothing matched: denied, whatever the configuration says
}

// Permission is a rule about actions on topics; of a list the first that matches
// decides. A Permission that cannot be understood whole must not be made.
type Permission struct {
	Name      string // for logs: where in the proof it stands
	Deny      bool
	Publish   bool
	Subscribe bool
	Topics    []string      // Topic Filters with ${placeholders}; "=x" is the literal topic or filter x
	Globs     []string      // topics in which "*" stands for any run of characters, "/" too; only without Deny
	QoS       []packets.QoS // nil: any
	Retain    *bool         // of a PUBLISH; nil: any
}

// Credentials are what a client brought to prove who it is: its CONNECT and
// what its connection tells. Nothing in them is believed yet, except the
// certificate, whose chain TLS has verified.
type Credentials struct {
	Version    packets.Version
	CleanStart bool
	ClientID   string

	Username    string
	HasUsername bool // a user name may be present and empty

	Password    Secret
	HasPassword bool // a password may be present and empty

	// AuthMethod is the Authentication Method of MQTT 5.0 enhanced authentication
	// (section 4.12), "" without it. Its Authentication Data goes to a Dialogue.
	AuthMethod string

	Certificate *x509.Certificate // the verified leaf; nil if the client showed none
	RemoteAddr  netip.Addr        // of the client, behind any PROXY header
	Listener    string            // the configured name of the listener

	Rank int         // of the client where logins wait: the higher go first
	Left func() bool `json:"-"` // reports whether the client has gone meanwhile; nil: nobody knows
}

// Dialogue is one run of MQTT 5.0 enhanced authentication (section 4.12). One
// goroutine at a time calls it.
type Dialogue interface {
	// Next takes the Authentication Data of a packet of the client, and returns
	// that of the answer: an AUTH with Continue authentication or, with an
	// identity, the last. A *packets.Error has the code of a refusal; any other
	// error says that the method could not answer. data is valid during the call
	// only.
	Next(ctx context.Context, data Secret) (answer []byte, id *Identity, err error)
}

// Secret is bytes that never reach a log, an error or an encoded document:
// however it is printed, it reads [redacted].
type Secret []byte

const redacted = "[redacted]"

// Format prints [redacted] for every verb, %x and %#v too.
func (Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, redacted)
}

// MarshalText makes encoding/json, and so slog's JSON handler, write
// [redacted].
func (Secret) MarshalText() ([]byte, error) {
	return []byte(redacted), nil
}
