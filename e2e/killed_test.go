package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bar is how soon after a broker's death its clients are to be served again, and
// slack what the race detector and a busy machine may make of that.
const (
	bar   = 5 * time.Second
	slack = 4
)

// A broker is killed under traffic. Its clients come back, at the rate that is
// configured, and are served by the others, whose clients do not notice. No message
// that was acknowledged is lost: Mosquitto writes what a client is sent of its own
// message before it acknowledges that, and the proxy keeps the order, so that of an
// acknowledged message the client has at least one, and of each at most as many as it
// sent.
func TestBrokerKilled(t *testing.T) {
	t.Parallel()
	const clients, rate, burst = 200, 40, 10
	brokers := startBrokers(t, 3, quiet...)
	limits := "{max_connections_per_ip: 0, max_connections_per_network: 0, max_connections_per_identity: 0, " +
		"connect_rate_per_ip: {rate: 0}, connect_rate_per_network: {rate: 0}, publish_rate: {rate: 0}, packet_rate: {rate: 0}, subscribe_rate: {rate: 0}, connect_rate: {rate: %d, burst: %d}}"
	s := settings{
		backends: backendOf(", balance: client_id, health: {interval: 1s, type: mqtt}", addresses(brokers)...),
		limits:   fmt.Sprintf(limits, 0, 0),
	}
	p := startProxy(t, s)
	all, riders := startRide(t, p, clients)
	home := map[*rider]*broker{}
	share := map[*broker]int{}
	for _, r := range riders {
		eventually(t, "server of "+r.id, func() bool {
			i := slices.IndexFunc(brokers, func(b *broker) bool { return b.sessions(r.id) > 0 })
			if i >= 0 {
				home[r] = brokers[i]
			}
			return i >= 0
		})
		share[home[r]]++
	}
	victim, others := brokers[0], brokers[1:]
	if share[victim] < clients/6 {
		t.Fatalf("%d of %d clients are at the first server, want about a third", share[victim], clients)
	}
	s.limits = fmt.Sprintf(limits, rate, burst)
	p.configure(t, s)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	all.hurry.Store(true)

	// came counts the sessions of riders that others have accepted.
	came := func() (n int) {
		for _, b := range others {
			n += strings.Count(b.out.String(), " as rider-")
		}
		return n
	}
	before := came()
	start := time.Now()
	victim.stop(t, syscall.SIGKILL)
	killed := time.Now()
	deadline := time.After(slack * bar)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for placed := 0; placed < share[victim]; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d of %d clients are served again after %v", placed, share[victim], time.Since(killed))
		}
		// What was let in earlier is seen later, and so never too many.
		n, bound := came()-before, burst+rate*time.Since(start).Seconds()
		if float64(n) > bound {
			t.Fatalf("%d clients came to the brokers in %v, which are more than %v and %v a second", n, time.Since(start), burst, rate)
		}
		placed = 0
		for _, r := range riders {
			if sessions, last := r.count(); home[r] == victim && sessions > 1 && !last.IsZero() {
				placed++
			}
		}
	}
	took := time.Since(killed)
	all.hurry.Store(false)
	refused := p.metrics(t)[refusals("connect_rate")]
	if refused == 0 {
		t.Error("all clients that came back at once were let in at once")
	}

	all.end()
	acked, again, twice := 0, 0, 0
	for _, r := range riders {
		sessions, _ := r.count()
		switch {
		case home[r] == victim && sessions != 2:
			t.Errorf("%s had %d sessions, want 2", r.id, sessions)
		case home[r] != victim && sessions != 1:
			t.Errorf("%s had %d sessions, and its server was not killed", r.id, sessions)
		}
		a, b, c := r.check(t)
		acked, again, twice = acked+a, again+b, twice+c
	}
	t.Logf("%d clients, %d of the server that was killed: all served again after %v; %d reconnects refused meanwhile; %d messages acknowledged, none lost, %d sent again, %d of them came twice",
		clients, share[victim], took.Round(10*time.Millisecond), int(refused), acked, again, twice)

	victim.restart(t)
	p.awaitServer(t, victim.address(), 1)
	s.limits = fmt.Sprintf(limits, 0, 0)
	p.configure(t, s)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, r := range riders[:30] {
		n := home[r].sessions(r.id)
		p.come(t, r.id).echoes(t, r.topic())
		home[r].awaitSessions(t, r.id, n+1)
	}
}
