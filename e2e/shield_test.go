package e2e

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttward/mqttward/packets"
)

// TestGuessing: who guesses passwords is banned with the address, and the name that was
// guessed at is locked, but not where its owner has been.
func TestGuessing(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), limits: "{auth_failures: {max: 3, window: 1h, ban: 1h}, connect_timeout: 60s}"})
	_, port, _ := net.SplitHostPort(p.address())
	from := func(address, user, secret string) result {
		args := []string{"-A", address, "-h", "127.0.0.1", "-p", port, "--cafile", p.file("ca.crt"), "-V", "5", "-u", user, "-P", secret}
		return tryPublish(t, args, "-q", "1", "-t", "a", "-m", payload("x"))
	}
	if r := from("127.0.0.1", "alice", password("alice")); r.code != 0 {
		t.Fatalf("alice at home: %s", r.stderr)
	}
	for range 4 {
		if r := from("127.0.0.2", "alice", "a guess"); !strings.Contains(r.stderr, "Bad User Name or Password") {
			t.Errorf("a guess: %s", r.stderr)
		}
	}
	for _, test := range []struct{ who, address, user, want string }{
		{"any user where somebody guesses", "127.0.0.2", "bob", "error"},
		{"alice from where she has never been", "127.0.0.3", "alice", "Banned"},
		{"another user from there", "127.0.0.3", "bob", ""},
		{"alice at home", "127.0.0.1", "alice", ""},
	} {
		r := from(test.address, test.user, password(test.user))
		if (r.code == 0) != (test.want == "") || !strings.Contains(strings.ToLower(r.stderr), strings.ToLower(test.want)) {
			t.Errorf("%s: exit %d, %q, want %q", test.who, r.code, r.stderr, test.want)
		}
	}
	if n := b.connections(); n != 3 {
		t.Errorf("the broker has seen %d connections, want those of the three that are let in", n)
	}
}

// TestGuessesAtHome: a neighbour who guesses is banned, and the user goes on.
func TestGuessesAtHome(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), limits: "{auth_failures: {max: 2, window: 1h, ban: 1h}, connect_timeout: 60s}"})
	publish(t, p.as("alice"), "-q", "1", "-t", "a", "-m", payload("x"))
	guess := connection("eve")
	guess.Password = []byte("a guess")
	for range 3 {
		p.refused5(t, guess, byte(packets.BadUserNameOrPassword))
	}
	p.awaitMetric(t, `mqttward_bans_begun_total{reason="auth_failures"}`, 2) // it counts when the connection has ended
	p.refused5(t, connection("bob"), byte(packets.Banned))
	publish(t, p.as("alice"), "-q", "1", "-t", "a", "-m", payload("x"))
}

// TestPingPong: of two clients that take one session from each other the one that has
// it keeps it, when there is too much of that.
func TestPingPong(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), limits: "{takeovers: {max: 2, window: 1h, ban: 1h}, connect_timeout: 60s}"})
	same := func() *paho.Connect { c := connection("alice"); c.ClientID = "same"; return c }
	var last *client5
	for range 3 {
		last, _ = p.connect5(t, same())
	}
	p.refused5(t, same(), byte(packets.Banned))
	last.publishes(t, "a", 0)
	p.connect5(t, connection("alice"))
}

// TestOutageIsNoFlapping: who tries again and again while the broker is away is let in
// when it is back.
func TestOutageIsNoFlapping(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), limits: "{flapping: {max: 3, window: 1h, ban: 1h}, user_flapping: {max: 3, window: 1h, ban: 1h}, connect_timeout: 60s}"})
	b.stop(t, syscall.SIGKILL)
	for i := range 10 {
		p.refused5(t, connection("alice"), byte(packets.ServerUnavailable))
		p.awaitMetric(t, refusals("backend_unavailable"), float64(i+1))
	}
	b.restart(t)
	p.connect5(t, connection("alice"))
}

// TestPerIdentity: a user has so many connections, and one that takes its own place is
// not one more.
func TestPerIdentity(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), limits: "{max_connections_per_identity: 2, connect_timeout: 60s}"})
	named := func(id string) *paho.Connect { c := connection("alice"); c.ClientID = id; return c }
	p.connect5(t, named("a"))
	second, _ := p.connect5(t, named("b"))
	p.refused5(t, named("c"), byte(packets.QuotaExceeded))
	p.connect5(t, named("a"))
	p.connect5(t, connection("bob"))
	second.TerminateConnectionForTest()
	eventually(t, "there is a place again", func() bool {
		return p.metrics(t)[`mqttward_sessions_ended_total{reason="client_closed"}`] > 0
	})
	p.connect5(t, named("c"))
}

// TestBackendConnections: the broker gets no more than it can take.
func TestBackendConnections(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), backend: ", max_connections: 2"})
	p.connect5(t, connection("alice"))
	last, _ := p.connect5(t, connection("bob"))
	p.refused5(t, connection("carol"), byte(packets.ServerBusy))
	p.awaitMetric(t, refusals("backend_connections"), 1)
	if n := b.connections(); n != 2 {
		t.Errorf("the broker has seen %d connections", n)
	}
	last.TerminateConnectionForTest()
	p.awaitMetric(t, "mqttward_connections", 1)
	p.connect5(t, connection("carol"))
}

// TestForsaken: who floods and leaves holds no place for as long as the rest of the
// flood would take.
func TestForsaken(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), limits: "{publish_rate: {rate: 1, burst: 1}, packet_timeout: 1s, connect_timeout: 60s}"})
	conn := p.dial(t, true)
	send(connectOf("alice"))(conn)
	readFull(t, conn, make([]byte, 4))
	for range 1000 { // a quarter of an hour
		send(packets.AppendPublish(nil, packets.V5, 0, []byte("a"), 0, nil, nil, 0))(conn)
	}
	_ = conn.Close()
	p.awaitMetric(t, `mqttward_sessions_ended_total{reason="client_closed"}`, 1)
}
