package e2e

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"path"
	"testing"

	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
)

// passenger is a client with what routes tell clients apart by. What is empty is as
// most have it.
type passenger struct {
	listener int
	name     string // of the server, in TLS
	clientID string
	user     string
	version  packets.Version
}

// Each kind of route takes those who fit it to their backend, and nobody else.
func TestRoutes(t *testing.T) {
	t.Parallel()
	main, side := startBroker(t), startBroker(t)
	mainMonitor, sideMonitor := main.monitor(t), side.monitor(t)
	pair := "tls: {certificates: [{cert: server.crt, key: server.key}]}"
	s := settings{
		backends: fmt.Sprintf("[{name: main, servers: [{address: %q}]}, {name: side, servers: [{address: %q}]}]", main.address(), side.address()),
		listeners: fmt.Sprintf(`
  - {name: mqtts, address: "127.0.0.1:0", backend: main, %s}
  - {name: lines, address: "127.0.0.1:0", backend: main, %s}`, pair, pair),
		authn: `
  - {name: acme, type: password, file: users.passwd, groups_file: groups.txt, tenant: acme}
  - {name: zeta, type: password, file: zeta.passwd, tenant: zeta}`,
	}
	for name, test := range map[string]struct {
		route        string
		fits, others passenger
	}{
		"listener":    {"listeners: [lines]", passenger{listener: 1}, passenger{}},
		"server-name": {"server_names: ['*.line-a.example']", passenger{name: "plc.line-a.example"}, passenger{name: "plc.line-b.example"}},
		"no-name":     {"server_names: ['*']", passenger{name: "plc.line-b.example"}, passenger{}},
		"client-id":   {"client_ids: ['plc-*']", passenger{clientID: "plc-7"}, passenger{clientID: "app-7"}},
		"user":        {"users: [bob]", passenger{user: "bob"}, passenger{user: "alice"}},
		"group":       {"groups: [line-a]", passenger{user: "carol"}, passenger{user: "alice"}},
		"tenant":      {"tenants: [zeta]", passenger{user: "dave"}, passenger{user: "alice"}},
		"3.1":         {"versions: ['3.1']", passenger{version: packets.V31}, passenger{version: packets.V311}},
		"3.1.1":       {"versions: ['3.1.1']", passenger{version: packets.V311}, passenger{version: packets.V5}},
		"5.0":         {"versions: ['5.0']", passenger{version: packets.V5}, passenger{version: packets.V31}},
		"both":        {"users: [bob], client_ids: ['plc-*']", passenger{user: "bob", clientID: "plc-1"}, passenger{user: "bob", clientID: "app-1"}},
		"first":       {"users: [alice], backend: main}, {users: ['*']", passenger{user: "bob"}, passenger{user: "alice"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := s
			s.more = "broker_profile: legacy\nroutes: [{" + test.route + ", backend: side}]"
			dir := proxyFolder(t, s)
			issue(t, authority(), dir, "server", pki.Options{DNS: []string{"*.line-a.example", "*.line-b.example"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
			write(t, dir+"/groups.txt", "line-a: carol\nline-b: alice bob\n")
			write(t, dir+"/zeta.passwd", hashed(dir+"/zeta", "dave:"+password("dave")+"\n"))
			p := startProxyIn(t, dir)
			topic := "routed/" + name + "/"
			p.board(t, test.fits, topic+"fits")
			sideMonitor.await(t, line(topic+"fits", 1, false, "x"))
			p.board(t, test.others, topic+"others")
			mainMonitor.await(t, line(topic+"others", 1, false, "x"))
		})
	}
	for _, end := range []struct {
		broker  *broker
		monitor *process
		suffix  string
	}{{main, mainMonitor, "others"}, {side, sideMonitor, "fits"}} {
		publish(t, end.broker.direct(), "-q", "1", "-t", "end/"+end.suffix, "-m", payload("end"))
		for _, topic := range messages(end.monitor.await(t, payload("end"))) {
			if path.Base(topic) != end.suffix {
				t.Errorf("%s came to the wrong backend", topic)
			}
		}
	}
}

// board publishes x to a topic as a passenger.
func (p *proxy) board(t *testing.T, who passenger, topic string) {
	t.Helper()
	config := p.tlsConfig()
	if who.name != "" {
		config.ServerName = who.name
	}
	to := &proxy{App: p.App, dir: p.dir, listener: who.listener}
	conn, err := tls.Dial("tcp", to.address(), config)
	if err != nil {
		t.Fatal(err)
	}
	c := newRaw(t, conn)
	v := cmp.Or(who.version, packets.V5)
	c.connect(v, cmp.Or(who.clientID, who.user, "client"), cmp.Or(who.user, "alice"))
	c.send(pub(v, 2, 1, topic))
	c.expect("PUBACK", ackOf(v, packets.PUBACK, 1, packets.Success))
	_ = conn.Close()
}
