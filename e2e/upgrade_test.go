package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// upgradable is a service whose process is replaced.
type upgradable struct {
	*service
	path     string // of its binary
	pid      int    // of the process that serves
	upgrades int
}

func startUpgradable(t *testing.T, s settings) *upgradable {
	t.Helper()
	u := &upgradable{path: filepath.Join(t.TempDir(), "mqttward")}
	copyBinary(t, u.path)
	u.service = startServiceFrom(t, u.path, s)
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
	u.replace(t)
	u.out.await(t, `"msg":"stopped"`, u.upgrades)
}

// replace does not wait until the one before has ended.
func (u *upgradable) replace(t *testing.T) {
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
}

// end ends the process that serves.
func (u *upgradable) end(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(u.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	u.out.await(t, `"msg":"stopped"`, u.upgrades+1)
}

// expectBinary says that what is at the path is what runs.
func (u *upgradable) expectBinary(t *testing.T) {
	t.Helper()
	want, err := os.Stat(u.path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.Stat(fmt.Sprintf("/proc/%d/exe", u.pid))
	if err != nil || !os.SameFile(got, want) {
		t.Errorf("another file runs than that at the path: %v", err)
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
		copyBinary(t, u.path)
		u.upgrade(t)
		u.expectBinary(t)
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

// While the old process drains, the new one alone answers at the admin address.
func TestUpgradeWhileDraining(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	u := startUpgradable(t, settings{broker: b.address(), more: "broker_profile: legacy\ndrain: {rate: 0.1, timeout: 3s}"})
	for _, id := range []string{"first", "last"} { // the last has to wait
		subscribe(t, u.as("alice"), "-i", id, "-t", "a")
	}
	u.replace(t)
	for range 40 {
		if code, body := get(t, u.client(), "http://admin/readyz"); code != http.StatusOK {
			t.Fatalf("/readyz: %d %s", code, body)
		}
	}
	publish(t, u.as("bob"), "-q", "1", "-t", "a", "-m", payload("x"))
	if r := u.run(t, "status"); r.code != 0 {
		t.Errorf("status: exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	u.out.await(t, `"msg":"stopped"`, 1)
	u.end(t)
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
