package app

import (
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// TestRoutes: the first route that a client fits says where it goes; all that a route
// names must hold; who fits none goes where the listener says.
func TestRoutes(t *testing.T) {
	b, err := load(write(t, `
listeners:
  - {name: plain, address: "127.0.0.1:0", backend: rest}
  - {name: legacy, address: "127.0.0.1:0"}
backends:
  - {name: rest, servers: [{address: "127.0.0.1:1883"}]}
  - {name: one, servers: [{address: "127.0.0.1:1884"}]}
  - {name: two, servers: [{address: "127.0.0.1:1885"}]}
routes:
  - {versions: ["3.1"], backend: two}
  - {server_names: ["*.Two.example"], backend: two}
  - {client_ids: ["robot-*"], users: [alice, bob], backend: one}
  - {groups: [line-a, line-b], backend: one}
  - {tenants: [acme], backend: two}
  - {users: [carol], listeners: [plain], backend: one}
  - {users: ["*"], client_ids: ["named-*"], backend: two}
  - {listeners: [legacy], backend: two}
authn: [{name: anyone, type: anonymous}]
`), nil, newShared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	user := func(name string) filters.Identity { return filters.Identity{Username: name} }
	for _, tt := range []struct {
		name string
		s    *filters.Session
		want string
	}{
		{"nobody in particular", &filters.Session{}, "rest"},
		{"by version", &filters.Session{Version: packets.V31}, "two"},
		{"the first counts", &filters.Session{Version: packets.V31, ServerName: "x.one.example", Identity: user("carol")}, "two"},
		{"by SNI", &filters.Session{ServerName: "mqtt.TWO.example"}, "two"},
		{"by half a name", &filters.Session{ServerName: "two.example"}, "rest"},
		{"by client id and user", &filters.Session{ClientID: "robot-1", Identity: user("bob")}, "one"},
		{"by one of them", &filters.Session{ClientID: "robot-1", Identity: user("eve")}, "rest"},
		{"by group", &filters.Session{Identity: filters.Identity{Groups: []string{"x", "line-b"}}}, "one"},
		{"by tenant", &filters.Session{Identity: filters.Identity{Tenant: "acme"}}, "two"},
		{"by any user", &filters.Session{ClientID: "named-1", Identity: user("bob")}, "two"},
		{"by any user, without one", &filters.Session{ClientID: "named-1"}, "rest"},
		{"by user and listener", &filters.Session{Identity: user("carol")}, "one"},
	} {
		tt.s.Listener = "plain"
		if tt.s.Version == 0 {
			tt.s.Version = packets.V5
		}
		if got := b.policies[0].Route(tt.s).Name(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := b.policies[1].Route(&filters.Session{Listener: "legacy", Identity: user("carol")}).Name(); got != "two" {
		t.Errorf("a listener without a backend: %s", got)
	}
}
