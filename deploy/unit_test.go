// Package deploy_test checks what is shipped to run the proxy with: the
// systemd unit by systemd itself where it is installed, and by what it says
// everywhere.
package deploy_test

import (
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/configs"
)

const (
	unitFile   = "mqttward.service"
	socketFile = "mqttward.socket"
)

// binary is where the unit expects the proxy.
const binary = "/usr/bin/mqttward"

// maxExposure is in tenths, as systemd-analyze wants it: 0 is locked in, 100
// is a service without any hardening. What is left is the network, which a
// proxy needs.
const maxExposure = "15"

// TestUnitHardening names the directives that must not get lost.
func TestUnitHardening(t *testing.T) {
	unit := parseUnit(t, unitFile)
	for _, tt := range []struct {
		directive string
		want      []string
	}{
		{"Type", []string{"notify"}},
		{"NotifyAccess", []string{"main"}},
		{"User", []string{"mqttward"}},
		{"NoNewPrivileges", []string{"yes"}},
		{"CapabilityBoundingSet", []string{""}},
		{"AmbientCapabilities", []string{""}},
		{"PrivateUsers", []string{"yes"}},
		{"UMask", []string{"0077"}},
		{"ProtectSystem", []string{"strict"}},
		{"ProtectHome", []string{"yes"}},
		{"ProtectProc", []string{"invisible"}},
		{"PrivateTmp", []string{"yes"}},
		{"PrivateDevices", []string{"yes"}},
		{"ProtectKernelTunables", []string{"yes"}},
		{"ProtectKernelModules", []string{"yes"}},
		{"ProtectKernelLogs", []string{"yes"}},
		{"ProtectControlGroups", []string{"yes"}},
		{"ProtectClock", []string{"yes"}},
		{"ProtectHostname", []string{"yes"}},
		{"RestrictAddressFamilies", []string{"AF_INET AF_INET6 AF_UNIX"}},
		{"RestrictNamespaces", []string{"yes"}},
		{"RestrictRealtime", []string{"yes"}},
		{"RestrictSUIDSGID", []string{"yes"}},
		{"LockPersonality", []string{"yes"}},
		{"MemoryDenyWriteExecute", []string{"yes"}},
		{"SystemCallArchitectures", []string{"native"}},
		{"SystemCallFilter", []string{"@system-service", "~@privileged @resources"}},
		{"LimitNOFILE", []string{"65536"}},
		{"Restart", []string{"on-failure"}},
		{"RestartPreventExitStatus", []string{"2"}},
		{"ReadWritePaths", nil},
	} {
		if got := unit["Service."+tt.directive]; !slices.Equal(got, tt.want) {
			t.Errorf("%s is %q, want %q", tt.directive, got, tt.want)
		}
	}
}

// TestUnitReload holds start and reload to one configuration file, and the
// check before the signal.
func TestUnitReload(t *testing.T) {
	unit := parseUnit(t, unitFile)
	const config = " -c /etc/mqttward/mqttward.yaml"
	if got, want := unit["Service.ExecStart"], []string{binary + " run" + config}; !slices.Equal(got, want) {
		t.Errorf("ExecStart is %q, want %q", got, want)
	}
	want := []string{binary + " check" + config, "/bin/kill -HUP $MAINPID"}
	if got := unit["Service.ExecReload"]; !slices.Equal(got, want) {
		t.Errorf("ExecReload is %q, want %q", got, want)
	}
}

// TestUnitStop leaves the default of drain.timeout the time that it takes, and the
// sessions theirs to end.
func TestUnitStop(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mqttward.yaml")
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "users"), "")
	write(path, `
listeners: [{name: local, address: "127.0.0.1:1884"}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1883"}]}]
authn: [{name: users, type: password, file: users}]
`)
	c, err := configs.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := parseUnit(t, unitFile)["Service.TimeoutStopSec"]
	if len(got) != 1 {
		t.Fatalf("TimeoutStopSec is %q", got)
	}
	const ending = 10 * time.Second
	if stop, err := time.ParseDuration(got[0] + "s"); err != nil || stop <= c.Drain.Timeout+ending {
		t.Errorf("TimeoutStopSec is %s, and a drain takes up to %s: %v", got[0], c.Drain.Timeout+ending, err)
	}
}

// TestSocket holds the socket to the listener of the example that it is for.
func TestSocket(t *testing.T) {
	unit := parseUnit(t, socketFile)
	for directive, want := range map[string]string{
		"Socket.ListenStream": "0.0.0.0:8883", "Socket.FileDescriptorName": "mqtts",
		"Socket.Accept": "", "Unit.PartOf": "", "Install.WantedBy": "sockets.target",
	} {
		if got := strings.Join(unit[directive], " "); got != want {
			t.Errorf("%s is %q, want %q", directive, got, want)
		}
	}
	example := read(t, "../configs/mqttward.yaml")
	for _, want := range []string{"name: " + unit["Socket.FileDescriptorName"][0] + "\n", `address: "` + unit["Socket.ListenStream"][0] + `"`} {
		if !strings.Contains(example, want) {
			t.Errorf("configs/mqttward.yaml has no %s", want)
		}
	}
}

// TestUnitVerify has systemd read the units. A unit names a binary that must
// be there, so a copy names one that is.
func TestUnitVerify(t *testing.T) {
	analyze, ok := systemdAnalyze(t)
	if !ok {
		return
	}
	dir := t.TempDir()
	args := []string{"verify"}
	for _, name := range []string{unitFile, socketFile} {
		unit := strings.ReplaceAll(read(t, name), binary, "/bin/true")
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	out, err := exec.Command(analyze, args...).CombinedOutput()
	// Unknown directives are only warned of; warnings about the machine's
	// other units are not ours.
	if err != nil || strings.Contains(string(out), unitFile) || strings.Contains(string(out), socketFile) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestUnitExposure has systemd add up what the service could still do.
func TestUnitExposure(t *testing.T) {
	analyze, ok := systemdAnalyze(t)
	if !ok {
		return
	}
	if help, err := exec.Command(analyze, "--help").Output(); err != nil || !strings.Contains(string(help), "--offline") {
		t.Log("NOT RUN: this systemd-analyze cannot judge a unit offline")
		return
	}
	out, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold="+maxExposure, unitFile).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Log(lines[len(lines)-1])
}

func TestDockerfile(t *testing.T) {
	stages := strings.Split(read(t, "Dockerfile"), "\nFROM ")
	if len(stages) != 3 {
		t.Fatalf("%d stages, want one that builds and one that runs", len(stages)-1)
	}
	build, run := stages[1], stages[2]
	if !strings.Contains(build, "CGO_ENABLED=0 go build -trimpath") {
		t.Error("the binary is not static")
	}
	if base, _, _ := strings.Cut(run, "\n"); base != "scratch" {
		t.Errorf("the image is based on %s, want scratch", base)
	}
	if !strings.Contains(run, "\nUSER 65532:65532\n") {
		t.Error("the proxy does not run as a user without rights")
	}
	if want := "golang:" + language(t) + " "; !strings.HasPrefix(build, want) {
		t.Errorf("the image is not built in %s, the Go of go.mod", want)
	}
}

// language returns the version of the Go language in go.mod: 1.26 for 1.26.3.
func language(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(read(t, "../go.mod")) {
		if v, ok := strings.CutPrefix(line, "go "); ok {
			return strings.TrimPrefix(version.Lang("go"+strings.TrimSpace(v)), "go")
		}
	}
	t.Fatal("go.mod has no go line")
	return ""
}

func systemdAnalyze(t *testing.T) (command string, ok bool) {
	t.Helper()
	command, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("NOT RUN: there is no systemd-analyze here")
		return "", false
	}
	return command, true
}

// parseUnit returns the values of "Section.Directive", one for each time it
// stands there.
func parseUnit(t *testing.T, file string) map[string][]string {
	t.Helper()
	unit := map[string][]string{}
	section := ""
	for line := range strings.Lines(read(t, file)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("%s: not a directive: %q", file, line)
		}
		unit[section+"."+name] = append(unit[section+"."+name], value)
	}
	return unit
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
