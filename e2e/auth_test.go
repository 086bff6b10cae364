package e2e

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// hashed lets mosquitto_passwd hash the passwords of a file of name:password.
func hashed(path, text string, args ...string) string {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err)
	}
	cmd := exec.Command("mosquitto_passwd", append(args, "-U", path)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(string(out))
	}
	hashed, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return string(hashed)
}

// Who has no valid credentials gets the refusal of its version, and the broker
// never hears of it.
func TestCredentials(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	const accepted, rejected = 0, 1
	for _, test := range []struct {
		name             string
		credentials      []string
		code31, code5    string // as mosquitto_pub says it
		exit             int
		reason, username string
	}{
		{"right password", []string{"-u", "alice", "-P", password("alice")}, "", "", accepted, "", ""},
		{"wrong password", []string{"-u", "alice", "-P", password("bob")}, "CONNACK (4)", "CONNACK (134)", rejected, "bad_credentials", "alice"},
		{"unknown user", []string{"-u", "mallory", "-P", password("alice")}, "CONNACK (4)", "CONNACK (134)", rejected, "bad_credentials", "mallory"},
		{"no password", []string{"-u", "alice"}, "CONNACK (4)", "CONNACK (134)", rejected, "bad_credentials", "alice"},
		{"no credentials", nil, "CONNACK (5)", "CONNACK (135)", rejected, "bad_credentials", ""},
	} {
		for _, version := range []string{"31", "311", "5"} {
			t.Run(test.name+" in "+version, func(t *testing.T) {
				before, connections := p.metrics(t), b.connections()
				args := append([]string{"-d", "-V", version, "-t", "a", "-q", "1", "-m", payload("x")}, test.credentials...)
				r := tryPublish(t, p.anyone(), args...)
				want := test.code31
				if version == "5" {
					want = test.code5
				}
				if (r.code == 0) != (test.exit == accepted) || !strings.Contains(r.stdout, want) {
					t.Fatalf("exit %d, want %d and %q:\n%s%s", r.code, test.exit, want, r.stdout, r.stderr)
				}
				if test.exit == accepted {
					return
				}
				p.awaitMetric(t, refusals(test.reason), before[refusals(test.reason)]+1)
				p.awaitEvent(t, event{"msg": "connection refused", "end": test.reason, "username": test.username})
				if b.connections() != connections {
					t.Error("the broker was dialled")
				}
			})
		}
	}
}

// Files of every kind that mosquitto_passwd, mqttward passwd and htpasswd write.
func TestPasswordFiles(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	dir := t.TempDir()
	plain := "dave:" + password("dave") + "\n"
	ours := func(scheme string) string {
		path := filepath.Join(dir, scheme)
		if r := mqttward(t, password("dave"), "passwd", "-f", path, "--hash", scheme, "--password-file", "-", "dave"); r.code != 0 {
			t.Fatalf("passwd: exit %d\n%s", r.code, r.stderr)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	p := startProxy(t, settings{broker: b.address()})
	for _, test := range []struct{ name, file, prefix string }{
		{"mosquitto_passwd sha512", hashed(filepath.Join(dir, "a"), plain, "-H", "sha512"), "dave:$6$"},
		{"mosquitto_passwd sha512-pbkdf2", hashed(filepath.Join(dir, "b"), plain, "-H", "sha512-pbkdf2"), "dave:$7$101$"},
		{"argon2id", ours("argon2id"), "dave:$argon2id$"},
		{"pbkdf2", ours("pbkdf2"), "dave:$7$"},
		{"scram-sha-256", ours("scram-sha-256"), "dave:SCRAM-SHA-256$10000:"},
		{"scram-sha-512", ours("scram-sha-512"), "dave:SCRAM-SHA-512$10000:"},
		{"htpasswd -B", "dave:" + bcryptOf("dave"), "dave:$2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.HasPrefix(test.file, test.prefix) {
				t.Fatalf("the file begins with %.10q, want %q", test.file, test.prefix)
			}
			write(t, p.file("users.passwd"), test.file)
			if err := p.Reload(); err != nil {
				t.Fatal(err)
			}
			publish(t, p.as("dave"), "-t", "a", "-q", "1", "-m", payload("x"))
			wrong := append(p.anyone(), "-u", "dave", "-P", password("alice"))
			if r := tryPublish(t, wrong, "-t", "a", "-q", "1", "-m", payload("x")); r.code == 0 {
				t.Error("a wrong password was accepted")
			}
		})
	}
}

// bcryptOf is the password of a user as htpasswd hashes it, at its cost: more
// takes seconds under the race detector.
func bcryptOf(user string) string {
	b, err := bcrypt.GenerateFromPassword([]byte(password(user)), 5)
	if err != nil {
		panic(err)
	}
	return string(b) + "\n"
}

// A client that does not trust the server's CA refuses it.
func TestWrongCA(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	write(t, p.file("ca.crt"), string(newCA("another CA").PEM()))
	for i, version := range []string{"tlsv1.2", "tlsv1.3"} {
		r := tryPublish(t, p.as("alice"), "--tls-version", version, "-t", "a", "-m", payload("x"))
		if r.code == 0 || !strings.Contains(r.stderr, "TLS error") && !strings.Contains(r.stderr, "certificate verify failed") {
			t.Errorf("%s: exit %d:\n%s%s", version, r.code, r.stdout, r.stderr)
		}
		p.awaitMetric(t, `mqttward_handshakes_total{outcome="failed"}`, float64(i+1))
		p.awaitMetric(t, refusals("tls_handshake"), float64(i+1))
	}
	if b.connections() != 0 {
		t.Error("the broker was dialled")
	}
}

// min_version holds, and both versions work.
func TestTLSVersions(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	for _, test := range []struct {
		name, minimum string
		version       uint16
		accepted      bool
	}{
		{"1.1 is too old", "1.2", tls.VersionTLS11, false},
		{"1.2", "1.2", tls.VersionTLS12, true},
		{"1.2 is too old", "1.3", tls.VersionTLS12, false},
		{"1.3", "1.3", tls.VersionTLS13, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startProxy(t, settings{broker: b.address(), listeners: tlsListener(`, min_version: "` + test.minimum + `"`)})
			c := p.tlsConfig()
			c.MinVersion, c.MaxVersion = test.version, test.version
			conn, err := tls.Dial("tcp", p.address(), c)
			if err == nil {
				_ = conn.Close()
			}
			if (err == nil) != test.accepted {
				t.Errorf("handshake: %v", err)
			}
		})
	}
}
