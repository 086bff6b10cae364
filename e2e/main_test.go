// Package e2e tests the proxy as its users have it: between real clients
// (mosquitto_pub, mosquitto_sub and both Paho libraries) and a real broker,
// Debian's mosquitto, over real sockets.
//
// Most tests run the proxy in their own process, so that the race detector
// sees it; those of the command run the binary. What parts do by themselves is
// for the tests of their packages. Nothing passes without mosquitto: install.sh
// gets it.
package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// patience is how long a test waits for what must come. It is far beyond what
// anything takes, even on a busy machine.
const patience = 30 * time.Second

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := findTools(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\nThe end-to-end tests need more than is here: run e2e/install.sh, or make test, which does.\n", err)
		return 1
	}
	defer removeBinary()
	release, err := captureStderr()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	release()
	for _, finding := range findings(operatorLog.String() + otherLogs.String()) {
		fmt.Println("FAIL: in the logs of this run:", finding)
		code = 1
	}
	return code
}

// findTools looks for mosquitto, which Debian puts where only root looks.
func findTools() error {
	err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/usr/local/sbin")
	for _, tool := range []string{"mosquitto", "mosquitto_pub", "mosquitto_sub", "mosquitto_passwd", "stdbuf", "mariadbd", "redis-server", "slapd", "openssl", "haproxy", "node", "chromium"} {
		_, lookErr := exec.LookPath(tool)
		err = errors.Join(err, lookErr)
	}
	return err
}

// eventually waits until ok, for what nothing tells of.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// receive takes the next value from c.
func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
		panic("not reached")
	}
}
