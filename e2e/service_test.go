package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// service is the binary with a configuration.
type service struct {
	*process
	*proxy // its folder; the rest of it is not running here
	port   string
	admin  *http.Client
}

var listening = regexp.MustCompile(`"msg":"listening".*"address":"127\.0\.0\.1:(\d+)"`)

// startService starts the binary and waits until it listens.
func startService(t *testing.T, s settings) *service {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return startServiceFrom(t, path, s)
}

// startServiceFrom starts a copy of the binary.
func startServiceFrom(t *testing.T, path string, s settings) *service {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	s.admin = "unix:" + socket
	p := &proxy{dir: proxyFolder(t, s)}
	run := launchFrom(t, path, "run", "-c", p.file("mqttward.yaml"))
	t.Cleanup(func() { _, _ = io.WriteString(otherLogs, p.read(t, "audit.log")) })
	port := listening.FindStringSubmatch(run.await(t, `"msg":"ready"`))
	if port == nil {
		t.Fatal("the log names no address")
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &service{process: run, proxy: p, port: port[1], admin: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

func (s *service) address() string { return "127.0.0.1:" + s.port }

// as is how the Mosquitto clients reach the service.
func (s *service) as(user string) []string {
	return []string{"-h", "127.0.0.1", "-p", s.port, "--cafile", s.file("ca.crt"), "-u", user, "-P", password(user)}
}

func (s *service) metrics(t *testing.T) metrics {
	t.Helper()
	_, body := get(t, s.admin, "http://admin/metrics")
	return parseMetrics(t, body)
}

// run: a signal reloads, another one ends it.
func TestRun(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	rules := settings{broker: b.address(), rules: []string{`{allow: [publish, subscribe], topics: ["old/#"]}`}}
	s := startService(t, rules)
	if code, body := get(t, s.admin, "http://admin/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
	client := subscribe(t, s.as("alice"), "-V", "5", "-q", "1", "-t", "old/#")

	// An audit log that was rotated away is opened anew.
	if err := os.Rename(s.file("audit.log"), s.file("audit.log.1")); err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGHUP)
	s.out.await(t, `"msg":"configuration reloaded"`, 1)
	if _, err := os.Stat(s.file("audit.log")); err != nil {
		t.Error(err)
	}

	rules.rules = []string{`{allow: [publish, subscribe], topics: ["old/#", "new/#"]}`}
	s.configure(t, rules)
	s.signal(t, syscall.SIGHUP)
	s.out.await(t, `"msg":"configuration reloaded"`, 2)
	publish(t, s.as("bob"), "-V", "5", "-q", "1", "-t", "old/a", "-m", payload("x"))
	client.await(t, line("old/a", 1, false, payload("x")))
	if r := tryPublish(t, s.as("bob"), "-V", "5", "-q", "1", "-t", "new/a", "-m", payload("x")); r.stderr != "" {
		t.Errorf("the new rule does not hold: %s", r.stderr)
	}

	write(t, s.file("mqttward.yaml"), "nothing: good\n")
	s.signal(t, syscall.SIGHUP)
	s.out.await(t, `"msg":"reload failed`, 1)
	publish(t, s.as("bob"), "-V", "5", "-q", "1", "-t", "old/b", "-m", payload("y"))
	client.await(t, line("old/b", 1, false, payload("y")))

	s.signal(t, syscall.SIGTERM)
	client.await(t, "Received DISCONNECT (139)")
	if code := s.exit(t); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	s.out.await(t, `"msg":"stopped"`, 1)
	if conn, err := net.Dial("tcp", s.address()); err == nil {
		_ = conn.Close()
		t.Error("it still listens")
	}
}

// The binary watches its files by itself.
func TestRunWatches(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := startService(t, settings{broker: b.address()})
	r := mqttward(t, password("dave")+"\n", "passwd", "-f", s.file("users.passwd"), "--hash", "pbkdf2", "--password-file", "-", "dave")
	if r.code != 0 {
		t.Fatalf("passwd: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	s.out.await(t, `"msg":"configuration reloaded"`, 1)
	publish(t, s.as("dave"), "-q", "1", "-t", "a", "-m", payload("x"))
}

// An address that is taken is a failure, not a wrong configuration.
func TestRunTwice(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := settings{broker: "127.0.0.1:1", listeners: fmt.Sprintf("[{name: plain, address: %q}]", taken.Addr())}
	r := mqttward(t, "", "run", "-c", filepath.Join(proxyFolder(t, s), "mqttward.yaml"))
	if r.code != 1 || !strings.Contains(r.stderr, "listeners[0].address: ") || !strings.Contains(r.stderr, "address already in use") {
		t.Errorf("exit %d, want 1:\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// Memory stays flat, whatever hostile clients announce. It is measured in a
// process of its own.
func TestMemoryOfHostileClients(t *testing.T) {
	t.Parallel()
	const clients, bound = 200, 64 << 20
	b := startBroker(t)
	s := startService(t, settings{broker: b.address(), limits: "{connect_rate_per_ip: {rate: 0}, max_connections_per_ip: 0, connect_timeout: 1m}"})
	attack := func(what string, bytes []byte) {
		var all sync.WaitGroup
		work := make(chan struct{}, 8)
		for range clients {
			work <- struct{}{}
			all.Go(func() {
				defer func() { <-work }()
				conn, err := tls.Dial("tcp", s.address(), s.tlsConfig())
				if err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
				t.Cleanup(func() { _ = conn.Close() })
				_, _ = conn.Write(bytes)
			})
		}
		all.Wait()
	}
	attack("CONNECT of 256 MiB", append([]byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F}, halfConnect...))
	eventually(t, "they are closed", func() bool { return s.metrics(t)[refusals("connect_too_large")] == clients })
	attack("CONNECT of 8 KiB that never comes", append([]byte{0x10, 0x80, 0x3F}, halfConnect[2:]...))
	eventually(t, "they are there", func() bool { return s.metrics(t)["mqttward_connections"] == clients })
	if heap := s.metrics(t)["go_memstats_heap_alloc_bytes"]; heap == 0 || heap > bound {
		t.Errorf("%v bytes of heap with %d hostile clients, want at most %d", heap, clients, bound)
	}
	publish(t, s.as("alice"), "-q", "1", "-t", "a", "-m", payload("x"))
	b.out.await(t, "Received PUBLISH", 1) // its log may come later than its answer
	if n := b.connections(); n != 1 {
		t.Errorf("the broker has seen %d connections, want that of the one client", n)
	}
}

// A signal that comes during the start ends the service as any other does.
func TestEarlySignal(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := &proxy{dir: proxyFolder(t, settings{broker: b.address()})}
	run := launchMqttward(t, "run", "-c", p.file("mqttward.yaml"))
	run.out.await(t, `"msg":"listening"`, 1)
	run.signal(t, syscall.SIGTERM)
	run.out.await(t, `"msg":"stopped"`, 1)
}
