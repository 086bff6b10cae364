package filters

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Identity is who a client was found to be. Rules judge identities, never
// what a client says of itself.
type Identity struct {
	Username string // empty: anonymous
	Method   string // the configured name of the method that vouches for it

	Expires time.Time // when the method no longer vouches for it; zero: never
}

// Credentials are what a client brought to prove who it is: its CONNECT and
// what its connection tells. Nothing in them is believed yet, except the
// certificate, whose chain TLS has verified.
type Credentials struct {
	ClientID string

	Username    string
	HasUsername bool // a user name may be present and empty

	Password    Secret
	HasPassword bool // a password may be present and empty

	Certificate *x509.Certificate // the verified leaf; nil if the client showed none
	RemoteAddr  netip.Addr        // of the client, behind any PROXY header
	Listener    string            // the configured name of the listener
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
