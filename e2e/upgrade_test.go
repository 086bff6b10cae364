package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// upgradable is a service whose process is replaced.
type upgradable struct {
	*service
	pid      int // of the process that serves
	upgrades int
}

func startUpgradable(t *testing.T, s settings) *upgradable {
	t.Helper()
	u := &upgradable{service: startService(t, s)}
	u.pid = u.cmd.Process.Pid
	// The first process counts as running as long as one has its stderr.
	t.Cleanup(func() { _ = syscall.Kill(u.pid, syscall.SIGKILL) })
	return u
}

var takenOver = regexp.MustCompile(`"msg":"another process has taken over","pid":(\d+)`)

// upgrade replaces the process, and waits until the next one is ready and the one
// before has ended.
func (u *upgradable) upgrade(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(u.pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	u.upgrades++
	u.out.await(t, `"msg":"ready"`, u.upgrades+1)
	log := u.out.await(t, `"msg":"another process has taken over"`, u.upgrades)
	pid, err := strconv.Atoi(takenOver.FindAllStringSubmatch(log, -1)[u.upgrades-1][1])
	if err != nil || pid == u.pid {
		t.Fatalf("process %d is replaced by %d, %v", u.pid, pid, err)
	}
	u.pid = pid
	u.out.await(t, `"msg":"stopped"`, u.upgrades)
}

// end ends the process that serves.
func (u *upgradable) end(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(u.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	u.out.await(t, `"msg":"stopped"`, u.upgrades+1)
}

// caller connects to an address again and again.
type caller struct {
	address string
	config  *tls.Config
	id      string
}

// connect dials and logs in; every step must succeed.
func (c caller) connect() (net.Conn, *bufio.Reader, error) {
	dialer := &net.Dialer{Timeout: patience}
	conn, err := tls.DialWithDialer(dialer, "tcp", c.address, c.config)
	if err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	_, err = conn.Write(rawConnect(packets.V5, c.id, ""))
	var ack []byte
	if err == nil {
		ack, err = readFrame(in)
	}
	if err != nil || len(ack) < 4 || ack[0] != 0x20 || ack[3] != 0 {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("CONNECT: answered by %x, %v", ack, err)
	}
	return conn, in, nil
}

// visit connects and leaves.
func (c caller) visit() error {
	conn, _, err := c.connect()
	if err != nil {
		return err
	}
	_, err = conn.Write(packets.AppendDisconnect(nil, packets.V5, packets.Success))
	_ = conn.Close()
	return err
}

// ping publishes at QoS 1 at each beat until its session is ended, and then from a new
// one. It returns when the beat stops.
func (c caller) ping(beat <-chan struct{}, done func()) error {
	for {
		conn, in, err := c.connect()
		if err != nil {
			return err
		}
		for err == nil {
			if _, open := <-beat; !open {
				return conn.Close()
			}
			if _, err = conn.Write(mqtttest.Publish(packets.V5, 1, 1, "ping/"+c.id, payload("x"))); err == nil {
				var ack []byte
				if ack, err = readFrame(in); err == nil && ack[0] != 0x40 {
					err = errors.New("a goodbye")
				}
			}
			if err == nil {
				_ = conn.SetDeadline(time.Now().Add(patience))
				done()
			}
		}
		_ = conn.Close()
	}
}

// Nobody notices an upgrade but for the end of the session.
func TestUpgradeUnderTraffic(t *testing.T) {
	t.Parallel()
	const upgrades, clients, callers, between = 3, 50, 8, 40
	b := startBroker(t)
	u := startUpgradable(t, crowd(b, tlsListener(""), "max_connections_per_network: 0, connect_rate: {rate: 0}, connect_rate_per_network: {rate: 0}, connect_timeout: 60s"))
	var pings, visits atomic.Int64
	var traffic sync.WaitGroup
	failed := make(chan error, clients+callers)
	stop, beat := make(chan struct{}), make(chan struct{})
	for i := range clients {
		c := caller{u.address(), u.tlsConfig(), "pinger-" + strconv.Itoa(i)}
		traffic.Go(func() {
			if err := c.ping(beat, func() { pings.Add(1) }); err != nil {
				failed <- err
			}
		})
	}
	for i := range callers {
		c := caller{u.address(), u.tlsConfig(), "caller-" + strconv.Itoa(i)}
		traffic.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.visit(); err != nil {
					failed <- err
					return
				}
				visits.Add(1)
			}
		})
	}
	traffic.Go(func() {
		defer close(beat)
		pace := time.NewTicker(2 * time.Millisecond) // all clients together: the callers need the processors
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
			}
			select {
			case beat <- struct{}{}:
			case <-stop:
				return
			}
		}
	})
	goesOn := func(what string) {
		t.Helper()
		v, p := visits.Load(), pings.Load()
		eventually(t, what, func() bool {
			return len(failed) > 0 || visits.Load() >= v+between && pings.Load() >= p+between
		})
	}
	goesOn("traffic before")
	for range upgrades {
		u.upgrade(t)
		if code, body := get(t, u.client(), "http://admin/readyz"); code != http.StatusOK {
			t.Errorf("/readyz: %d %s", code, body)
		}
		goesOn("traffic after an upgrade")
	}
	close(stop)
	traffic.Wait()
	close(failed)
	refused := 0
	for err := range failed {
		refused++
		t.Error(err)
	}
	t.Logf("%d upgrades, %d connections and %d pings, %d refused", upgrades, visits.Load(), pings.Load(), refused)
	if n := visits.Load(); refused > 0 || n < (upgrades+1)*between {
		t.Errorf("%d of %d connections were refused", refused, n)
	}
	if m := u.metrics(t); m["mqttward_connections"] != 0 && len(m) == 0 {
		t.Error("no metrics")
	}
	if r := u.run(t, "clients"); r.code != 0 {
		t.Errorf("clients: exit %d: %s", r.code, r.stderr)
	}
}

// client has no connection of before.
func (u *upgradable) client() *http.Client {
	u.admin.CloseIdleConnections()
	return u.admin
}

// A process that does not get ready changes nothing.
func TestFailedUpgrade(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := settings{broker: b.address()}
	u := startUpgradable(t, s)
	client := subscribe(t, u.as("alice"), "-V", "5", "-q", "1", "-t", "a")
	good := u.read(t, "mqttward.yaml")
	for i, broken := range []string{
		"nothing: good\n",
		strings.Replace(good, "listeners: [", `listeners: [{name: taken, address: "`+b.address()+`"}, `, 1),
		strings.Replace(good, `address: "unix:`, `address: "unix:/nowhere`, 1),
	} {
		write(t, u.file("mqttward.yaml"), broken)
		if err := syscall.Kill(u.pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		u.out.await(t, `"msg":"upgrade failed: this process goes on"`, i+1)
		publish(t, u.as("bob"), "-V", "5", "-q", "1", "-t", "a", "-m", payload(strconv.Itoa(i)))
		client.await(t, line("a", 1, false, payload(strconv.Itoa(i))))
		if code, body := get(t, u.client(), "http://admin/readyz"); code != http.StatusOK {
			t.Errorf("/readyz: %d %s", code, body)
		}
	}
	if n := strings.Count(u.out.String(), `"msg":"ready"`); n != 1 {
		t.Errorf("%d processes were ready", n)
	}
	write(t, u.file("mqttward.yaml"), good)
	u.upgrade(t)
	client.await(t, "Received DISCONNECT (139)")
	publish(t, u.as("bob"), "-V", "5", "-q", "1", "-t", "a", "-m", payload("x"))
	u.end(t)
}

// The binary that is at the path then is the one that takes over, and what another
// configuration opens and closes is opened and closed.
func TestUpgradeOfBinaryAndListeners(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	dir := t.TempDir()
	socket := func(name string) string { return filepath.Join(dir, name+".sock") }
	listeners := func(names ...string) string {
		list := []string{strings.Trim(tlsListener(""), "[]")}
		for _, name := range names {
			list = append(list, fmt.Sprintf(`{name: %s, address: "unix:%s", mode: "0606"}`, name, socket(name)))
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	before, reloaded, after := listeners("stays", "goes"), listeners("stays", "goes", "comes"), listeners("stays", "comes")
	u := startUpgradable(t, settings{broker: b.address(), listeners: before})
	// A reload opens one, too, that is handed on.
	write(t, u.file("mqttward.yaml"), strings.Replace(u.read(t, "mqttward.yaml"), before, reloaded, 1))
	u.out.await(t, `"msg":"configuration reloaded"`, 1)
	at := func(name string) []string {
		return []string{"--unix", socket(name), "-u", "bob", "-P", password("bob")}
	}
	for round, names := range [][]string{{"stays", "goes", "comes"}, {"stays", "comes"}} {
		for _, name := range names {
			publish(t, at(name), "-q", "1", "-t", "a", "-m", payload("x"))
			if info, err := os.Stat(socket(name)); err != nil || info.Mode().Perm() != 0o606 {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
		write(t, u.file("mqttward.yaml"), strings.Replace(u.read(t, "mqttward.yaml"), reloaded, after, 1))
		u.upgrade(t)
		if _, err := os.Stat(socket("goes")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("round %d: the socket of the listener that is gone: %v", round, err)
		}
	}
	u.end(t)
	for _, name := range []string{"stays", "comes"} {
		if _, err := os.Stat(socket(name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the end: %s: %v", name, err)
		}
	}
}

// A ban of the last moment is kept, by the process after and by its file.
func TestUpgradeKeepsBans(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	u := startUpgradable(t, settings{broker: b.address(), more: "broker_profile: legacy\nbans: {file: bans.json}"})
	const rounds = 3
	for i := range rounds {
		if r := u.run(t, "ban", "--user", "thief-"+strconv.Itoa(i)); r.code != 0 {
			t.Fatal(r.stderr)
		}
		u.upgrade(t)
		u.admin.CloseIdleConnections()
		if list := u.service.bans(t); len(list) != i+1 {
			t.Fatalf("after upgrade %d: %v", i+1, list)
		}
	}
	u.end(t)
	if text := u.read(t, "bans.json"); strings.Count(text, "thief-") != rounds {
		t.Errorf("the file: %s", text)
	}
}
