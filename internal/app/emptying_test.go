package app

import (
	"errors"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/admin"
)

// TestDrainServer: which server an operator may take out of use, and that the word
// holds over reloads.
func TestDrainServer(t *testing.T) {
	const two = `servers: [{address: "127.0.0.1:1883"}, {address: "127.0.0.1:1884", maintenance: true}]`
	a, _ := startApp(t, strings.Replace(policy, `servers: [{address: "127.0.0.1:1883"}]`, two+", health: {interval: 0}", 1))
	name := func(backend, server string, undo bool) admin.DrainRequest {
		return admin.DrainRequest{Backend: &backend, Server: &server, Undo: undo}
	}
	for _, tt := range []struct {
		what   admin.DrainRequest
		want   error
		states string
	}{
		{name("broker", "127.0.0.1:1885", false), admin.ErrNoServer, "up maintenance"},
		{name("other", "127.0.0.1:1883", false), admin.ErrNoServer, "up maintenance"},
		{name("broker", "127.0.0.1:1883", false), nil, "maintenance maintenance"},
		{name("broker", "127.0.0.1:1884", true), errConfigured, "maintenance maintenance"},
		{name("broker", "127.0.0.1:1883", true), nil, "up maintenance"},
		{name("broker", "127.0.0.1:1883", false), nil, "maintenance maintenance"},
	} {
		if _, err := a.Drain("the test", tt.what); !errors.Is(err, tt.want) {
			t.Errorf("%s %s: %v, want %v", *tt.what.Backend, *tt.what.Server, err, tt.want)
		}
		var states []string
		for _, s := range a.status().Backends {
			states = append(states, s.State)
		}
		if got := strings.Join(states, " "); got != tt.states {
			t.Errorf("after %s %s the servers are %s, want %s", *tt.what.Backend, *tt.what.Server, got, tt.states)
		}
	}
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	if s := a.status(); s.Backends[0].State != "maintenance" || s.Ready {
		t.Errorf("after a reload: %+v", s)
	}
}
