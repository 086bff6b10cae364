package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scramFile is a password file that our command has written: alice has keys for
// SCRAM-SHA-256, bob for SCRAM-SHA-512.
func scramFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users.passwd")
	for _, u := range []struct{ user, hash string }{{"alice", "scram-sha-256"}, {"bob", "scram-sha-512"}} {
		if r := mqttward(t, password(u.user), "passwd", "-f", file, "--hash", u.hash, "--password-file", "-", u.user); r.code != 0 {
			t.Fatalf("passwd: exit %d\n%s", r.code, r.stderr)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Keys for SCRAM let in who sends the password, too.
func TestPasswordAgainstSCRAMKeys(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	dir := proxyFolder(t, settings{broker: b.address(), authn: recipe(t, "scram")})
	text := scramFile(t)
	if !strings.HasPrefix(text, "alice:SCRAM-SHA-256$10000:") || !strings.Contains(text, "\nbob:SCRAM-SHA-512$10000:") {
		t.Errorf("the file is\n%s", text)
	}
	write(t, filepath.Join(dir, "users.passwd"), text)
	p := startProxyIn(t, dir)
	for _, user := range []string{"alice", "bob"} {
		publish(t, p.as(user), "-t", "a", "-q", "1", "-m", payload("x"))
		wrong := append(p.anyone(), "-u", user, "-P", password("carol"))
		if r := tryPublish(t, wrong, "-t", "a", "-q", "1", "-m", payload("x")); r.code == 0 {
			t.Errorf("%s: a wrong password was accepted", user)
		}
	}
}
