package e2e

import (
	"crypto/tls"
	"encoding/hex"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/packets"
)

// startLockedBroker starts a broker that knows one user, the gateway's.
func startLockedBroker(t *testing.T) *broker {
	t.Helper()
	for range 10 {
		b := &broker{host: "127.0.0.1", port: freePort(t)}
		users := filepath.Join(t.TempDir(), "broker.passwd")
		write(t, users, hashed(users, "gw-alice:"+password("gateway")+"\n"))
		b.config = brokerConfig(t, "listener "+b.port+" 127.0.0.1")
		write(t, b.config, "listener "+b.port+" 127.0.0.1\nallow_anonymous false\npassword_file "+users+
			"\nlog_dest stderr\nlog_type all\nlog_timestamp false\nuser root\n")
		if b.start(t) {
			return b
		}
	}
	t.Fatal("no port for mosquitto")
	return nil
}

// The broker gets the credentials that the proxy has for it, and never those of
// the client.
func TestReplacedCredentials(t *testing.T) {
	t.Parallel()
	b := startLockedBroker(t)
	dir := proxyFolder(t, settings{
		broker:  b.address(),
		backend: `, credentials: {mode: replace, username: "gw-${username}", password_file: gateway.secret}`,
	})
	write(t, filepath.Join(dir, "gateway.secret"), password("gateway")+"\n")
	p := startProxyIn(t, dir)
	for _, version := range []string{"31", "311", "5"} {
		publish(t, p.as("alice"), "-V", version, "-i", "a"+version, "-q", "1", "-t", "x", "-m", payload("x"))
		b.out.await(t, "as a"+version+" (p", 1)
		if r := tryPublish(t, p.as("bob"), "-V", version, "-q", "1", "-t", "x", "-m", payload("x")); r.code == 0 {
			t.Errorf("%s: the broker knows no gw-bob", version)
		}
	}
	b.out.await(t, "u'gw-alice'", 3)
}

// What the client proved to the proxy is nothing that the broker has to know.
func TestStrippedCredentials(t *testing.T) {
	t.Parallel()
	r := record(t, nil)
	p := startProxy(t, settings{broker: r.Addr().String(), backend: ", credentials: {mode: strip}"})
	for _, v := range []packets.Version{packets.V31, packets.V311, packets.V5} {
		p.secure(t).connect(v, "device", "alice")
	}
	frames := r.frames(t)
	if len(frames) != 3 {
		t.Fatalf("the broker got %q", frames)
	}
	for i, v := range []packets.Version{packets.V31, packets.V311, packets.V5} {
		if want := hex.EncodeToString(rawConnect(v, "device", "")); frames[i] != want {
			t.Errorf("the broker got %s, want %s", frames[i], want)
		}
	}
}

// secure opens a connection with TLS.
func (p *proxy) secure(t *testing.T) *raw {
	t.Helper()
	conn, err := tls.Dial("tcp", p.address(), p.tlsConfig())
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(t, conn)
}

// HAProxy reads the PROXY header and passes the rest to Mosquitto.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1", "v2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			front := startHAProxy(t, b)
			p := startProxy(t, settings{broker: front.address, backend: ", proxy_protocol: " + version})
			monitor := b.monitor(t)
			c := p.secure(t)
			c.connect(packets.V5, "device", "alice")
			publish(t, p.as("bob"), "-q", "1", "-t", "x", "-m", payload("x"))
			monitor.await(t, payload("x"))
			front.await(t, "client "+c.LocalAddr().String()+" for ")

			// What the proxy asks for itself has a header too.
			report := mqttward(t, "", "doctor", "-c", p.file("mqttward.yaml"))
			if !strings.Contains(report.stdout, "broker version: mosquitto version 2.0.11") {
				t.Errorf("doctor:\n%s%s", report.stdout, report.stderr)
			}
		})
	}
}

// haproxy expects PROXY headers in front of a broker, and writes a line for each
// connection.
type haproxy struct {
	*process
	address string
}

func startHAProxy(t *testing.T, b *broker) *haproxy {
	t.Helper()
	return launchHAProxy(t, func(address string) string {
		return `
frontend front
    bind ` + address + ` accept-proxy
    log global
    log-format "client %ci:%cp for %[fc_pp_authority]"
    option logasap
    default_backend broker
backend broker
    server broker ` + b.address() + `
`
	})
}

// launchHAProxy starts one whose configuration has, beside what all have, that for the
// address at which it is to listen.
func launchHAProxy(t *testing.T, config func(address string) string) *haproxy {
	t.Helper()
	for range 10 {
		h := &haproxy{address: "127.0.0.1:" + freePort(t)}
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		write(t, file, `global
    log stdout format raw daemon
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
`+config(h.address))
		h.process = launch(t, newTranscript(), "haproxy", "-db", "-f", file)
		started := false
		eventually(t, "start or end of haproxy", func() bool {
			conn, err := net.Dial("tcp", h.address)
			if started = err == nil; started {
				conn.Close()
			}
			select {
			case <-h.done:
				return true
			default:
				return started
			}
		})
		if started {
			return h
		}
	}
	t.Fatal("no port for haproxy")
	return nil
}
