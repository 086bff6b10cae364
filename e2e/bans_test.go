package e2e

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bans lists the bans of a service.
func (s *service) bans(t *testing.T) (list []map[string]any) {
	t.Helper()
	r := s.run(t, "bans", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || r.code != 0 {
		t.Fatalf("exit %d, %v:\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	return list
}

// run runs a verb of the binary that asks this service.
func (s *service) run(t *testing.T, args ...string) result {
	t.Helper()
	return mqttward(t, "", append(args, "-c", s.file("mqttward.yaml"))...)
}

// A ban ends the session, keeps the client out, is listed, outlasts a restart, and is
// lifted.
func TestBan(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := startService(t, settings{broker: b.address(), more: "broker_profile: legacy\nbans: {file: bans.json, exempt: {users: [carol]}}"})
	alice := subscribe(t, s.as("alice"), "-V", "5", "-i", "one", "-t", "a")
	subscribe(t, s.as("bob"), "-V", "5", "-i", "two", "-t", "a")
	if r := s.run(t, "bans"); r.code != 0 || r.stdout != "KIND  VALUE  BY  TIMES  SINCE  UNTIL  REASON\n" {
		t.Errorf("nobody is banned, exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}

	before := time.Now().Add(-time.Second)
	if r := s.run(t, "ban", "--user", "alice", "--for", "1h", "--reason", "a lost\x1b laptop"); r.code != 0 || r.stdout != "banned, 1 kicked\n" || r.stderr != "" {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	alice.await(t, "Received DISCONNECT (152)")
	alice.exit(t)
	if r := s.run(t, "ban", "--network", "192.0.2.0/24", "--json"); r.code != 0 || r.stdout != "{\"kicked\":0}\n" {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	comesBack := func() bool {
		return execute(t, "", "mosquitto_pub", append(s.as("alice"), "-V", "5", "-q", "1", "-t", "a", "-m", "x")...).code == 0
	}
	if comesBack() {
		t.Error("who is banned is let in")
	}

	check := func() {
		t.Helper()
		list := s.bans(t)
		if len(list) != 2 || list[0]["kind"] != "network" || list[0]["value"] != "192.0.2.0/24" || list[0]["until"] != nil ||
			list[1]["kind"] != "user" || list[1]["value"] != "alice" || list[1]["reason"] != "a lost\x1b laptop" || list[1]["manual"] != true {
			t.Fatalf("bans %v", list)
		}
		text, _ := list[1]["until"].(string)
		until, err := time.Parse(time.RFC3339, text)
		if err != nil || until.Before(before.Add(time.Hour)) || until.After(time.Now().Add(time.Hour)) {
			t.Errorf("until %q", text)
		}
	}
	check()
	row := regexp.MustCompile(`\nuser +alice +hand +- +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +a lost� laptop\n$`)
	if r := s.run(t, "bans"); r.code != 0 || !row.MatchString(r.stdout) {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if m := s.metrics(t); m[`mqttward_bans{kind="user"}`] != 1 || m[`mqttward_bans_begun_total{reason="manual"}`] != 2 {
		t.Errorf("metrics %v", m)
	}
	for _, want := range []string{`"msg":"banned","by":"the admin API","kind":"user","value":"alice"`, `"reason":"a lost� laptop","sessions":1`} {
		if !strings.Contains(s.read(t, "audit.log"), want) {
			t.Errorf("not in the audit log: %s", want)
		}
	}

	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if info, err := os.Stat(s.file("bans.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	s.process = launchMqttward(t, "run", "-c", s.file("mqttward.yaml"))
	s.port = listening.FindStringSubmatch(s.await(t, `"msg":"ready"`))[1]
	check()
	if comesBack() {
		t.Error("who is banned is let in after a restart")
	}

	if r := s.run(t, "unban", "--user", "alice"); r.code != 0 || r.stdout != "lifted\n" {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if !comesBack() {
		t.Error("who is banned no more is refused")
	}
	if !strings.Contains(s.read(t, "audit.log"), `"msg":"ban lifted","by":"the admin API","kind":"user","value":"alice"`) {
		t.Error("that it was lifted is not in the audit log")
	}
	if list := s.bans(t); len(list) != 1 {
		t.Errorf("bans %v", list)
	}
}

// The exit code tells what went wrong.
func TestBanFails(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), more: "broker_profile: legacy\nbans: {exempt: {users: [carol], networks: [10.0.0.0/8]}}"})
	for _, test := range []struct {
		args   []string
		code   int
		stdout string
		stderr string // contained
	}{
		{[]string{"ban"}, 2, "", "whom? one of --network, --user and --client-id is needed"},
		{[]string{"ban", "--user", "a", "--client-id", "b"}, 2, "", "whom? one of"},
		{[]string{"ban", "--user", ""}, 2, "", "the user is empty"},
		{[]string{"ban", "--network", "192.0.2.1/24"}, 2, "", "192.0.2.0/24 is meant, or another mask"},
		{[]string{"ban", "--user", "a", "--for", "10"}, 2, "", "invalid argument"},
		{[]string{"ban", "--user", "a", "--for", "-1h"}, 2, "", "for wants a duration such as 10m or 24h"},
		{[]string{"ban", "--user", "a", "--reason", strings.Repeat("x", 201)}, 2, "", "more than 200 bytes"},
		{[]string{"ban", "--user", "carol"}, 1, "", "exempt"},
		{[]string{"ban", "--network", "10.1.0.0/16"}, 1, "", "exempt"},
		{[]string{"unban"}, 2, "", "whom? one of"},
		{[]string{"unban", "--client-id", "nobody"}, 1, "there is no such ban\n", ""},
		{[]string{"unban", "--client-id", "nobody", "--json"}, 1, "{\"lifted\":false}\n", ""},
		{[]string{"bans", "--admin.address", "127.0.0.1:" + freePort(t)}, 1, "", "connection refused"},
		{[]string{"bans", "all"}, 2, "", "takes no arguments"},
		{[]string{"bans", "--json"}, 0, "[]\n", ""},
	} {
		r := p.verb(t, test.args...)
		if test.args[0] == "bans" && len(test.args) > 2 {
			r = mqttward(t, "", append(test.args, "-c", p.file("mqttward.yaml"))...)
		}
		if r.code != test.code || r.stdout != test.stdout || !strings.Contains(r.stderr, test.stderr) {
			t.Errorf("%.60q: exit %d, want %d:\n%s%s", test.args, r.code, test.code, r.stdout, r.stderr)
		}
	}
}
