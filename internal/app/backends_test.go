package app

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/proxy/backend"
	"github.com/mqttward/mqttward/ratelimit"
)

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
