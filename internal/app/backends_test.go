package app

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/strict"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy/backend"
	"github.com/mqttward/mqttward/ratelimit"
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

// TestMaxConnections: a server has as many as the configuration says, its own number or
// the backend's.
func TestMaxConnections(t *testing.T) {
	broker, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	for keys, want := range map[string]int{
		`servers: [{address: "A"}], max_connections: 2`:                     2,
		`servers: [{address: "A", max_connections: 1}], max_connections: 2`: 1,
		`servers: [{address: "A", max_connections: 3}]`:                     3,
	} {
		keys = strings.Replace(keys, "A", broker.Addr().String(), 1)
		b, err := load(write(t, strings.Replace(policy, `servers: [{address: "127.0.0.1:1883"}]`, keys, 1)), nil, newShared(), nil)
		if err != nil {
			t.Fatal(err)
		}
		open := 0
		for ; open < 10 && err == nil; open++ {
			var leg *backend.Leg
			if leg, err = b.pools[0].Open(t.Context(), backend.Client{Rank: ratelimit.Known}); err == nil {
				t.Cleanup(func() { leg.Close() })
			}
		}
		if open-1 != want || !errors.Is(err, backend.ErrFull) {
			t.Errorf("%s: %d connections, then %v; want %d", keys, open-1, err, want)
		}
	}
}

// TestUnknownServer: as long as one server has not said what it is, the others' sessions
// have the shields for one that has not.
func TestUnknownServer(t *testing.T) {
	servers := backend.New(backend.Options{Servers: []backend.Spec{{Address: "a:1"}, {Address: "b:1"}}}, nil).Servers()
	sound := strict.Profile{Name: "none"}
	if p := together(servers, map[string]strict.Profile{"a:1": sound}); p.MaxLevels == 0 || !p.ShareExcludes {
		t.Errorf("%+v", p)
	}
	if p := together(servers, map[string]strict.Profile{"a:1": sound, "b:1": sound}); p != sound {
		t.Errorf("%+v", p)
	}
	if p := together(nil, nil); p.Name != "legacy" {
		t.Errorf("without a server: %+v", p)
	}
}
