package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
)

// trusting is the rest of a listener that has HAProxy in front. The balancer itself is
// no client that would be let in.
const trusting = `, proxy_protocol: {trusted: [127.0.0.1/32]}, deny: [127.0.0.1/32]`

// balancedListener is a listener with TLS behind a balancer.
func balancedListener() string {
	return `[{name: mqtts, address: "127.0.0.1:0", tls: {certificates: [{cert: server.crt, key: server.key}]}` + trusting + `}]`
}

// balance starts HAProxy in front of p; server is what its line has beside the address.
func balance(t *testing.T, p *proxy, server string) *haproxy {
	t.Helper()
	return launchHAProxy(t, func(address string) string {
		return `
listen front
    bind ` + address + `
    log global
    option log-health-checks
    server mqttward ` + p.address() + ` check inter 200ms rise 1 fall 1 ` + server + `
`
	})
}

// from is how the Mosquitto clients reach p through h, from an address of their own.
func (h *haproxy) from(p *proxy, address, user string) []string {
	host, port, _ := net.SplitHostPort(h.address)
	return []string{"-A", address, "-h", host, "-p", port, "--cafile", p.file("ca.crt"), "-u", user, "-P", password(user)}
}

// HAProxy passes TLS on and says who comes. Its own connections, with a header and
// without, are no clients and nothing to write home about.
func TestBehindHAProxy(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]string{
		"v1":                        "send-proxy check-send-proxy",
		"v2":                        "send-proxy-v2 check-send-proxy",
		"v2 with more":              "send-proxy-v2-ssl-cn proxy-v2-options authority,crc32c,unique-id check-send-proxy",
		"v2 and checks without one": "send-proxy-v2 no-check-send-proxy",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			p := startProxy(t, settings{broker: b.address(), listeners: balancedListener(), rules: []string{
				`{ips: [127.0.0.7, 127.0.0.9], allow: [publish], topics: ["from/${ip}"]}`, `{ips: [127.0.0.8], allow: [subscribe], topics: ["from/#"]}`,
			}})
			h := balance(t, p, server)
			s := subscribe(t, h.from(p, "127.0.0.8", "bob"), "-q", "1", "-t", "from/#")
			publish(t, h.from(p, "127.0.0.7", "alice"), "-i", "seven", "-q", "1", "-t", "from/127.0.0.7", "-m", payload("x"))
			s.await(t, payload("x"))
			started := p.awaitEvent(t, event{"msg": "session started", "client_id": "seven"})
			if remote := fmt.Sprint(started["remote"]); !strings.HasPrefix(remote, "127.0.0.7:") {
				t.Errorf("the session is of %s", remote)
			}

			if r := p.verb(t, "ban", "--network", "127.0.0.7/32"); r.code != 0 {
				t.Fatalf("ban: %s%s", r.stdout, r.stderr)
			}
			if r := tryPublish(t, h.from(p, "127.0.0.7", "alice"), "-q", "1", "-t", "from/127.0.0.7", "-m", payload("y")); r.code == 0 {
				t.Error("who is banned is let in")
			}
			publish(t, h.from(p, "127.0.0.9", "alice"), "-q", "1", "-t", "from/127.0.0.9", "-m", payload("z"))
			s.await(t, payload("z"))
			equal(t, "messages", messages(s.out.String()), []string{"from/127.0.0.7", "from/127.0.0.9"})

			eventually(t, "checks of HAProxy", func() bool { return p.metrics(t)[refusals("closed_early")] >= 3 })
			for _, e := range p.audit(t) {
				if e["end"] == "closed_early" || e["end"] == "proxy_header" {
					t.Errorf("audit line %v", e)
				}
			}
			if n := p.metrics(t)[refusals("proxy_header")]; n != 0 {
				t.Errorf("%v connections have no header that is right", n)
			}
			if text := h.out.String(); strings.Contains(text, "DOWN") {
				t.Errorf("haproxy:\n%s", text)
			}
		})
	}
}

// Who is no balancer speaks for nobody, and a balancer has to.
func TestTrust(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), listeners: balancedListener()})
	host, port, _ := net.SplitHostPort(p.address())
	direct := []string{"-h", host, "-p", port, "--cafile", p.file("ca.crt"), "-u", "alice", "-P", password("alice"), "-t", "a", "-m", payload("x")}
	publish(t, append([]string{"-A", "127.0.0.2"}, direct...))
	if r := tryPublish(t, direct); r.code == 0 {
		t.Error("a balancer needs no header")
	}
	p.awaitMetric(t, refusals("proxy_header"), 1)
	for n, header := range []string{"PROXY TCP4 127.0.0.7 127.0.0.1 1 1883\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x07\x7f\x00\x00\x01\x00\x01\x07\x5b"} {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		conn, err := dialer.Dial("tcp", p.address())
		if err != nil {
			t.Fatal(err)
		}
		c := newRaw(t, conn)
		c.send([]byte(header))
		awaitClosed(t, conn)
		p.awaitMetric(t, refusals("tls_handshake"), float64(n+1))
	}
	for _, e := range p.audit(t) {
		if strings.HasPrefix(fmt.Sprint(e["remote"]), "127.0.0.7") {
			t.Errorf("audit line %v", e)
		}
	}
}

// Where HAProxy has ended TLS, and behind it are one mqttward, another, HAProxy again
// and the broker, the last of them still knows the client and the name it asked for.
func TestChainOfHeaders(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	back := startHAProxy(t, b)
	plain := `[{name: mqtt, address: "127.0.0.1:0"` + trusting + `}]`
	second := startProxy(t, settings{broker: back.address, listeners: plain, backend: ", proxy_protocol: v2"})
	first := startProxy(t, settings{broker: second.address(), listeners: plain, backend: ", proxy_protocol: v2"})
	issue(t, authority(), first.dir, "front", pki.Options{CN: "front", DNS: []string{"mqtt.example"}})
	write(t, first.file("front.pem"), first.read(t, "front.crt")+first.read(t, "front.key"))
	front := launchHAProxy(t, func(address string) string {
		return `
listen front
    bind ` + address + ` ssl crt ` + first.file("front.pem") + ` verify optional ca-file ` + first.file("ca.crt") + `
    server mqttward ` + first.address() + ` send-proxy-v2-ssl-cn proxy-v2-options authority
`
	})
	issue(t, authority(), first.dir, "carol", pki.Options{CN: "carol", Client: true})
	carol, err := tls.LoadX509KeyPair(first.file("carol.crt"), first.file("carol.key"))
	if err != nil {
		t.Fatal(err)
	}
	config := first.tlsConfig()
	config.ServerName, config.Certificates = "mqtt.example", []tls.Certificate{carol}
	dialer := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 7)}}, Config: config}
	conn, err := dialer.DialContext(t.Context(), "tcp", front.address)
	if err != nil {
		t.Fatal(err)
	}
	c := newRaw(t, conn)
	c.connect(packets.V5, "device", "alice")
	c.alive("It is answered through all of them.")
	back.await(t, "client "+conn.LocalAddr().String()+" for mqtt.example\n")
	for _, p := range []*proxy{first, second} {
		p.awaitEvent(t, event{"msg": "session started", "remote": conn.LocalAddr(), "username": "alice"})
	}
}

// Many clients of one balancer have each what a client has, the balancer none of it.
func TestManyBehindOne(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{
		broker: b.address(), listeners: `[{name: mqtt, address: "127.0.0.1:0"` + trusting + `}]`,
		limits: "{max_connections_per_ip: 2, max_connections_per_identity: 0, connect_rate_per_ip: {rate: 0.0001, burst: 3}}",
	})
	come := func(address string) *raw {
		t.Helper()
		conn, err := net.Dial("tcp", p.address())
		if err != nil {
			t.Fatal(err)
		}
		c := newRaw(t, conn)
		c.send([]byte("PROXY TCP4 " + address + " 127.0.0.1 40000 1883\r\n"))
		return c
	}
	const n = 200
	for i := range n {
		come(fmt.Sprintf("10.%d.0.1", i)).connect(packets.V311, fmt.Sprintf("device-%d", i), "alice")
	}
	come("10.0.0.1").connect(packets.V311, "second", "alice")
	awaitClosed(t, come("10.0.0.1"))
	p.awaitMetric(t, refusals("max_connections_per_ip"), 1)
	p.awaitMetric(t, "mqttward_connections", n+1)
}

// On a Unix socket everybody who may open it is a balancer.
func TestBehindSocket(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	socket := t.TempDir() + "/mqtt.sock"
	p := startProxy(t, settings{broker: b.address(), listeners: `[{name: local, address: "unix:` + socket + `", proxy_protocol: {}, deny: [127.0.0.9]}]`})
	h := launchHAProxy(t, func(address string) string {
		return `
listen front
    bind ` + address + `
    server mqttward unix@` + socket + ` send-proxy-v2
`
	})
	host, port, _ := net.SplitHostPort(h.address)
	through := []string{"-h", host, "-p", port, "-u", "alice", "-P", password("alice"), "-i", "device", "-t", "a", "-m", payload("x")}
	publish(t, append([]string{"-A", "127.0.0.7"}, through...))
	started := p.awaitEvent(t, event{"msg": "session started", "client_id": "device"})
	if remote := fmt.Sprint(started["remote"]); !strings.HasPrefix(remote, "127.0.0.7:") {
		t.Errorf("the session is of %s", remote)
	}
	if r := tryPublish(t, append([]string{"-A", "127.0.0.9"}, through...)); r.code == 0 {
		t.Error("a network that is denied is let in")
	}
	if r := tryPublish(t, []string{"--unix", socket}, "-u", "alice", "-P", password("alice"), "-t", "a", "-m", payload("x")); r.code == 0 {
		t.Error("a socket needs no header")
	}
	p.awaitMetric(t, refusals("proxy_header"), 1)
}
