package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// startNamedBrokers starts brokers at one port of these addresses, as the hosts of one
// name have them.
func startNamedBrokers(t *testing.T, hosts ...string) (brokers []*broker, port string) {
	t.Helper()
next:
	for range 10 {
		brokers, port = nil, freePort(t)
		for _, h := range hosts {
			b, ok := startBrokerAt(t, h, port, quiet...)
			if !ok {
				continue next
			}
			brokers = append(brokers, b)
		}
		return brokers, port
	}
	t.Fatal("no port for mosquitto")
	return nil, ""
}

// awaitServers waits until these servers, and no others, are those of the backend.
func (p *proxy) awaitServers(t *testing.T, want ...*broker) {
	t.Helper()
	eventually(t, fmt.Sprint("servers ", addresses(want)), func() bool {
		m, found := p.metrics(t), 0
		for _, b := range want {
			found += int(m[fmt.Sprintf("mqttward_backend_server_up{backend=%q,server=%q}", "broker", b.address())])
		}
		return found == len(want) && len(m.since(metrics{}, "mqttward_backend_server_up")) == len(want)
	})
}

// A name is as many servers as it has addresses. When they change new sessions follow,
// and those that run stay; when nobody answers what was known holds.
func TestServersByName(t *testing.T) {
	t.Parallel()
	brokers, port := startNamedBrokers(t, "127.0.0.2", "127.0.0.3", "127.0.0.4")
	a, b, c := brokers[0], brokers[1], brokers[2]
	n := startNameserver(t)
	const name = "brokers.plant.example"
	n.change(func() { n.hosts[name+"."] = []string{a.host, b.host} })
	p := startProxy(t, settings{
		backends: backendOf(", balance: round_robin, health: {interval: 1s}, resolve: {interval: 1s, server: '"+n.address+"'}", name+":"+port),
	})
	came := 0
	// share opens two sessions, of which each of two servers gets one.
	share := func(two ...*broker) (sessions []*client5) {
		t.Helper()
		for range 2 {
			id := fmt.Sprintf("client-%d", came)
			came++
			s := p.come(t, id)
			s.echoes(t, id)
			sessions = append(sessions, s)
		}
		for _, b := range two {
			eventually(t, "one of two sessions at "+b.address(), func() bool {
				return b.sessions(fmt.Sprintf("client-%d", came-1))+b.sessions(fmt.Sprintf("client-%d", came-2)) == 1
			})
		}
		return sessions
	}
	p.awaitServers(t, a, b)
	old := share(a, b)
	n.change(func() { n.hosts[name+"."] = []string{b.host, c.host} })
	p.awaitServers(t, b, c)
	share(b, c)
	n.change(func() { n.silent = true })
	eventually(t, "log of the failure", func() bool { return strings.Contains(logged(t), "servers cannot be looked up") })
	share(b, c)
	n.change(func() { n.silent, n.hosts[name+"."] = false, []string{a.host, b.host} })
	p.awaitServers(t, a, b)
	share(a, b)
	for i, s := range old {
		s.echoes(t, fmt.Sprintf("client-%d", i))
	}
}

// SRV records say which servers are used as long as one of them serves, and at which
// port.
func TestServersBySRV(t *testing.T) {
	t.Parallel()
	first, second := startBroker(t, quiet...), startBroker(t, quiet...)
	n := startNameserver(t)
	record := func(b *broker, priority uint16, target string) dnsmessage.SRVResource {
		port, err := strconv.ParseUint(b.port, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		return dnsmessage.SRVResource{Priority: priority, Weight: 1, Port: uint16(port), Target: dnsmessage.MustNewName(target)}
	}
	n.change(func() {
		n.hosts["one.plant.example."], n.hosts["two.plant.example."] = []string{first.host}, []string{second.host}
		n.services["_mqtt._tcp.plant.example."] = []dnsmessage.SRVResource{record(first, 1, "one.plant.example."), record(second, 2, "two.plant.example.")}
	})
	p := startProxy(t, settings{
		backends: "[{name: broker, health: {interval: 1s}, resolve: {interval: 1s, server: '" + n.address + "'}, servers: [{srv: _mqtt._tcp.plant.example}]}]",
	})
	p.awaitServers(t, first, second)
	came := func(b *broker) {
		t.Helper()
		for i := range 5 {
			id := fmt.Sprintf("client-%d", i)
			n := b.sessions(id)
			p.come(t, id).echoes(t, id)
			b.awaitSessions(t, id, n+1)
		}
	}
	came(first)
	first.stop(t, syscall.SIGKILL)
	p.awaitServer(t, first.address(), 0)
	came(second)
	first.restart(t)
	p.awaitServer(t, first.address(), 1)
	came(first)
	n.change(func() {
		n.services["_mqtt._tcp.plant.example."] = []dnsmessage.SRVResource{record(second, 1, "two.plant.example.")}
	})
	p.awaitServers(t, second)
	came(second)
}
