package e2e

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/go-ldap/ldap/v3"

	"github.com/mqttward/mqttward/internal/app"
)

func startLDAPProxy(t *testing.T, b *broker, s *slapd, authn string) *proxy {
	t.Helper()
	dir := proxyFolder(t, settings{broker: b.address(), authn: authn + passwordFile, rules: operatorsOnly})
	s.secrets(t, dir)
	return startProxyIn(t, dir)
}

// checkMistake checks that a configuration is refused, with a message and without
// a secret.
func checkMistake(t *testing.T, config, want string) {
	t.Helper()
	a, err := app.Start(config, nil, app.Build{Version: "e2e"})
	if err == nil {
		_ = a.Shutdown()
		t.Fatalf("accepted, want %q", want)
	}
	if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secretMark) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// The same clients in both ways to find a user. What differs is that without a
// search there is no telling an unknown user from a wrong password.
func TestLDAP(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSlapd(t)
	s.add(t, "alice", "operators")
	s.add(t, "dave, the *(good)")
	service := "    user_dn: uid=${username},ou=people,dc=example,dc=org\n    bind_dn: cn=mqttward,ou=services,dc=example,dc=org\n    password_file: ldap.password\n"
	for name, test := range map[string]struct {
		authn string
		bob   bool // whether the password file is asked for him
	}{
		"search":            {s.authn(t, "ldap"), true},
		"DN":                {s.authn(t, "ldap-user-dn"), false},
		"DN, looking first": {s.authn(t, "ldap-user-dn", "    user_dn: uid=${username},ou=people,dc=example,dc=org\n", service), true},
	} {
		t.Run(name, func(t *testing.T) {
			p := startLDAPProxy(t, b, s, test.authn)
			alice, _ := p.connect5(t, connection("alice"))
			alice.mayOperate(t, true)
			odd, _ := p.connect5(t, proving("dave, the *(good)", password("dave, the *(good)")))
			odd.mayOperate(t, false)
			if test.bob {
				p.connect5(t, connection("bob"))
			} else {
				p.refused5(t, connection("bob"), 0x86)
			}
			for _, c := range []*paho.Connect{
				proving("alice", password("bob")), proving("alice", ""),
				proving("mallory", password("alice")), proving("mallory", ""),
				proving("ALICE", password("alice")), proving(" alice", password("alice")),
				proving("*", password("alice")), proving("*)(uid=*", password("alice")), proving("alice)(|(uid=*", password("alice")),
				proving("alice,ou=x", password("alice")), proving("alice,"+peopleDN, password("alice")), proving(`alice\`, password("alice")),
				proving("é", password("alice")), proving(strings.Repeat("a", 1000), password("alice")),
			} {
				p.refused5(t, c, 0x86)
			}
			missing := proving("alice", "")
			missing.PasswordFlag = false
			p.refused5(t, missing, 0x86)
			p.connect5(t, connection("alice")) // none of them was a failure
		})
	}
}

// What a search finds must be one entry.
func TestLDAPAmbiguous(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSlapd(t)
	for _, user := range []string{"a", "b", "c"} {
		s.add(t, user)
		s.change(t, func(c *ldap.Conn) error {
			m := ldap.NewModifyRequest(dnOf(user), nil)
			m.Add("mail", []string{user + "@example.org"})
			m.Add("employeeNumber", []string{map[string]string{"a": "1"}[user] + "7"})
			return c.Modify(m)
		})
	}
	p := startLDAPProxy(t, b, s, s.authn(t, "ldap", "(uid=${username})", "(|(employeeNumber=${username})(mail=${username}))"))
	p.refused5(t, proving("7", password("b")), 0x87)
	p.awaitEvent(t, event{"msg": "connection refused", "username": "7"})
	p.connect5(t, proving("17", password("a")))
	p.connect5(t, proving("b@example.org", password("b")))
}

func TestLDAPOutage(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSlapd(t)
	s.add(t, "alice", "operators")
	p := startLDAPProxy(t, b, s, s.authn(t, "ldap"))
	running, _ := p.connect5(t, proving("alice", password("alice")))

	s.signal(t, syscall.SIGSTOP)
	p.unavailable(t, "alice")
	s.signal(t, syscall.SIGCONT)
	p.comesBack(t, "alice")

	s.signal(t, syscall.SIGTERM)
	s.exit(t)
	p.unavailable(t, "alice")
	if err := p.Reload(); err != nil { // which cannot ask about sessions
		t.Fatal(err)
	}
	running.mayOperate(t, true)
	eventually(t, "start of slapd on its old port", func() bool { return s.start(t) })
	p.comesBack(t, "alice")
}

// A directory that cannot prove itself gets no password, and lets nobody in.
func TestLDAPWrongCA(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSlapd(t)
	s.add(t, "alice")
	for _, name := range []string{"ldap", "ldap-user-dn"} {
		t.Run(name, func(t *testing.T) {
			p := startLDAPProxy(t, b, s, s.authn(t, name))
			p.connect5(t, connection("alice"))
			write(t, p.file("ca.crt"), string(newCA("another CA").PEM()))
			err := p.Reload()
			write(t, p.file("ca.crt"), string(authority().PEM())) // for the clients
			if err != nil {
				t.Fatal(err)
			}
			before := strings.Count(s.out.String(), " BIND dn=")
			p.unavailable(t, "alice")
			if n := strings.Count(s.out.String(), " BIND dn="); n != before {
				t.Errorf("%d binds at the directory", n-before)
			}
		})
	}
}

// A wrong login of our own is a failure, not one of the client.
func TestLDAPWrongService(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSlapd(t)
	s.add(t, "alice")
	p := startLDAPProxy(t, b, s, s.authn(t, "ldap"))
	write(t, p.file("ldap.password"), password("wrong"))
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	p.unavailable(t, "alice")
}

// A proxy starts without the directory, and a reload asks about sessions again.
func TestLDAPReload(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSlapd(t)
	s.add(t, "alice", "operators")
	s.add(t, "dave", "watchers")
	s.signal(t, syscall.SIGTERM)
	s.exit(t)
	p := startLDAPProxy(t, b, s, s.authn(t, "ldap"))
	eventually(t, "start of slapd on its old port", func() bool { return s.start(t) })
	p.comesBack(t, "alice")

	alice, _ := p.connect5(t, connection("alice"))
	dave, _ := p.connect5(t, connection("dave"))
	dave.mayOperate(t, false)
	s.remove(t, "alice")
	s.change(t, func(c *ldap.Conn) error {
		m := ldap.NewAddRequest("cn=operators,ou=groups,dc=example,dc=org", nil)
		m.Attribute("objectClass", []string{"groupOfNames"})
		m.Attribute("member", []string{dnOf("dave")})
		_ = c.Del(ldap.NewDelRequest("cn=operators,ou=groups,dc=example,dc=org", nil)) // of alice
		return c.Add(m)
	})
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, "DISCONNECT", alice.goodbye); d.ReasonCode != 0x87 {
		t.Errorf("DISCONNECT with 0x%02X, want 0x87", d.ReasonCode)
	}
	eventually(t, "groups of now", func() bool {
		return dave.publish(t, &paho.Publish{Topic: "ops/x", QoS: 1, Payload: []byte(payload("x"))}) == 0
	})
}

func TestLDAPMistakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ old, with, want string }{
		{"    start_tls: true\n    ca: ca.crt\n", "", "authn[0].url: credentials would cross the network in the clear"},
		{"uid=${username}", "uid=${clientid}", "authn[0].user_filter: wants ${username}, and no other"},
		{"(uid=${username})", "(uid=${username}*)", "user_filter: wants an attribute that equals"},
		{"ou=people,dc=example,dc=org", "people", "base_dn: wants a distinguished name"},
	} {
		dir := proxyFolder(t, settings{broker: "127.0.0.1:1883", authn: recipe(t, "ldap", test.old, test.with)})
		(*slapd)(nil).secrets(t, dir)
		checkMistake(t, filepath.Join(dir, "mqttward.yaml"), test.want)
	}
}
