package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/mqttward/mqttward"

// binary builds mqttward when the first test asks for it. It has no race
// detector, which would slow each start down: that is for the proxy in this
// process.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mqttward-e2e-")
	if err != nil {
		return "", err
	}
	binaryFolder = dir
	path := filepath.Join(dir, "mqttward")
	const flags = "-X main.version=v1.2.3-e2e -X main.commit=c0ffee -X main.date=2026-01-02T03:04:05Z"
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "-ldflags", flags, module+"/cmd/mqttward")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

var binaryFolder string

func removeBinary() { _ = os.RemoveAll(binaryFolder) }

// mqttward runs the binary to its end.
func mqttward(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	r := execute(t, stdin, path, args...)
	_, _ = io.WriteString(otherLogs, r.stdout+r.stderr)
	return r
}

// launchMqttward starts the binary.
func launchMqttward(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return launchFrom(t, path, args...)
}

// launchFrom starts the binary, or a copy of it.
func launchFrom(t *testing.T, path string, args ...string) *process {
	t.Helper()
	p := launch(t, newTranscript(), path, args...)
	t.Cleanup(func() { _, _ = io.WriteString(otherLogs, p.out.String()) })
	return p
}

// copyBinary puts a copy of the binary in the place of whatever is at path.
func copyBinary(t *testing.T, path string) {
	t.Helper()
	from, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	// Not by this process: a program that another test starts would inherit the open
	// file, and what somebody writes to cannot be started.
	if r := execute(t, "", "cp", from, path+".new"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if err := os.Rename(path+".new", path); err != nil { // one that runs cannot be written
		t.Fatal(err)
	}
}

// What is wrong with the command line or the configuration is exit code 2.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args   string
		code   int
		stdout string // contained
		stderr string
	}{
		{"", 0, "mqttward stands in front of an unmodified MQTT broker", ""},
		{"--help", 0, "Usage:", ""},
		{"completion bash", 0, "bash completion", ""},
		{"version", 0, "mqttward v1.2.3-e2e\n", ""},
		{"rnu", 2, "", `unknown command "rnu"`},
		{"run", 2, "", "which configuration? give it with -c FILE"},
		{"check -c", 2, "", "flag needs an argument"},
		{"check -c nowhere.yaml", 2, "", "nowhere.yaml: no such file"},
		{"run -c nowhere.yaml", 2, "", "nowhere.yaml: no such file"},
		{"check --no-such-flag", 2, "", "unknown flag: --no-such-flag"},
		{"passwd -f users", 2, "", "usage: "},
	} {
		t.Run(test.args, func(t *testing.T) {
			r := mqttward(t, "", strings.Fields(test.args)...)
			if r.code != test.code || !strings.Contains(r.stdout, test.stdout) || !strings.Contains(r.stderr, test.stderr) || (r.stderr == "") != (r.code == 0) {
				t.Errorf("exit %d, want %d; want %q and %q:\n%s%s", r.code, test.code, test.stdout, test.stderr, r.stdout, r.stderr)
			}
		})
	}
}

func TestVersionJSON(t *testing.T) {
	t.Parallel()
	var got map[string]string
	r := mqttward(t, "", "version", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v: %s", err, r.stdout)
	}
	for key, want := range map[string]string{
		"version": "v1.2.3-e2e", "commit": "c0ffee", "built": "2026-01-02T03:04:05Z", "go": runtime.Version(),
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

const tenMistakes = `
listeners:
  - name: mqtts
    address: "127.0.0.1:port"
    tls:
      certificates: [{cert: nowhere.crt, key: nowhere.key}]
      min_version: "1.1"
backends:
  - {name: broker, servers: [{address: ":1883"}]}
authn:
  - {name: users, type: kerberos}
authz:
  rules:
    - {allow: [publish], topic: ["a"], topics: ["b"]}
    - {allow: [publish], deny: [publish], topics: ["b"]}
limits:
  handshake_timeout: 10
  max_packet_size: 1TiB
`

// All mistakes come at once, each with its line.
func TestTenMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "mqttward.yaml")
	write(t, config, tenMistakes)
	want := []string{
		`:4: listeners[0].address: wants a port from 0 to 65535, not "port"`,
		`:6: listeners[0].tls.certificates[0].cert: no such file: nowhere.crt`,
		`:6: listeners[0].tls.certificates[0].key: no such file: nowhere.key`,
		`:7: listeners[0].tls.min_version: wants `,
		`:9: backends[0].servers[0].address: wants `,
		`:11: authn[0].type: wants `,
		`:14: authz.rules[0].topic: unknown key; did you mean "topics"?`,
		`:15: authz.rules[1]: has both allow and deny`,
		`:17: limits.handshake_timeout: wants `,
		`:18: limits.max_packet_size: wants `,
	}
	for _, verb := range []string{"check", "run"} {
		r := mqttward(t, "", verb, "-c", config)
		lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
		if r.code != 2 || r.stdout != "" || len(lines) != len(want) {
			t.Fatalf("%s: exit %d and %d lines, want 2 and %d:\n%s%s", verb, r.code, len(lines), len(want), r.stdout, r.stderr)
		}
		for i, l := range lines {
			if !strings.HasPrefix(l, config+want[i]) {
				t.Errorf("%s: line %d is %s, want %s%s", verb, i+1, l, config, want[i])
			}
		}
	}
}

// check says what is weak, changes nothing and opens nothing; flags beat the
// environment.
func TestCheck(t *testing.T) {
	config := filepath.Join(exampleFolder(t), "mqttward.yaml")
	r := mqttward(t, "", "check", "-c", config)
	if r.code != 0 || r.stdout != config+": well\n" {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	t.Setenv("MQTTWARD_LOG_LEVEL", "loud")
	if r = mqttward(t, "", "check", "-c", config); r.code != 2 || !regexp.MustCompile(`^MQTTWARD_LOG_LEVEL: .*"loud"\n$`).MatchString(r.stderr) {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r = mqttward(t, "", "check", "-c", config, "--log.level", "debug"); r.code != 0 {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	t.Setenv("MQTTWARD_LOG_LEVEL", "")
	t.Setenv("MQTTWARD_LIMITS_MAX_CONNECTIONS", "0")
	if r = mqttward(t, "", "check", "-c", config); r.code != 0 || !strings.Contains(r.stdout, "limits.max_connections: 0 means no limit") {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
}
