package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What passwd writes lets in, and what it deletes keeps out.
func TestPasswd(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	file := p.file("users.passwd")
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, password("dave")+"\r\n")
	enter := func(user string, admitted bool) {
		t.Helper()
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
		if r := tryPublish(t, p.as(user), "-q", "1", "-t", "a", "-m", payload("x")); (r.code == 0) != admitted {
			t.Errorf("%s: exit %d, admitted should be %v:\n%s%s", user, r.code, admitted, r.stdout, r.stderr)
		}
	}
	for _, step := range []struct {
		args, stdin string
		code        int
		stderr      string // contained
		admitted    bool   // dave, if the command succeeds
	}{
		{"--password-file - dave", password("dave") + "\n", 0, "", true},
		{"--hash pbkdf2 --password-file - dave", password("another"), 0, "", false}, // changed
		{"--delete dave", "", 0, "", false},
		{"--delete dave", "", 1, "no such user", false},
		{"--hash pbkdf2 --password-file " + secret + " dave", "", 0, "", true},
		{"--hash md5 --password-file - eve", password("eve"), 2, `no such hash: "md5"`, false},
		{"--password-file " + secret + ".none eve", "", 1, "no such file", false},
		{"eve", password("eve"), 2, "no terminal", false},
		{"--password-file - e:ve", password("eve"), 1, "colon", false},
	} {
		t.Run(step.args, func(t *testing.T) {
			args := append([]string{"passwd", "-f", file}, strings.Fields(step.args)...)
			r := mqttward(t, step.stdin, args...)
			if r.code != step.code || r.stdout != "" || !strings.Contains(r.stderr, step.stderr) || (r.stderr == "") != (r.code == 0) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", r.code, step.code, step.stderr, r.stdout, r.stderr)
			}
			if step.code == 0 {
				enter("dave", step.admitted)
			}
		})
	}
	enter("alice", true) // who was there before
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v, want mode 0600", info.Mode(), err)
	}
}
