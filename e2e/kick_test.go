package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// verb runs a verb of the binary that asks this proxy.
func (p *proxy) verb(t *testing.T, args ...string) result {
	t.Helper()
	return mqttward(t, "", append(args, "-c", p.file("mqttward.yaml"), "--admin.address", p.AdminAddr().String())...)
}

// A client that is kicked is gone at once and leaves its Will; others do not
// notice. It may come back.
func TestKick(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"311", "5"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			p := startProxy(t, settings{broker: b.address()})
			monitor := b.monitor(t)
			client := func(id, user string, more ...string) *process {
				return subscribe(t, p.as(user), append(more, "-V", version, "-i", id, "-q", "1", "-t", "to/"+id)...)
			}
			gone := client("gone", "alice", "--will-topic", "will/gone", "--will-payload", payload("will"), "--will-qos", "1")
			sameUser, other := client("same-user", "alice"), client("other", "bob")

			if r := p.verb(t, "kick", "--client-id", "gone", "--user", "alice"); r.code != 0 || r.stdout != "1 kicked\n" || r.stderr != "" {
				t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
			}
			monitor.await(t, line("will/gone", 1, false, payload("will")))
			e := p.awaitEvent(t, event{"msg": "session ended", "client_id": "gone", "username": "alice", "end": "kicked", "reason": "Administrative action"})
			if by, _ := e["error"].(string); !strings.HasPrefix(by, "kicked by the admin API, 127.0.0.1:") {
				t.Errorf("the audit log does not say who: %v", e)
			}
			if version == "5" {
				gone.await(t, "Received DISCONNECT (152)")
				gone.exit(t)
				gone = client("gone", "alice")
			} else {
				gone.out.await(t, "Subscribed (mid: ", 2) // mosquitto_sub comes back by itself
			}
			for id, c := range map[string]*process{"gone": gone, "same-user": sameUser, "other": other} {
				publish(t, p.as("carol"), "-q", "1", "-t", "to/"+id, "-m", payload(id))
				c.await(t, line("to/"+id, 1, false, payload(id)))
			}
			if n := p.metrics(t)[`mqttward_sessions_ended_total{reason="kicked"}`]; n != 1 {
				t.Errorf("%v counted as kicked, want 1", n)
			}
			for _, id := range []string{"same-user", "other"} {
				if n := strings.Count(b.out.String(), " as "+id+" ("); n != 1 {
					t.Errorf("%s has connected %d times, want 1", id, n)
				}
			}
		})
	}
}

// listed is a client as clients --json tells of it.
type listed struct {
	Session  uint64    `json:"session"`
	ClientID string    `json:"client_id"`
	Username string    `json:"username"`
	Tenant   string    `json:"tenant"`
	Method   string    `json:"method"`
	Remote   string    `json:"remote"`
	Listener string    `json:"listener"`
	Version  string    `json:"version"`
	Since    time.Time `json:"connected_since"`
}

func (p *proxy) clients(t *testing.T) (list []listed) {
	t.Helper()
	r := p.verb(t, "clients", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || r.code != 0 {
		t.Fatalf("exit %d, %v:\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	return list
}

// What a client calls itself comes whole to a program, and harmless to a
// terminal; by the number of its session it is kicked whatever its name.
func TestClients(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	const head = "SESSION  CLIENT ID  USER  TENANT  METHOD  REMOTE  LISTENER  SERVER  MQTT  SINCE  EXPIRES\n"
	if r := p.verb(t, "clients"); r.code != 0 || r.stdout != head {
		t.Errorf("nobody is there, exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	const evil = "evil\u202ename"
	start := time.Now().Add(-time.Second)
	subscribe(t, p.as("alice"), "-V", "311", "-i", "sensor 1", "-t", "a")
	c := connection("bob")
	c.ClientID = evil
	client, _ := p.connect5(t, c)
	p.awaitEvent(t, event{"msg": "session started", "username": "bob"}) // the CONNACK comes before that

	list := p.clients(t)
	if len(list) != 2 || list[0].Session >= list[1].Session {
		t.Fatalf("%d clients, want 2, the older one first: %v", len(list), list)
	}
	for i, want := range []listed{
		{ClientID: "sensor 1", Username: "alice", Method: "users", Listener: "mqtts", Version: "3.1.1"},
		{ClientID: evil, Username: "bob", Method: "users", Listener: "mqtts", Version: "5.0"},
	} {
		got := list[i]
		want.Session, want.Remote, want.Since = got.Session, got.Remote, got.Since
		if got != want || !strings.HasPrefix(got.Remote, "127.0.0.1:") || got.Since.Before(start) || got.Since.After(time.Now()) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	r := p.verb(t, "clients")
	row := regexp.MustCompile(fmt.Sprintf(`\n%d +evil�name +bob +- +users +127\.0\.0\.1:\d+ +mqtts +%s +5\.0 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +-\n$`, list[1].Session, regexp.QuoteMeta(b.address())))
	if r.code != 0 || !row.MatchString(r.stdout) || strings.Count(r.stdout, "\n") != 3 {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}

	if r = p.verb(t, "kick", "--json", "--session", fmt.Sprint(list[1].Session)); r.code != 0 || r.stdout != "{\"kicked\":1}\n" {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if d := receive(t, "DISCONNECT", client.goodbye); d.ReasonCode != 0x98 {
		t.Errorf("reason code 0x%02X, want 0x98", d.ReasonCode)
	}
	if list = p.clients(t); len(list) != 1 || list[0].Username != "alice" {
		t.Errorf("left are %v", list)
	}
}

// The exit code tells what went wrong.
func TestKickFails(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	subscribe(t, p.as("alice"), "-V", "5", "-i", "alice", "-t", "a")
	nowhere := []string{"--admin.address", "127.0.0.1:" + freePort(t)}
	for _, test := range []struct {
		args   string
		more   []string
		code   int
		stdout string
		stderr string // contained
	}{
		{"kick --user nobody", nil, 1, "0 kicked\n", ""},
		{"kick --user nobody --json", nil, 1, "{\"kicked\":0}\n", ""},
		{"kick --client-id alice --user bob", nil, 1, "0 kicked\n", ""},
		{"kick", nil, 2, "", "whom? "},
		{"kick --user=", nil, 2, "", "the user name is empty"},
		{"kick --client-id= --user alice", nil, 2, "", "the client id is empty"},
		{"kick --session alice", nil, 2, "", "invalid argument"},
		{"kick alice", nil, 2, "", "takes no arguments"},
		{"kick --user alice", nowhere, 1, "", "connection refused"},
		{"clients", nowhere, 1, "", "connection refused"},
		{"clients", []string{"--admin.address="}, 2, "", "admin.address: there is none"},
		{"clients", []string{"-c", "nowhere.yaml"}, 2, "", "no such file"},
		{"clients", []string{"-c", ""}, 2, "", "which configuration?"},
		{"clients alice", nil, 2, "", "takes no arguments"},
	} {
		args := append(strings.Fields(test.args), "-c", p.file("mqttward.yaml"), "--admin.address", p.AdminAddr().String())
		r := mqttward(t, "", append(args, test.more...)...)
		if r.code != test.code || r.stdout != test.stdout || !strings.Contains(r.stderr, test.stderr) || (r.stderr == "") != (test.stderr == "") {
			t.Errorf("%s %v: exit %d, want %d:\n%s%s", test.args, test.more, r.code, test.code, r.stdout, r.stderr)
		}
	}
	if list := p.clients(t); len(list) != 1 {
		t.Errorf("%d clients, want 1", len(list))
	}
}

// The verbs have the token of the configuration; without it nobody is told
// anything.
func TestKickToken(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := settings{broker: b.address()}
	dir := proxyFolder(t, s)
	secret := payload("a token of this test")
	write(t, dir+"/admin.token", secret+"\n")
	write(t, dir+"/mqttward.yaml", strings.Replace(s.yaml(), "admin: {", "admin: {token_file: admin.token, ", 1))
	p := startProxyIn(t, dir)
	client, _ := p.connect5(t, connection("alice"))
	p.awaitEvent(t, event{"msg": "session started"})
	if code, body := p.get(t, "/api/v1/clients"); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d %s", code, body)
	}
	p.configure(t, s) // and no reload: this is for the verbs alone
	for _, args := range [][]string{{"clients"}, {"kick", "--user", "alice"}} {
		if r := p.verb(t, args...); r.code != 1 || r.stdout != "" || r.stderr != "the instance answers 401: \"unauthorized\"\n" {
			t.Errorf("%s without a token: exit %d:\n%s%s", args[0], r.code, r.stdout, r.stderr)
		}
	}
	write(t, dir+"/mqttward.yaml", strings.Replace(s.yaml(), "admin: {", "admin: {token_file: admin.token, ", 1))
	if list := p.clients(t); len(list) != 1 || list[0].ClientID != "alice" {
		t.Errorf("listed are %v", list)
	}
	if r := p.verb(t, "kick", "--user", "alice"); r.code != 0 || strings.Contains(r.stdout+r.stderr, secret) {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if d := receive(t, "DISCONNECT", client.goodbye); d.ReasonCode != 0x98 {
		t.Errorf("reason code 0x%02X, want 0x98", d.ReasonCode)
	}
}

// The verbs reach an instance behind a Unix socket too, by its configuration
// alone.
func TestKickService(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := startService(t, settings{broker: b.address()})
	client := subscribe(t, s.as("alice"), "-V", "5", "-i", "alice", "-t", "a")
	config := s.file("mqttward.yaml")
	if r := mqttward(t, "", "clients", "-c", config); r.code != 0 || !strings.Contains(r.stdout, "\n1        alice") {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := mqttward(t, "", "kick", "-c", config, "--client-id", "alice"); r.code != 0 {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	client.await(t, "Received DISCONNECT (152)")
	s.awaitEvent(t, event{"msg": "session ended", "client_id": "alice", "end": "kicked", "error": "kicked by the admin API"})
}
