package app

import (
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// TestCredentialsOfABackend: the password of a client goes to the backends that it is for.
func TestCredentialsOfABackend(t *testing.T) {
	b, err := load(write(t, `
listeners: [{name: plain, address: "127.0.0.1:0", backend: own}]
backends:
  - {name: own, servers: [{address: "127.0.0.1:1883"}]}
  - {name: cloud, servers: [{address: "127.0.0.1:1884"}], credentials: {mode: strip}}
authn: [{name: anyone, type: anonymous}]
authz: {rules: [{anonymous: true, allow: [publish], topics: ["a"]}]}
`), nil, newShared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for backend, want := range map[string]bool{"own": true, "cloud": false} {
		p, err := packets.Parse(mqtttest.Connect(packets.V5, "c", mqtttest.Login("bob", "secret")), 0, packets.Client)
		if err != nil {
			t.Fatal(err)
		}
		s := &filters.Session{Version: packets.V5, ClientID: "c", Backend: backend}
		v := b.policies[0].At[backend].Up.Open(s).JudgeUp(time.Now(), s, p)
		if v.Action == filters.Rewrite {
			if p, err = p.Reparse(v.Packet, packets.Client); err != nil {
				t.Fatal(err)
			}
		}
		c, err := p.Connect()
		if err != nil || v.Action < filters.Rewrite || c.HasPassword != want || c.HasUsername != want {
			t.Errorf("%s: %+v, password %v, %v", backend, v, c.HasPassword, err)
		}
	}
}
