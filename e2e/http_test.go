package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	jwt5 "github.com/golang-jwt/jwt/v5"

	"github.com/mqttward/mqttward/internal/pki"
	"github.com/mqttward/mqttward/packets"
)

// authService is services/auth.mjs.
type authService struct {
	*process
	url string
}

// startAuthService starts a service, with TLS if secure is set.
func startAuthService(t *testing.T, secure bool) *authService {
	t.Helper()
	args := []string{"SECRET=" + secretMark, "node", "services/auth.mjs"}
	if secure {
		dir := t.TempDir()
		issue(t, authority(), dir, "auth", pki.Options{CN: "auth", DNS: []string{"localhost"}})
		args = append(args, filepath.Join(dir, "auth.crt"), filepath.Join(dir, "auth.key"))
	}
	s := &authService{process: launch(t, newTranscript(), "env", args...)}
	found := regexp.MustCompile(`listening at (\S+)`).FindStringSubmatch(s.await(t, "\n"))
	if found == nil {
		t.Fatalf("the service says %q", s.out)
	}
	s.url = strings.Replace(found[1], "127.0.0.1", "localhost", 1)
	return s
}

// authn is a recipe with the address of the service, and patience for a busy machine.
func (s *authService) authn(t *testing.T, name string, replace ...string) string {
	t.Helper()
	address := "http://127.0.0.1:8080"
	if strings.HasPrefix(s.url, "https") {
		address = "https://auth.example"
	}
	return recipe(t, name, append([]string{address, s.url, "type: http\n", "type: http\n    timeout: 9s\n"}, replace...)...)
}

// secrets writes the files that the recipes name.
func (*authService) secrets(t *testing.T, dir string) {
	write(t, filepath.Join(dir, "auth-ca.crt"), string(authority().PEM()))
	write(t, filepath.Join(dir, "auth.token"), password("proxy")+"\n")
}

// questions is how often the service was asked.
func (s *authService) questions() int { return strings.Count(s.out.String(), "asked ") }

// accessToken is a token of the service for a user.
func accessToken(t *testing.T, sub, secret string) string {
	t.Helper()
	token, err := jwt5.NewWithClaims(jwt5.SigningMethodHS256, jwt5.MapClaims{
		"sub": sub, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func emqxMethod(t *testing.T) method {
	s := startAuthService(t, true)
	return method{
		name: "service", authn: s.authn(t, "http-emqx"), files: s.secrets,
		good: login("alice", password("alice")), wrong: login("alice", password("bob")), absent: login("mallory", password("alice")),
		wrongIs: badLogin("the service denies"), absentIs: badLogin(nobody),
		stop: s.kill, downIs: unavailable("authentication failed to answer: POST localhost"),
	}
}

func vernemqMethod(t *testing.T) method {
	s := startAuthService(t, false)
	return method{
		name: "service", authn: s.authn(t, "http-vernemq", "    cache: {ttl: 1h, negative_ttl: 1h}\n", ""),
		good: login("alice", password("alice")), wrong: login("alice", password("bob")), absent: login("mallory", password("alice")),
		wrongIs: badLogin("the service refuses"), absentIs: badLogin(nobody),
		stop: s.kill, downIs: unavailable("authentication failed to answer: POST localhost"),
	}
}

func goAuthMethod(t *testing.T) method {
	s := startAuthService(t, false)
	return method{
		name: "service", authn: s.authn(t, "http-go-auth"),
		good: login("alice", password("alice")), wrong: login("alice", password("bob")), absent: noLoginAtAll,
		wrongIs: badLogin("the service refuses"), absentIs: noLogin(nobody),
		stop: s.kill, downIs: unavailable("authentication failed to answer: POST localhost"),
	}
}

func goAuthTokenMethod(t *testing.T) method {
	s := startAuthService(t, false)
	return method{
		name: "service", authn: s.authn(t, "http-go-auth-jwt"),
		good: login(accessToken(t, "alice", secretMark), "any"), wrong: login(accessToken(t, "alice", "guessed"), ""), absent: login("alice", password("alice")),
		wrongIs: badLogin("the service refuses"), absentIs: badLogin(nobody),
		stop: s.kill, downIs: unavailable("authentication failed to answer: POST localhost"),
	}
}

// What EMQX's answers say of a client holds for its session.
func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startAuthService(t, true)
	dir := proxyFolder(t, settings{broker: b.address(), authn: s.authn(t, "http-emqx"), rules: []string{
		`{allow: [publish], topics: ["rules/${claims.client_attrs.site}"]}`,
	}})
	s.secrets(t, dir)
	p := startProxyIn(t, dir)
	alice, _ := p.connect5(t, connection("alice"))
	bob, _ := p.connect5(t, connection("bob"))
	carol, _ := p.connect5(t, connection("carol"))
	for _, test := range []struct {
		c     *client5
		topic string
		want  byte
	}{
		{alice, "anything", 0}, // a superuser
		{alice, "$SYS/x", 0x87},
		{bob, "site/paris/x", 0},
		{bob, "site/berlin/x", 0x87},
		{bob, "rules/paris", 0x87}, // the service's list ends with a denial
	} {
		if got := test.c.publish(t, &paho.Publish{Topic: test.topic, QoS: 1, Payload: []byte(payload("x"))}); got != test.want {
			t.Errorf("PUBLISH to %s: 0x%02X, want 0x%02X", test.topic, got, test.want)
		}
	}
	equal(t, "SUBSCRIBE of a superuser", alice.subscribe(t, 1, "#", "$SYS/#"), []byte{1, 1})
	equal(t, "SUBSCRIBE of bob", bob.subscribe(t, 1, "site/paris/#", "#"), []byte{1, 0x87})
	if d := receive(t, "the end of carol's session", carol.goodbye); d.ReasonCode != 0x87 {
		t.Errorf("DISCONNECT with 0x%02X", d.ReasonCode)
	}
}

// A modifier that cannot be done here keeps the client out.
func TestHTTPModifiers(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startAuthService(t, false)
	p := startProxy(t, settings{broker: b.address(), authn: s.authn(t, "http-vernemq")})
	p.refused5(t, connection("carol"), 0x87)
	p.awaitEvent(t, event{"msg": "connection refused", "username": "carol", "error": "the answer about the client cannot be used: the modifier client_id would make another client of it"})
}

// A token is a secret: not even of a client that is refused, or that could not be
// asked about, is it in the log.
func TestHTTPTokensAreNotLogged(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startAuthService(t, false)
	p := startProxy(t, settings{broker: b.address(), authn: s.authn(t, "http-go-auth-jwt")})
	good := proving(accessToken(t, "alice", secretMark), "any")
	p.connect5(t, good)
	p.awaitEvent(t, event{"msg": "session started", "username": "alice", "method": "service"})
	p.refused5(t, proving(accessToken(t, "alice", "guessed"), "any"), 0x86)
	p.refused5(t, proving(accessToken(t, "mallory", secretMark), "any"), 0x86)
	p.awaitEvent(t, event{"msg": "connection refused", "username": "[token]", "end": "bad_credentials"})
	s.kill(t)
	p.refused5(t, good, 0x88)
	p.awaitEvent(t, event{"msg": "connection refused", "username": "[token]", "end": "authn_unavailable"})
	if lines := p.read(t, "audit.log") + logged(t); strings.Contains(lines, "eyJ") {
		t.Errorf("a token in the log:\n%s", lines)
	}
}

// Services that are slow or answer something else let nobody in, whatever the
// contract.
func TestHTTPServiceOutOfOrder(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startAuthService(t, false)
	for path, how := range map[string]refusal{
		"silent": unavailable("context deadline exceeded"), "html": unavailable("the service"), "broken": unavailable("status 500"),
		"absent": badLogin(""), // it may be the user who is not there
	} {
		for recipe, there := range map[string]string{"http-vernemq": "/vernemq", "http-go-auth": "/go-auth/user"} {
			t.Run(path+" "+recipe, func(t *testing.T) {
				t.Parallel()
				replace := []string{there, "/" + path}
				if path == "silent" {
					replace = append(replace, "timeout: 9s", "timeout: 300ms")
				}
				p := startProxy(t, settings{broker: b.address(), authn: s.authn(t, recipe, replace...) + passwordFile})
				for _, v := range []packets.Version{packets.V311, packets.V5} {
					p.refuses(t, path, v, login("alice", password("alice")), how)
				}
			})
		}
	}
}

// With a cache the service is asked once; what may not be remembered is asked about
// each time.
func TestHTTPCache(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startAuthService(t, false)
	p := startProxy(t, settings{broker: b.address(), authn: s.authn(t, "http-vernemq")})
	for _, step := range []struct {
		user, secret string
		code         byte
		asked        int
	}{
		{"alice", password("alice"), 0, 1},
		{"alice", password("alice"), 0, 1},
		{"alice", password("bob"), 0x86, 2},
		{"alice", password("bob"), 0x86, 2}, // negative_ttl
		{"alice", password("alice"), 0, 2},
		{"bob", password("bob"), 0, 3},
		{"bob", password("bob"), 0, 4}, // no-store
		{"mallory", password("alice"), 0x86, 5},
		{"mallory", password("alice"), 0x86, 5},
		{"alice", "", 0x86, 5}, // is not asked at all
	} {
		c := connection(step.user)
		c.Password = []byte(step.secret)
		if step.code == 0 {
			p.connect5(t, c)
		} else {
			p.refused5(t, c, step.code)
		}
		if got := s.questions(); got != step.asked {
			t.Errorf("%s: asked %d times, want %d", step.user, got, step.asked)
		}
	}
	s.kill(t)
	p.connect5(t, connection("alice")) // who is remembered
	for range 2 {                      // a failure is not
		p.refused5(t, connection("carol"), 0x88)
	}
}

// Without one it is asked about each login, and after failures left alone.
func TestHTTPBreaker(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startAuthService(t, false)
	p := startProxy(t, settings{
		broker: b.address(),
		authn:  s.authn(t, "http-vernemq", "/vernemq", "/broken", "cache: {ttl: 1h, negative_ttl: 1h}", "breaker: {failures: 2, cooldown: 1h}"),
	})
	for range 4 {
		p.refused5(t, connection("alice"), 0x88)
	}
	if got := s.questions(); got != 2 {
		t.Errorf("asked %d times, want 2", got)
	}
	p.awaitEvent(t, event{"msg": "connection refused", "end": "authn_unavailable", "username": "alice"})
}

// A reload cannot ask again, and ends no session; a service that is told by its
// configuration to be reached in the clear is a mistake.
func TestHTTPReload(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startAuthService(t, false)
	used := settings{broker: b.address(), authn: s.authn(t, "http-go-auth")}
	p := startProxy(t, used)
	alice, _ := p.connect5(t, connection("alice"))
	s.kill(t)
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	alice.mayOperate(t, true)
	used.authn = recipe(t, "http-go-auth", "127.0.0.1:8080", "192.0.2.1:8080")
	p.configure(t, used)
	if err := p.Reload(); err == nil || !strings.Contains(err.Error(), "credentials would cross the network in the clear") {
		t.Errorf("got %v", err)
	}
	alice.mayOperate(t, true)
}
