package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// broker is a mosquitto that lets everybody do everything.
type broker struct {
	*process
	config string
	host   string
	port   string
}

// startBroker starts a broker on a port of its own, with more lines in its
// configuration.
func startBroker(t *testing.T, more ...string) *broker {
	t.Helper()
	// Between the kernel's choice and mosquitto somebody else may take the port.
	for range 10 {
		if b, ok := startBrokerAt(t, "127.0.0.1", freePort(t), more...); ok {
			return b
		}
	}
	t.Fatal("no port for mosquitto")
	return nil
}

// startBrokerAt is startBroker with an address. It reports false if that is taken.
func startBrokerAt(t *testing.T, host, port string, more ...string) (b *broker, ok bool) {
	t.Helper()
	b = &broker{host: host, port: port}
	b.config = brokerConfig(t, strings.Join(append([]string{"listener " + port + " " + host}, more...), "\n"))
	ok = b.start(t)
	return b, ok
}

func brokerConfig(t *testing.T, listener string) string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "mosquitto.conf")
	if !strings.Contains(listener, "log_type ") {
		listener += "\nlog_type all"
	}
	// user: mosquitto as root would become somebody who cannot read our files.
	write(t, config, listener+`
allow_anonymous true
persistence false
max_queued_messages 0
sys_interval 1
log_dest stderr
log_timestamp false
user root
`)
	return config
}

// start starts the broker, again if it was stopped. It reports false if its
// port is taken.
func (b *broker) start(t *testing.T) bool {
	t.Helper()
	b.process = launch(t, newTranscript(), "mosquitto", "-c", b.config)
	text, ok := b.out.wait(b.done, func(text string) bool { return strings.Contains(text, " running\n") })
	if !ok && !strings.Contains(text, "Address already in use") {
		t.Fatalf("mosquitto does not run:\n%s", text)
	}
	return ok
}

// stop ends the broker by a signal.
func (b *broker) stop(t *testing.T, s syscall.Signal) {
	t.Helper()
	b.signal(t, s)
	b.exit(t)
}

// restart starts the broker on its port, which is its own but for the moment
// between two starts.
func (b *broker) restart(t *testing.T) {
	t.Helper()
	eventually(t, "start of mosquitto on its old port", func() bool { return b.start(t) })
}

// direct is how the Mosquitto clients reach the broker around the proxy.
func (b *broker) direct() []string { return []string{"-h", b.host, "-p", b.port} }

func (b *broker) address() string { return net.JoinHostPort(b.host, b.port) }

// monitor subscribes at the broker itself to everything.
func (b *broker) monitor(t *testing.T) *process {
	t.Helper()
	return subscribe(t, b.direct(), "-V", "5", "-q", "2", "-t", "#")
}

// sessions counts the CONNECTs of a client that the broker has accepted.
func (b *broker) sessions(clientID string) int {
	return strings.Count(b.out.String(), " as "+clientID+" (")
}

// awaitSessions waits until the broker has accepted n CONNECTs of a client, as its log
// says, which comes a moment after what it answers.
func (b *broker) awaitSessions(t *testing.T, clientID string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("CONNECT %d of %s at %s", n, clientID, b.address()), func() bool { return b.sessions(clientID) == n })
}

// connections counts the connections that the broker has seen.
func (b *broker) connections() int {
	return strings.Count(b.out.String(), "New connection from ")
}

// The ports of servers that are told theirs: below those from which the kernel takes
// one for each connection (ip_local_port_range), or a connection of some other test
// could have it before the server does, or while that restarts.
const firstPort, ports = 10_000, 20_000

var nextPort = func() *atomic.Uint32 {
	n := &atomic.Uint32{}
	n.Store(rand.Uint32N(ports)) // other test programs may run
	return n
}()

// freePort returns a port that nobody has, and no other test gets.
func freePort(t *testing.T) string {
	t.Helper()
	for range ports {
		port := strconv.Itoa(firstPort + int(nextPort.Add(1)%ports))
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// subscribe starts mosquitto_sub and waits until it is subscribed. It writes a
// line per message as line does.
func subscribe(t *testing.T, to []string, args ...string) *process {
	t.Helper()
	p := launchSub(t, to, append([]string{"-d", "-F", "message %t %q %r %p"}, args...)...)
	p.await(t, "Subscribed (mid: ")
	return p
}

// launchSub starts mosquitto_sub. By itself it would keep what it writes until
// there is more.
func launchSub(t *testing.T, to []string, args ...string) *process {
	t.Helper()
	args = append([]string{"-oL", "mosquitto_sub"}, args...)
	return launch(t, newTranscript(), "stdbuf", append(args, to...)...)
}

// line is what a subscriber writes for a message.
func line(topic string, qos int, retain bool, body string) string {
	flag := 0
	if retain {
		flag = 1
	}
	return fmt.Sprintf("message %s %d %d %s\n", topic, qos, flag, body)
}

// messages returns the topics of the messages that a subscriber has, in order.
func messages(text string) []string {
	var topics []string
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(l, "message "); ok {
			topic, _, _ := strings.Cut(rest, " ")
			topics = append(topics, topic)
		}
	}
	return topics
}

// publish runs mosquitto_pub, which must succeed.
func publish(t *testing.T, to []string, args ...string) {
	t.Helper()
	if r := tryPublish(t, to, args...); r.code != 0 {
		t.Fatalf("mosquitto_pub %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
}

func tryPublish(t *testing.T, to []string, args ...string) result {
	t.Helper()
	return execute(t, "", "mosquitto_pub", append(args, to...)...)
}
