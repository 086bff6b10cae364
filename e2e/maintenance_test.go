package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// A server in maintenance loses its sessions and gets no new ones, until that is
// undone; those at other servers do not notice.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	brokers := []*broker{startBroker(t), startBroker(t)}
	first, second := brokers[0].address(), brokers[1].address()
	s := settings{broker: first, more: "broker_profile: legacy\ndrain: {rate: 0}"}
	yaml := func(more string) string {
		return strings.Replace(s.yaml(), fmt.Sprintf("servers: [{address: %q}]", first),
			fmt.Sprintf("balance: round_robin, servers: [{address: %q%s}, {address: %q}]", first, more, second), 1)
	}
	dir := proxyFolder(t, s)
	p := &proxy{dir: dir}
	write(t, p.file("mqttward.yaml"), yaml(""))
	p = startProxyIn(t, dir)
	at := map[string][]*client5{} // by server
	names := map[string]*client5{}
	// come opens a session and returns its server.
	come := func() string {
		id := fmt.Sprintf("client-%d", len(names))
		c := connection(users[len(names)%len(users)])
		c.ClientID = id
		client, _ := p.connect5(t, c)
		p.awaitEvent(t, event{"msg": "session started", "client_id": id})
		names[id] = client
		var server string
		eventually(t, "server of "+id, func() bool { // its log may come a moment later
			for _, b := range brokers {
				if b.sessions(id) > 0 {
					server = b.address()
				}
			}
			return server != ""
		})
		at[server] = append(at[server], client)
		return server
	}
	expect := func(code int, output string, args ...string) {
		t.Helper()
		if r := p.verb(t, args...); r.code != code || !strings.Contains(r.stdout+r.stderr, output) {
			t.Errorf("%q: exit %d, want %d with %q:\n%s%s", args, r.code, code, output, r.stdout, r.stderr)
		}
	}
	state := func(server, want string) {
		t.Helper()
		row := regexp.MustCompile(`(?m)^broker +` + regexp.QuoteMeta(server) + ` +` + want + ` +-$`)
		if r := p.verb(t, "status"); !row.MatchString(r.stdout) {
			t.Errorf("%s is not %s in\n%s%s", server, want, r.stdout, r.stderr)
		}
	}
	gone := func(clients []*client5) {
		t.Helper()
		for _, c := range clients {
			if d := receive(t, "DISCONNECT", c.goodbye); d.ReasonCode != 0x8B || d.Properties != nil && d.Properties.ServerReference != "" {
				t.Errorf("told 0x%02X %+v, want 0x8B", d.ReasonCode, d.Properties)
			}
		}
	}
	over := func(n float64) {
		t.Helper()
		p.awaitMetric(t, `mqttward_sessions_ended_total{reason="drained"}`, n)
	}
	for range 6 {
		come()
	}
	if len(at[first]) != 3 || len(at[second]) != 3 {
		t.Fatalf("%d and %d sessions, want 3 each", len(at[first]), len(at[second]))
	}
	drain := []string{"drain", "--backend", "broker", "--server", first}
	expect(1, "no such server", "drain", "--backend", "broker", "--server", "127.0.0.1:1")
	expect(1, "no such server", "drain", "--backend", "other", "--server", first)
	expect(0, "3 draining\n", drain...)
	gone(at[first])
	for range 3 {
		if server := come(); server != second {
			t.Errorf("a new session at %s, which is in maintenance", server)
		}
	}
	over(3)
	state(first, "maintenance +0")
	state(second, "up +6")
	for i, c := range at[second] {
		if codes := c.subscribe(t, 0, "still/here"); len(codes) != 1 || codes[0] != 0 {
			t.Errorf("client %d of the other server: % x", i, codes)
		}
	}
	p.awaitEvent(t, event{"msg": "drain", "backend": "broker", "server": first, "undo": false})

	expect(0, "undone, 0 stay\n", append(drain, "--undo")...)
	at[first] = nil
	for range 2 {
		come()
	}
	if len(at[first]) != 1 {
		t.Errorf("%d new sessions at the server that is back, want 1 of 2", len(at[first]))
	}

	write(t, p.file("mqttward.yaml"), yaml(", maintenance: true"))
	expect(0, "reloaded", "reload")
	gone(at[first])
	over(4)
	state(first, "maintenance +0")
	expect(1, "the configuration says that the server is in maintenance", append(drain, "--undo")...)
}
