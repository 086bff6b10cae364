package app

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/pki"
)

const policy = `listeners:
  - name: plant
    address: "127.0.0.1:0"
    tls: {certificates: [{cert: server.crt, key: server.key}], client_auth: required, client_ca: ca.crt}
backends:
  - {name: broker, servers: [{address: "127.0.0.1:1883"}]}
authn:
  - {name: users, type: password, file: users.passwd}
  - {name: plc, type: certificate, username: "${cert.cn}"}
authz:
  rules:
    - {name: sensor writes, users: [sensor_01], allow: [publish], topics: ["data/sensor01/temp"], qos: [0, 1]}
    - {deny: [publish, subscribe], topics: ["line-a/secret/#"]}
    - {certs: ["plc-*"], ips: [10.0.0.0/8], listeners: [plant], allow: [publish, subscribe], topics: ["line-a/${username}/#"]}
    - {users: [reader], allow: [subscribe], topics: ["=report/+"], qos: [0, 1]}
`

// write puts a configuration and the files that it names into a folder.
func write(t testing.TB, config string) (path string) {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.NewCA("test CA")
	if err != nil {
		t.Fatal(err)
	}
	server, serverKey, err := ca.Issue(pki.Options{CN: "localhost", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	plc, plcKey, err := ca.Issue(pki.Options{CN: "plc-7", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "mqttward.yaml")
	if err := errors.Join(
		pki.Write(dir, "ca", ca.PEM(), nil), pki.Write(dir, "server", server, serverKey), pki.Write(dir, "plc", plc, plcKey),
		SetPassword(filepath.Join(dir, "users.passwd"), "sensor_01", "bcrypt", []byte("secret")),
		os.WriteFile(path, []byte(config), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAsk(t *testing.T) {
	path := write(t, policy)
	e, err := NewExplainer(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	plc := Question{Cert: filepath.Join(filepath.Dir(path), "plc.crt"), IP: "10.1.2.3", Listener: "plant"}
	reader := Question{User: "reader"}
	tests := []struct {
		name          string
		q             Question
		action, topic string
		qos           int
		allowed       bool
		rule          string
	}{
		{"allowed", Question{User: "sensor_01"}, "publish", "data/sensor01/temp", 1, true, "sensor writes, authz.rules[0] (line 12)"},
		{"other QoS", Question{User: "sensor_01"}, "publish", "data/sensor01/temp", 2, false, "no rule matches"},
		{"other user", Question{User: "sensor_02"}, "publish", "data/sensor01/temp", 0, false, "no rule matches"},
		{"user of the certificate", plc, "publish", "line-a/plc-7/state", 0, true, "authz.rules[2] (line 14)"},
		{"not below another's", plc, "publish", "line-a/plc-8/state", 0, false, "no rule matches"},
		{"subscribe", plc, "subscribe", "line-a/plc-7/#", 0, true, "authz.rules[2] (line 14)"},
		{"shared", plc, "subscribe", "$share/g/line-a/plc-7/#", 0, true, "authz.rules[2] (line 14)"},
		{"receive", plc, "receive", "line-a/plc-7/command", 0, true, "authz.rules[2] (line 14)"},
		{"a message that a deny withholds", plc, "receive", "line-a/secret/x", 0, false, "authz.rules[1] (line 13)"},
		{"a subscription to it", plc, "subscribe", "line-a/secret/+", 0, false, "authz.rules[1] (line 13)"},
		{"a wider one, which nobody allows", plc, "subscribe", "line-a/#", 0, false, "no rule matches"},
		{"a wider one that is shared", plc, "subscribe", "$share/g/line-a/#", 0, false, "authz.rules[1] (line 13)"},
		{"the message of a subscription that is allowed with one QoS", reader, "receive", "report/1", 2, true, "authz.rules[3] (line 15)"},
		{"a subscription with another QoS", reader, "subscribe", "report/1", 2, false, "no rule matches"},
		{"a subscription to the letter", reader, "subscribe", "report/+", 1, true, "authz.rules[3] (line 15)"},
		{"and no message beside it", reader, "receive", "report/1/x", 0, false, "no rule matches"},
		{"other network", Question{Cert: plc.Cert, IP: "192.0.2.1", Listener: "plant"}, "publish", "line-a/plc-7/state", 0, false, "no rule matches"},
	}
	for _, test := range tests {
		test.q.Action, test.q.Topic, test.q.QoS = test.action, test.topic, test.qos
		d, err := e.Ask(test.q)
		if err != nil || d.Allowed != test.allowed || d.Rule != test.rule {
			t.Errorf("%s: %+v, %v; want %v by %q", test.name, d, err, test.allowed, test.rule)
		}
	}
	for name, q := range map[string]Question{
		"action":      {Action: "write", Topic: "a"},
		"topic":       {Action: "publish", Topic: "a/#"},
		"filter":      {Action: "subscribe", Topic: "a/#/b"},
		"address":     {Action: "publish", Topic: "a", IP: "10.0.0"},
		"QoS":         {Action: "publish", Topic: "a", QoS: 3},
		"certificate": {Action: "publish", Topic: "a", Cert: path},
		"listener":    {Action: "publish", Topic: "a", Listener: "plan"},
	} {
		if d, err := e.Ask(q); err == nil {
			t.Errorf("a question with a wrong %s is answered: %+v", name, d)
		}
	}
}

func TestRulesTable(t *testing.T) {
	path := write(t, policy)
	e, err := NewExplainer(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	table := filepath.Join(t.TempDir(), "tests.yaml")
	tests := []struct {
		name, table, output string
		failed              int
		wrong               bool
	}{
		{"passed", `- {user: sensor_01, action: publish, topic: data/sensor01/temp, expect: allow}`, "1 passed, 0 failed\n", 0, false},
		{
			"failed", "- {user: sensor_01, action: publish, topic: a, expect: allow}\n- {action: subscribe, topic: a, expect: deny}",
			"test 1: user sensor_01 publish a: expected allow, is deny (no rule matches)\n1 passed, 1 failed\n", 1, false,
		},
		{
			"deliveries", "- {user: reader, action: receive, topic: report/1, qos: 2, expect: allow}\n- {user: reader, action: receive, topic: line-a/secret/x, expect: allow}",
			"test 2: user reader receive line-a/secret/x: expected allow, is deny (authz.rules[1] (line 13))\n1 passed, 1 failed\n", 1, false,
		},
		{"unknown key", `- {users: sensor_01, action: publish, topic: a, expect: allow}`, "", 0, true},
		{"no expectation", `- {user: sensor_01, action: publish, topic: a}`, "", 0, true},
		{"empty", ``, "", 0, true},
		{"two documents", "- {user: sensor_01, action: publish, topic: a, expect: deny}\n---\n- {action: publish, topic: a, expect: allow}\n", "", 0, true},
	}
	for _, test := range tests {
		if err := os.WriteFile(table, []byte(test.table), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		failed, err := e.TestRules(&out, table)
		if failed != test.failed || (err != nil) != test.wrong || out.String() != test.output {
			t.Errorf("%s: %d failed, %v, %q", test.name, failed, err, out.String())
		}
	}
}

// TestAllAtOnce has mistakes that show when the file is read beside those that
// only show when things are built.
func TestAllAtOnce(t *testing.T) {
	path := write(t, strings.NewReplacer(
		"{name: broker,", "{nam: broker,",
		"certs: [", "cert: [",
		"server.key", "plc.key",
		"client_ca: ca.crt", "client_ca: users.passwd",
		`"${cert.cn}"`, `"${username}"`,
		`"data/sensor01/temp"`, `"data/#/temp"`,
		"${username}/#", "${user}/#",
	).Replace(policy))
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "users.passwd"), []byte("sensor_01:plain\nsensor_02:plain\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Check(path, nil)
	var errs configs.Errors
	if !errors.As(err, &errs) || len(errs) != 8 {
		t.Fatalf("want eight mistakes, each with its place:\n%v", err)
	}
	for i, want := range []string{
		"listeners[0].tls.certificates[0]", "listeners[0].tls.client_ca", "backends[0].nam",
		"authn[0].file", "authn[0].file", "authn[1].username", "authz.rules[0]", "authz.rules[2].cert",
	} {
		if errs[i].Path != want || errs[i].Line == 0 {
			t.Errorf("mistake %d: %v, want one about %s", i, errs[i], want)
		}
	}
	if strings.Contains(err.Error(), "plain") {
		t.Errorf("a password is shown: %v", err)
	}
}
