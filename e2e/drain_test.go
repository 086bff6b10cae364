package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

const otherServer = "other.example:8883"

// draining is a service with a drain, as YAML.
func draining(t *testing.T, b *broker, drain string) *service {
	t.Helper()
	return startService(t, settings{broker: b.address(), more: "broker_profile: legacy\ndrain: " + drain})
}

// join opens a session, which runs when it returns.
func (s *service) join(t *testing.T, user, clientID string) *client5 {
	t.Helper()
	client := dialed5(t, s.address(), s.tlsConfig(), nil)
	c := connection(user)
	c.ClientID = clientID
	if ack, err := client.Connect(waiting(t), c); err != nil {
		t.Fatalf("CONNECT of %s: %v %+v", clientID, err, ack)
	}
	s.awaitEvent(t, event{"msg": "session started", "client_id": clientID})
	return client
}

func (s *service) readyz(t *testing.T) string {
	t.Helper()
	code, body := get(t, s.admin, "http://admin/readyz")
	return fmt.Sprint(code, " ", strings.TrimSpace(body))
}

// SIGTERM drains: every client is told where to go, and then the process ends.
func TestDrain(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := draining(t, b, "{rate: 10, timeout: 10m, server_reference: '"+otherServer+"'}")
	var clients []*client5
	for i := range 30 {
		clients = append(clients, s.join(t, users[i%len(users)], fmt.Sprintf("client-%d", i)))
	}
	s.signal(t, syscall.SIGTERM)
	for i, c := range clients {
		d := receive(t, "DISCONNECT", c.goodbye)
		if d.ReasonCode != 0x9C || d.Properties == nil || d.Properties.ServerReference != otherServer {
			t.Errorf("client %d is told 0x%02X %+v, want 0x9C and %s", i, d.ReasonCode, d.Properties, otherServer)
		}
	}
	if code := s.exit(t); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	drained := 0
	for _, e := range s.audit(t) {
		if e.has(event{"msg": "session ended", "end": "drained", "reason": "Use another server"}) {
			drained++
		}
	}
	if drained != len(clients) {
		t.Errorf("%d lines of drained sessions, want %d", drained, len(clients))
	}
}

// While it drains, nobody new comes in, and the sessions that are left go on. A
// second signal ends it at once.
func TestDrainGoesOn(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := draining(t, b, "{rate: 0.01, timeout: 10m, server_reference: '"+otherServer+"', moved: true}")
	first := s.join(t, "alice", "first")
	five := s.join(t, "bob", "five")
	five.subscribe(t, 1, "a")
	three := subscribe(t, s.as("carol"), "-V", "311", "-q", "1", "-t", "a")
	s.signal(t, syscall.SIGTERM)
	if d := receive(t, "DISCONNECT", first.goodbye); d.ReasonCode != 0x9D || d.Properties.ServerReference != otherServer {
		t.Errorf("the first is told 0x%02X %+v, want 0x9D and %s", d.ReasonCode, d.Properties, otherServer)
	}
	if got, want := s.readyz(t), "503 draining"; got != want {
		t.Errorf("/readyz: %s, want %s", got, want)
	}
	if conn, err := net.Dial("tcp", s.address()); err == nil {
		_ = conn.Close()
		t.Error("it still listens")
	}
	if code := five.publish(t, &paho.Publish{Topic: "a", QoS: 1, Payload: []byte(payload("x"))}); code != 0 {
		t.Errorf("reason code 0x%02X", code)
	}
	if _, body := five.next(t); body != payload("x") {
		t.Errorf("got %q", body)
	}
	three.await(t, line("a", 1, false, payload("x")))
	s.awaitEvent(t, event{"msg": "session ended", "client_id": "first"})
	r := mqttward(t, "", "status", "-c", s.file("mqttward.yaml"))
	if r.code != 0 || !regexp.MustCompile(`(?m)^ready +no: draining\nsessions +2$`).MatchString(r.stdout) {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := mqttward(t, "", "reload", "-c", s.file("mqttward.yaml")); r.code != 1 || !strings.Contains(r.stderr, `answers 500: "shutting down"`) {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	s.signal(t, syscall.SIGTERM)
	s.exit(t)
	if strings.Contains(s.out.String(), `"msg":"stopped"`) {
		t.Error("it has ended in order, and not at once")
	}
	receive(t, "end of the connection", five.lost)
}

// Who is on the way in when the signal comes is let in, and then drained.
func TestDrainOnTheWay(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := draining(t, b, "{server_reference: '"+otherServer+"'}")
	connect := mqtttest.Connect(packets.V5, "half", mqtttest.Login("alice", password("alice")))
	half, err := tls.Dial("tcp", s.address(), s.tlsConfig())
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Dial("tcp", s.address())
	if err != nil {
		t.Fatal(err)
	}
	halfway := newRaw(t, half)
	halfway.send(connect[:9])
	eventually(t, "both are there", func() bool { return s.metrics(t)["mqttward_connections"] == 2 })

	s.signal(t, syscall.SIGTERM)
	s.out.await(t, `"msg":"draining","sessions":0`, 1)
	secure := newRaw(t, tls.Client(silent, s.tlsConfig()))
	secure.send(mqtttest.Connect(packets.V5, "silent", mqtttest.Login("bob", password("bob"))))
	halfway.send(connect[9:])
	for name, c := range map[string]*raw{"half": halfway, "silent": secure} {
		if p := c.packet(); p.Type != packets.CONNACK || p.Reason != packets.Success {
			t.Errorf("%s: %s with %s, want a CONNACK that lets it in", name, p.Type, p.Reason)
		}
		if p := c.packet(); p.Type != packets.DISCONNECT || p.Reason != packets.UseAnotherServer {
			t.Errorf("%s: %s with %s, want a DISCONNECT to another server", name, p.Type, p.Reason)
		}
		_ = c.Close()
	}
	if code := s.exit(t); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}

// changing is what of a status is another each time, and with it how wide columns are.
var changing = regexp.MustCompile(` +|\d+ms|\d+s|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|127\.0\.0\.1:\d+`)

// The verbs ask the instance that runs: how it does, to reload, and to end.
func TestDrainVerbs(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := draining(t, b, "{rate: 0.01, timeout: 10m}")
	first := s.join(t, "alice", "alice")
	second := s.join(t, "bob", "bob")
	config := s.file("mqttward.yaml")
	expect := func(verb string, code int, stdout, stderr string) {
		t.Helper()
		r := mqttward(t, "", append(strings.Fields(verb), "-c", config)...)
		got := changing.ReplaceAllStringFunc(r.stdout, func(text string) string {
			if strings.TrimSpace(text) == "" {
				return " "
			}
			return "…"
		})
		if r.code != code || got != stdout || !strings.Contains(r.stderr, stderr) || (stderr == "") != (r.stderr == "") {
			t.Errorf("%s: exit %d, want %d\n%s\nwant\n%s\nand %q in\n%s", verb, r.code, code, got, stdout, stderr, r.stderr)
		}
	}
	status := func(reload string) string {
		return `version v1.2.3-e2e
up …, since …
ready yes
sessions 2
last reload ` + reload + `

LISTENER ADDRESS TRANSPORT TLS CONNECTIONS
mqtts … tcp yes 2

BACKEND SERVER STATE SESSIONS WHY
broker … up 2 -
`
	}
	expect("status", 0, status("none"), "")
	expect("reload", 0, "reloaded\n", "")
	expect("status", 0, status("…, in force"), "")
	// What is wrong in files that the command does not read, the instance says.
	cert := s.read(t, "server.crt")
	write(t, s.file("server.crt"), "no certificate\n")
	expect("reload", 2, "", "listeners[0].tls.certificates[0]")
	write(t, s.file("server.crt"), cert)
	expect("drain --server plant:1883", 2, "", "both its backend and the server are needed")
	expect("drain --backend= --server=", 2, "", "is empty")
	expect("drain --undo", 2, "", "cannot be undone")
	expect("drain --backend broker --server plant:1883", 1, "", "no such server")
	if got := s.readyz(t); !strings.HasPrefix(got, "200 ") {
		t.Errorf("/readyz: %s", got)
	}

	expect("drain", 0, "2 draining\n", "")
	if got, want := s.readyz(t), "503 draining"; got != want {
		t.Errorf("/readyz: %s, want %s", got, want)
	}
	if d := receive(t, "DISCONNECT", first.goodbye); d.ReasonCode != 0x8B {
		t.Errorf("the first is told 0x%02X, want 0x8B", d.ReasonCode)
	}
	expect("drain", 0, "1 draining\n", "") // once more: nothing else
	s.awaitEvent(t, event{"msg": "drain", "by": "the admin API"})
	// The first signal during such a drain changes nothing.
	s.signal(t, syscall.SIGTERM)
	if code, _ := get(t, s.admin, "http://admin/livez"); code != http.StatusOK {
		t.Errorf("/livez: %d", code)
	}
	if code := second.publish(t, &paho.Publish{Topic: "a", QoS: 1, Payload: []byte(payload("x"))}); code != 0 {
		t.Errorf("reason code 0x%02X", code)
	}
	s.signal(t, syscall.SIGTERM)
	s.exit(t)
}

// With a token the verbs need it.
func TestDrainVerbsWithToken(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := settings{broker: b.address(), more: "broker_profile: legacy"}
	dir := proxyFolder(t, s)
	p := &proxy{dir: dir}
	write(t, p.file("token"), "a-token-made-for-this-test")
	write(t, p.file("mqttward.yaml"), strings.Replace(s.yaml(), `admin: {address: "127.0.0.1:0"}`, `admin: {address: "127.0.0.1:0", token_file: token}`, 1))
	p = startProxyIn(t, dir)
	for verb, want := range map[string]string{"status": "v1.2.3", "reload": "reloaded\n"} {
		if r := p.verb(t, verb); r.code != 0 || !strings.Contains(r.stdout, strings.Replace(want, "v1.2.3", "e2e", 1)) {
			t.Errorf("%s: exit %d:\n%s%s", verb, r.code, r.stdout, r.stderr)
		}
	}
	write(t, p.file("token"), "another-token-made-for-this-test") // not reloaded yet
	for _, verb := range []string{"status", "reload", "drain"} {
		if r := p.verb(t, verb); r.code != 1 || !strings.Contains(r.stderr, "answers 401") {
			t.Errorf("%s: exit %d:\n%s%s", verb, r.code, r.stdout, r.stderr)
		}
	}
	select {
	case <-p.Stopping():
		t.Error("it obeys")
	default:
	}
}

// After an upgrade clients are to come back to where they were: there is a new
// process.
func TestDrainOfUpgrade(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := startUpgradable(t, settings{broker: b.address(), more: "broker_profile: legacy\ndrain: {server_reference: '" + otherServer + "', moved: true}"})
	told := func(c *client5, code byte, reference string) {
		t.Helper()
		d := receive(t, "DISCONNECT", c.goodbye)
		got := ""
		if d.Properties != nil {
			got = d.Properties.ServerReference
		}
		if d.ReasonCode != code || got != reference {
			t.Errorf("told 0x%02X and %q, want 0x%02X and %q", d.ReasonCode, got, code, reference)
		}
	}
	before := s.join(t, "alice", "before")
	s.upgrade(t)
	told(before, 0x8B, "")
	after := s.join(t, "alice", "after")
	s.end(t)
	told(after, 0x9D, otherServer)
}
