package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/pki"
)

// exampleFolder is a folder with configs/mqttward.yaml and the files that it
// names.
func exampleFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	issue(t, authority(), dir, "server", pki.Options{CN: "localhost", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	write(t, filepath.Join(dir, "users.passwd"), usersFile())
	for _, name := range []string{"mqttward.yaml", "rules-test.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "configs", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(text))
	}
	return dir
}

func TestACLTest(t *testing.T) {
	t.Parallel()
	dir := exampleFolder(t)
	config := filepath.Join(dir, "mqttward.yaml")
	for _, test := range []struct {
		name, table string // as text; "": the example's
		code        int
		stdout      string
	}{
		{"the example", "", 0, "12 passed, 0 failed\n"},
		{
			"failures", `
- {user: sensor_01, action: publish, topic: system/reboot, expect: allow}
- {user: sensor_01, action: publish, topic: data/sensor01/temp, expect: allow}
- {action: subscribe, topic: "#", expect: allow}
`, 1, "test 1: user sensor_01 publish system/reboot: expected allow, is deny (no rule matches)\n" +
				"test 3: anonymous subscribe #: expected allow, is deny (no rule matches)\n" +
				"1 passed, 2 failed\n",
		},
		{"no table", "[]", 2, ""},
		{"unknown key", "- {usr: a, action: publish, topic: a, expect: deny}", 2, ""},
		{"no answer", "- {user: a, action: publish, topic: a}", 2, ""},
		{"no question", "- {user: a, action: eat, topic: a, expect: deny}", 2, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := filepath.Join(dir, "rules-test.yaml")
			if test.table != "" {
				table = filepath.Join(t.TempDir(), "table.yaml")
				write(t, table, test.table)
			}
			r := mqttward(t, "", "acl", "test", "-c", config, table)
			if r.code != test.code || r.stdout != test.stdout || (r.stderr == "") != (r.code < 2) {
				t.Errorf("exit %d, want %d; want %q:\n%s%s", r.code, test.code, test.stdout, r.stdout, r.stderr)
			}
		})
	}
}

func TestACLExplain(t *testing.T) {
	t.Parallel()
	dir := exampleFolder(t)
	issue(t, authority(), dir, "plc", pki.Options{CN: "sensor_01", Client: true})
	machines := filepath.Join(dir, "machines.yaml")
	write(t, machines, settings{
		broker:    "127.0.0.1:1883",
		listeners: tlsListener(", client_auth: required, client_ca: server.crt"),
		authn:     "[{name: machines, type: certificate}]",
		rules:     []string{`{users: [sensor_01], certs: [sensor_01], ips: [192.0.2.0/24], listeners: [mqtts], client_ids: ["s-*"], allow: [publish], topics: ["${cert.cn}/#"]}`},
	}.yaml())
	for _, test := range []struct {
		args   string
		code   int
		stdout string // begins with it
	}{
		{"--user sensor_01 publish data/sensor01/temp", 0, "allow: the sensor writes its temperature, authz.rules[0] (line "},
		{"--user sensor_01 publish system/reboot", 1, "deny: no rule matches\n"},
		{"--user dashboard_app subscribe data/+/+", 0, "allow: the dashboard reads all data, authz.rules[1] (line "},
		{"--user dashboard_app subscribe $SYS/#", 1, "deny: nobody looks into the broker, authz.rules[3] (line "},
		{"publish data/sensor01/temp", 1, "deny: no rule matches\n"},
		{"--user sensor_01 publish data/+/temp", 2, ""},
		{"--user sensor_01 publish", 2, ""},
		{"-c " + machines + " --cert plc.crt --ip 192.0.2.7 --listener mqtts --client-id s-1 publish sensor_01/a", 0, "allow: authz.rules[0] (line "},
		{"-c " + machines + " --cert plc.crt --ip 192.0.3.7 --listener mqtts --client-id s-1 publish sensor_01/a", 1, "deny: "},
		{"-c " + machines + " --cert plc.crt --ip 192.0.2.7 --listener mqtts --client-id t-1 publish sensor_01/a", 1, "deny: "},
	} {
		t.Run(test.args, func(t *testing.T) {
			args := []string{"acl", "explain", "-c", filepath.Join(dir, "mqttward.yaml")}
			for arg := range strings.FieldsSeq(test.args) {
				if strings.HasSuffix(arg, ".crt") {
					arg = filepath.Join(dir, arg)
				}
				args = append(args, arg)
			}
			r := mqttward(t, "", args...)
			if r.code != test.code || !strings.HasPrefix(r.stdout, test.stdout) || (r.stderr == "") != (r.code < 2) {
				t.Errorf("exit %d, want %d; want %q:\n%s%s", r.code, test.code, test.stdout, r.stdout, r.stderr)
			}
		})
	}
}
