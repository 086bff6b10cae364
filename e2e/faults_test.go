package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// faulty is a proxy with two servers, of which the first is behind a relay.
type faulty struct {
	*proxy
	relay         *relay
	first, second *broker
	ids           []string // of clients of the first
}

func newFaulty(t *testing.T, timeout, more string) *faulty {
	t.Helper()
	brokers := startBrokers(t, 2, quiet...)
	f := &faulty{relay: startRelay(t, brokers[0].address()), first: brokers[0], second: brokers[1]}
	f.proxy = startProxy(t, settings{
		backends: backendOf(more, f.relay.address, f.second.address()),
		limits:   "{connect_timeout: " + timeout + "}",
	})
	f.ids = f.clientsOf(t, f.first, 4)
	return f
}

// comesTo checks that a client gets a session at a server, in one attempt.
func (f *faulty) comesTo(t *testing.T, b *broker, id string) *client5 {
	t.Helper()
	before := b.sessions(id)
	c := f.come(t, id)
	c.echoes(t, "at/"+id)
	b.awaitSessions(t, id, before+1)
	return c
}

// returns waits until the first server is used again by its clients.
func (f *faulty) returns(t *testing.T) {
	t.Helper()
	eventually(t, "sessions at the first server", func() bool {
		n := f.first.sessions(f.ids[0])
		f.come(t, f.ids[0]).echoes(t, "back")
		return f.first.sessions(f.ids[0]) > n
	})
	f.awaitServer(t, f.relay.address, 1)
}

// A server that cannot be reached costs its clients nothing: they get the next one, and
// after a while it is not tried any more.
func TestUnreachableServer(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fault{"refused": refused, "blackhole": blackhole} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t, "4s", ", health: {interval: 0s}, outlier: {failures: 2, time: 1s}")
			f.relay.set(t, fault)
			f.comesTo(t, f.second, f.ids[0])
			f.comesTo(t, f.second, f.ids[1])
			f.awaitServer(t, f.relay.address, 0)
			f.comesTo(t, f.second, f.ids[2])
			f.relay.set(t, none)
			f.returns(t)
		})
	}
}

// A server that has been sent a CONNECT has begun a session: when it does not answer
// its client is told, and no other server is sent that CONNECT. A server that stays
// silent is left out; one that breaks connections is not, since clients could bring
// about that.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault fault
		left  bool
	}{"half-open": {frozen, true}, "reset": {reset, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t, "3s", ", health: {interval: 0s}, outlier: {failures: 2, time: 1s}")
			f.relay.set(t, test.fault)
			before := f.relay.count()
			for _, id := range f.ids[:2] {
				n := f.second.sessions(id)
				c := connection("alice")
				c.ClientID = id
				f.refused5(t, c, 0x88)
				if f.second.sessions(id) != n {
					t.Errorf("the CONNECT of %s was sent to the other server, too", id)
				}
			}
			if n := f.relay.count() - before; n != 2 {
				t.Errorf("%d connections for two CONNECTs", n)
			}
			if test.left {
				f.awaitServer(t, f.relay.address, 0)
				f.comesTo(t, f.second, f.ids[2])
			} else {
				f.awaitServer(t, f.relay.address, 1)
			}
			f.relay.cut() // or the CONNECTs would arrive now
			f.relay.set(t, none)
			f.returns(t)
		})
	}
}

// A server that is slow is used all the same, and when its connections break its
// clients alone notice.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	f := newFaulty(t, "30s", ", health: {interval: 0s}")
	other := f.comesTo(t, f.second, f.clientsOf(t, f.second, 1)[0])
	f.relay.set(t, slow)
	c := f.comesTo(t, f.first, f.ids[0])
	f.relay.cut()
	receive(t, "end of the session", c.Done())
	other.echoes(t, "other")
	f.relay.set(t, none)
	f.comesTo(t, f.first, f.ids[0])
}

// A broker that hangs is noticed by health checks over MQTT, since its kernel goes on
// to accept connections. Its sessions stay, or end where that is wanted.
func TestFrozenBroker(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		more string
		ends bool
	}{"sessions stay": {"", false}, "sessions end": {", end_sessions: true", true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokers := startBrokers(t, 2, quiet...)
			first, second := brokers[0], brokers[1]
			p := startProxy(t, settings{
				backends: strings.Replace(backendOf(", health: {interval: 1s, type: mqtt"+test.more+"}", addresses(brokers)...),
					"}", ", server_reference: 'other.example:8883'}", 1),
				more: "broker_profile: legacy\ndrain: {rate: 0}",
			})
			f := &faulty{proxy: p, first: first, second: second, ids: p.clientsOf(t, first, 2)}
			running := f.comesTo(t, first, f.ids[0])
			first.signal(t, syscall.SIGSTOP)
			p.awaitServer(t, first.address(), 0)
			if test.ends {
				d := receive(t, "DISCONNECT", running.goodbye)
				if d.ReasonCode != 0x9C || d.Properties == nil || d.Properties.ServerReference != "other.example:8883" {
					t.Errorf("told 0x%02X %+v, want 0x9C and a reference", d.ReasonCode, d.Properties)
				}
				f.comesTo(t, second, f.ids[0])
			}
			f.comesTo(t, second, f.ids[1])
			first.signal(t, syscall.SIGCONT)
			p.awaitServer(t, first.address(), 1)
			if !test.ends {
				running.echoes(t, "at/"+f.ids[0]) // nothing was lost with the pause
			}
			f.comesTo(t, first, f.ids[1])
		})
	}
}
