package app

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
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

// TestMaintenanceOfALateSession: a client that has come before a reload may get a server
// that is in maintenance since, and does not stay there.
func TestMaintenanceOfALateSession(t *testing.T) {
	broker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	config := `listeners: [{name: plant, address: "127.0.0.1:0"}]
backends: [{name: broker, servers: [{address: "` + broker.Addr().String() + `"}]}]
broker_profile: legacy
admin: {address: ""}
authn: [{name: anyone, type: anonymous}]
authz: {rules: [{anonymous: true, allow: [publish], topics: ["a"]}]}
`
	a, path := startApp(t, config)
	conn, err := net.Dial("tcp", a.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	for a.listenerStatus()[0].Connections == 0 {
		runtime.Gosched()
	}
	if err := os.WriteFile(path, []byte(strings.Replace(config, `"}]}]`, `", maintenance: true}]}]`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	client := mqtttest.Client(t, conn, packets.V311)
	client.Send(mqtttest.Connect(packets.V311, "c"))
	socket, err := broker.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server := mqtttest.Broker(t, socket, packets.V311)
	defer server.Close()
	server.Expect("The client is let in.", mqtttest.Connect(packets.V311, "c"))
	server.Send(mqtttest.Connack(packets.V311, packets.Success))
	client.Expect("It has a session,", mqtttest.Connack(packets.V311, packets.Success))
	client.ExpectClose("which ends.")
	client.Close()
}

// TestDrainTakenBack: whose server is in use again stays, and so does everybody at
// another one.
func TestDrainTakenBack(t *testing.T) {
	a, _ := startApp(t, policy)
	p := place{"broker", "127.0.0.1:1883"}
	there, elsewhere := proxy.ClientInfo{Backend: p.backend, Server: p.server}, proxy.ClientInfo{Backend: "other", Server: p.server}
	for _, undo := range []bool{false, true} {
		if _, err := a.drainServer("the test", p, undo); err != nil {
			t.Fatal(err)
		}
		if a.leaves(there, p) == undo || a.leaves(elsewhere, p) {
			t.Errorf("undone %v: who is there leaves: %v, who is elsewhere: %v", undo, a.leaves(there, p), a.leaves(elsewhere, p))
		}
	}
}

// TestEmptyingAgain: who is asked to empty a server that somebody empties has that
// looked at again when it is done.
func TestEmptyingAgain(t *testing.T) {
	e, p := newEmptying(), place{"broker", "a"}
	woken := func() bool {
		select {
		case <-e.wake:
			return true
		default:
			return false
		}
	}
	if !e.begin(p) || e.begin(p) {
		t.Fatal("a server is emptied by two")
	}
	e.end(p)
	if !woken() || !e.begin(p) {
		t.Error("nobody looks again")
	}
	e.end(p)
	if woken() {
		t.Error("it is looked at again for nothing")
	}
}
