package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// Who would come to a server that has as many sessions as it takes gets the next; when
// all are full clients are told so, and a place that is free again is used.
func TestServersFillUp(t *testing.T) {
	t.Parallel()
	brokers := startBrokers(t, 2, quiet...)
	p := startProxy(t, settings{
		backends: fmt.Sprintf("[{name: broker, max_connections: 4, servers: [{address: %q, max_connections: 2}, {address: %q}]}]",
			brokers[0].address(), brokers[1].address()),
		limits: "{connect_timeout: 60s, max_connections_per_identity: 0}",
	})
	var clients []*client5
	come := func() *client5 {
		c := p.come(t, fmt.Sprintf("client-%d", len(clients)))
		c.echoes(t, fmt.Sprintf("fill/%d", len(clients)))
		clients = append(clients, c)
		return c
	}
	for range 6 {
		come()
	}
	for i, want := range []int{2, 4} {
		eventually(t, fmt.Sprintf("%d sessions at server %d", want, i), func() bool {
			return strings.Count(brokers[i].out.String(), " as client-") == want
		})
	}
	full := connection("alice")
	full.ClientID = "too-many"
	p.refused5(t, full, 0x89)
	if _, _, code := p.dial3(t, v311, "bob"); code != 3 {
		t.Errorf("return code %d, want 3", code)
	}
	p.awaitMetric(t, refusals("backend_connections"), 2)
	_ = clients[0].Disconnect(&paho.Disconnect{})
	p.awaitMetric(t, `mqttward_sessions_ended_total{reason="client_disconnect"}`, 1)
	come()
	p.refused5(t, full, 0x89)
}

// Health checks over MQTT pass a balancer that wants PROXY headers, in one of its own
// kind, and notice that the broker behind it has gone.
func TestHealthBehindProxyProtocol(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1", "v2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			brokers := startBrokers(t, 2, quiet...)
			first, second := startHAProxy(t, brokers[0]), startHAProxy(t, brokers[1])
			p := startProxy(t, settings{
				backends: backendOf(", proxy_protocol: "+version+", health: {interval: 1s, type: mqtt}", first.address, second.address),
			})
			ids := p.clientsOf(t, brokers[0], 2)
			brokers[0].stop(t, syscall.SIGKILL)
			p.awaitServer(t, first.address, 0)
			p.come(t, ids[0]).echoes(t, "away")
			brokers[1].awaitSessions(t, ids[0], 1)
			brokers[0].restart(t)
			p.awaitServer(t, first.address, 1)
			p.come(t, ids[1]).echoes(t, "back")
			brokers[0].awaitSessions(t, ids[1], 1)
		})
	}
}

// A server in maintenance is emptied no faster than configured, whoever says so. Its
// clients are told where to go, and come back to another server meanwhile.
func TestMaintenanceRate(t *testing.T) {
	t.Parallel()
	const clients, rate = 30, 20
	for _, by := range []string{"reload", "command"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			brokers := startBrokers(t, 2, quiet...)
			first, second := brokers[0], brokers[1]
			s := settings{more: fmt.Sprintf("broker_profile: legacy\ndrain: {rate: %d}", rate)}
			s.limits = "{connect_timeout: 60s, max_connections_per_identity: 0, max_connections_per_ip: 0, connect_rate_per_ip: {rate: 0}}"
			servers := "[{name: broker, servers: [{address: %q, server_reference: 'other.example:8883'%s}, {address: %q}]}]"
			s.backends = fmt.Sprintf(servers, first.address(), "", second.address())
			p := startProxy(t, s)
			var mine []*client5
			var ids []string
			for i := 0; len(mine) < clients; i++ {
				id := fmt.Sprintf("client-%d", i)
				c := p.come(t, id)
				c.echoes(t, "found/"+id)
				if first.sessions(id) == 1 {
					mine, ids = append(mine, c), append(ids, id)
				}
			}
			drain := []string{"drain", "--backend", "broker", "--server", first.address()}
			begin := time.Now()
			if by == "reload" {
				s.backends = fmt.Sprintf(servers, first.address(), ", maintenance: true", second.address())
				p.reload(t, s)
			} else if r := p.verb(t, drain...); r.code != 0 {
				t.Fatalf("exit %d: %s%s", r.code, r.stdout, r.stderr)
			}
			// As many as are due in a tenth of a second may end together (proxy.Drain).
			for i, c := range mine {
				d := receive(t, "DISCONNECT", c.goodbye)
				if d.ReasonCode != 0x9C || d.Properties == nil || d.Properties.ServerReference != "other.example:8883" {
					t.Errorf("told 0x%02X %+v, want 0x9C and a reference", d.ReasonCode, d.Properties)
				}
				if most := rate/10 + rate*time.Since(begin).Seconds(); float64(i+1) > most {
					t.Fatalf("%d sessions have ended after %v, want %v a second", i+1, time.Since(begin), rate)
				}
			}
			p.come(t, ids[0]).echoes(t, "found/"+ids[0])
			second.awaitSessions(t, ids[0], 1)
			if by == "reload" {
				s.backends = fmt.Sprintf(servers, first.address(), "", second.address())
				p.reload(t, s)
			} else if r := p.verb(t, append(drain, "--undo")...); r.code != 0 {
				t.Fatalf("exit %d: %s%s", r.code, r.stdout, r.stderr)
			}
			p.come(t, ids[1]).echoes(t, "found/"+ids[1])
			first.awaitSessions(t, ids[1], 2)
		})
	}
}
