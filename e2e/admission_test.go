package e2e

import "testing"

// Who is not admitted is closed before anything is spent on it: no TLS, no
// log line, one counter.
func TestAdmission(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	deny := `[{name: mqtts, address: "127.0.0.1:0", deny: [127.0.0.0/8], tls: {certificates: [{cert: server.crt, key: server.key}]}}]`
	allow := `[{name: mqtts, address: "127.0.0.1:0", allow: [192.0.2.0/24], tls: {certificates: [{cert: server.crt, key: server.key}]}}]`
	for _, test := range []struct {
		name     string
		settings settings
		admitted int
		reason   string
	}{
		{"per address", settings{limits: "{max_connections_per_ip: 2}"}, 2, "max_connections_per_ip"},
		{"per network", settings{limits: "{max_connections_per_network: 2}"}, 2, "max_connections_per_network"},
		{"in total", settings{limits: "{max_connections: 3, max_connections_per_network: 0}"}, 3, "max_connections"},
		{"of strangers", settings{limits: "{max_connections: 8, max_connections_per_network: 0}"}, 7, "reserved_connections"},
		{"rate per address", settings{limits: "{connect_rate_per_ip: {rate: 0.0001, burst: 2}}"}, 2, "connect_rate_per_ip"},
		{"rate per network", settings{limits: "{connect_rate_per_network: {rate: 0.0001, burst: 2}}"}, 2, "connect_rate_per_network"},
		{"rate in total", settings{limits: "{connect_rate: {rate: 0.0001, burst: 1}}"}, 1, "connect_rate"},
		{"denied network", settings{listeners: deny}, 0, "denied_network"},
		{"network that is not allowed", settings{listeners: allow}, 0, "denied_network"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.settings.broker = b.address()
			p := startProxy(t, test.settings)
			for range test.admitted {
				p.dial(t, false)
			}
			p.awaitMetric(t, "mqttward_connections", float64(test.admitted))
			const refused = 3
			for range refused {
				if got := awaitClosed(t, p.dial(t, false)); len(got) > 0 {
					t.Errorf("who is refused is told % x", got)
				}
			}
			p.awaitMetric(t, refusals(test.reason), refused)
			m := p.metrics(t)
			if changed := m.since(nil, "mqttward_refusals_total", "mqttward_handshakes_total"); len(changed) != 1 {
				t.Errorf("counted %v, want only the refusals", changed)
			}
			if n := m["mqttward_connections"]; n != float64(test.admitted) {
				t.Errorf("%v connections, want %d", n, test.admitted)
			}
			if lines := p.audit(t); len(lines) > 0 {
				t.Errorf("logged %v", lines)
			}
		})
	}
}

// A place that is free again is given to the next, and a reload can make more.
func TestAdmissionAgain(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := settings{broker: b.address(), limits: "{max_connections_per_ip: 1}"}
	p := startProxy(t, s)
	for i := range 3 {
		c, _ := p.connect5(t, connection("alice"))
		awaitClosed(t, p.dial(t, false))
		p.awaitMetric(t, refusals("max_connections_per_ip"), float64(i+1))
		c.TerminateConnectionForTest()
		p.awaitMetric(t, "mqttward_connections", 0)
	}
	s.limits = "{max_connections_per_ip: 2}"
	p.configure(t, s)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	p.connect5(t, connection("alice"))
	p.connect5(t, connection("bob"))
}
