package e2e

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// operatorsOnly lets a group publish where nobody else may.
var operatorsOnly = []string{
	`{groups: [operators], allow: [publish], topics: ["ops/#"]}`,
	`{allow: [publish, subscribe], topics: ["all/#"]}`,
}

// proving is the CONNECT of a user with any password. The broker picks the client
// identifier.
func proving(user, secret string) *paho.Connect {
	c := connection(user)
	c.ClientID, c.Password = "", []byte(secret)
	return c
}

// mayOperate checks whether a client is taken for one of the operators.
func (c *client5) mayOperate(t *testing.T, want bool) {
	t.Helper()
	code := c.publish(t, &paho.Publish{Topic: "ops/x", QoS: 1, Payload: []byte(payload("x"))})
	if (code == 0) != want {
		t.Errorf("PUBLISH of an operator: reason code 0x%02X, allowed should be %t", code, want)
	}
}

// unavailable checks that clients hear that the source of identities does not
// answer, whatever password they give, and that the audit log has it.
func (p *proxy) unavailable(t *testing.T, user string) {
	t.Helper()
	p.refused5(t, connection(user), 0x88)
	p.refused5(t, proving(user, "wrong"), 0x88)
	if _, _, code := p.dial3(t, v311, user); code != 3 {
		t.Errorf("return code %d, want 3", code)
	}
	p.awaitEvent(t, event{"msg": "connection refused", "username": user, "end": "authn_unavailable"})
}

// comesBack waits until a user can log in again.
func (p *proxy) comesBack(t *testing.T, user string) {
	t.Helper()
	eventually(t, "CONNACK with success after the outage", func() bool {
		_, err := p.dial5(t).Connect(waiting(t), connection(user))
		return err == nil
	})
}

// passwordFile is the method that is asked after the one of a recipe.
const passwordFile = "  - {name: users, type: password, file: users.passwd}\n"

func startRedisProxy(t *testing.T, b *broker, s *redisServer, authn string) *proxy {
	t.Helper()
	dir := proxyFolder(t, settings{broker: b.address(), authn: authn + passwordFile, rules: operatorsOnly})
	s.secrets(t, dir)
	return startProxyIn(t, dir)
}

func TestRedis(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startRedis(t)
	s.add(t, "alice", "operators", "others")
	s.add(t, "dave")
	p := startRedisProxy(t, b, s, s.authn(t))

	alice, _ := p.connect5(t, connection("alice"))
	alice.mayOperate(t, true)
	dave, _ := p.connect5(t, connection("dave"))
	dave.mayOperate(t, false)
	p.connect5(t, connection("bob")) // by the password file
	for name, c := range map[string]*paho.Connect{
		"wrong password":         proving("alice", password("bob")),
		"empty password":         proving("alice", ""),
		"unknown user":           proving("mallory", password("alice")),
		"another part of a key":  proving("alice:x", password("alice")),
		"a command in the name":  proving("alice\r\nFLUSHALL", password("alice")),
		"a pattern for the name": proving("*", password("alice")),
	} {
		t.Run(name, func(t *testing.T) {
			want := byte(0x86)
			if name == "a command in the name" {
				want = 0x87 // no client may have such a name
			}
			p.refused5(t, c, want)
		})
	}
	if err := s.client(t).Set(waiting(t), "mqtt:user:string", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	p.refused5(t, proving("string", "x"), 0x88) // a key of another type
	p.connect5(t, connection("alice"))          // hurts nobody else
}

// A key that is a string, and a server with TLS.
func TestRedisString(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startRedis(t)
	if err := s.client(t).Set(waiting(t), "mqtt:user:dave", bcryptOf("dave")[:60], 0).Err(); err != nil {
		t.Fatal(err)
	}
	p := startRedisProxy(t, b, s, s.authn(t, "    field: password\n", "    ca: ca.crt\n", "redis://127.0.0.1:"+s.port, "rediss://default@127.0.0.1:"+s.tlsPort))
	p.connect5(t, connection("dave"))
	p.refused5(t, proving("dave", "wrong"), 0x86)

	write(t, p.file("ca.crt"), string(newCA("another CA").PEM()))
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	write(t, p.file("ca.crt"), string(authority().PEM()))
	p.unavailable(t, "dave")
}

func TestRedisOutage(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startRedis(t)
	s.add(t, "alice", "operators")
	p := startRedisProxy(t, b, s, s.authn(t))
	running, _ := p.connect5(t, proving("alice", password("alice")))

	s.signal(t, syscall.SIGSTOP)
	p.unavailable(t, "alice")
	s.signal(t, syscall.SIGCONT)
	p.comesBack(t, "alice")

	s.signal(t, syscall.SIGKILL)
	s.exit(t)
	p.unavailable(t, "alice")
	if err := p.Reload(); err != nil { // which cannot ask about sessions
		t.Fatal(err)
	}
	running.mayOperate(t, true)
	eventually(t, "start of redis-server on its old port", func() bool { return s.start(t) })
	p.comesBack(t, "alice")
}

// A proxy starts without the server, and a reload asks about sessions again.
func TestRedisReload(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startRedis(t)
	s.add(t, "alice", "operators")
	s.add(t, "dave", "operators")
	s.signal(t, syscall.SIGKILL)
	s.exit(t)
	p := startRedisProxy(t, b, s, s.authn(t))
	eventually(t, "start of redis-server on its old port", func() bool { return s.start(t) })
	p.comesBack(t, "alice")

	alice, _ := p.connect5(t, connection("alice"))
	dave, _ := p.connect5(t, connection("dave"))
	s.remove(t, "alice")
	s.remove(t, "dave")
	s.add(t, "dave", "others")
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, "DISCONNECT", alice.goodbye); d.ReasonCode != 0x87 {
		t.Errorf("DISCONNECT with 0x%02X, want 0x87", d.ReasonCode)
	}
	eventually(t, "groups of now", func() bool {
		return dave.publish(t, &paho.Publish{Topic: "ops/x", QoS: 1, Payload: []byte(payload("x"))}) == 0x87
	})
}

// A password in the URL is a mistake that is told without it.
func TestRedisMistakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ old, with, want string }{
		{"127.0.0.1:6379", "u:" + password("redis") + "@127.0.0.1:6379", "authn[0].url: must not hold the password"},
		{"mqtt:user:${username}", "mqtt:user", "authn[0].key: wants ${username}"},
		{"mqtt:groups:${username}", "mqtt:${clientid}", "authn[0].groups_key: wants ${username}, and no other"},
		{"6379/0", "6379/x", "authn[0].url: wants the number of a database"},
		{"redis://", "http://", "authn[0].url: wants redis://"},
	} {
		dir := proxyFolder(t, settings{broker: "127.0.0.1:1883", authn: recipe(t, "redis", test.old, test.with)})
		(*redisServer)(nil).secrets(t, dir)
		checkMistake(t, filepath.Join(dir, "mqttward.yaml"), test.want)
	}
}
