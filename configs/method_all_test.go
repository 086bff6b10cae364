package configs

import (
	"slices"
	"testing"
)

const bothMethods = `
listeners: [{name: local, address: "127.0.0.1:1884", tls: {certificates: [{cert: crt, key: key}], client_auth: required, client_ca: ca}}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1883"}]}]
authn:
  - {name: plc, type: certificate}
  - {name: users, type: password, file: users}
  - {name: both, type: all, of: [plc, users]}
`

// Alone, a part of another method would let in who cannot satisfy the whole.
func TestAllParts(t *testing.T) {
	c := mustParse(t, bothMethods)
	if got := c.Listeners[0].Authn; !slices.Equal(got, []string{"both"}) {
		t.Errorf("methods of the listener: %q", got)
	}
}
