package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/golang-jwt/jwt/v5"
)

// provider is an OpenID provider: see oidc/provider.mjs.
type provider struct {
	*process
	url string
}

// proxySecret is with which the proxy logs in there.
var proxySecret = password("introspection")

func startProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{process: launch(t, newTranscript(), "env", "PROXY_SECRET="+proxySecret, "node", "oidc/provider.mjs")}
	text := p.await(t, "listening at http://127.0.0.1:")
	_, rest, _ := strings.Cut(text, "listening at ")
	p.url, _, _ = strings.Cut(rest, "\n")
	return p
}

// post sends a form and returns the answer's access_token, if it has one.
func (p *provider) post(t *testing.T, path string, form url.Values) string {
	t.Helper()
	reply, err := http.PostForm(p.url+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	_ = json.NewDecoder(reply.Body).Decode(&answer) // not all answers are JSON
	if reply.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, reply.Status)
	}
	return answer.AccessToken
}

type claims map[string]any

// token is one for mqtt, with more claims.
func (p *provider) token(t *testing.T, more claims, form ...string) string {
	t.Helper()
	all := claims{"sub": "alice"}
	for name, v := range more {
		all[name] = v
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	fields := url.Values{"grant_type": {"client_credentials"}, "aud": {"mqtt"}, "claims": {string(text)}}
	for _, f := range form {
		fields.Set(f, "1")
	}
	return p.post(t, "/token", fields)
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

// bearer is how the Mosquitto clients reach the proxy with a token.
func (p *proxy) bearer(token string) []string { return append(p.anyone(), "-u", "any", "-P", token) }

// withToken is the CONNECT of a client with a token.
func withToken(clientID, token string) *paho.Connect {
	c := connection("any")
	c.ClientID, c.Password = clientID, []byte(token)
	return c
}

// refusedToken expects that a token is refused in both versions, with the reason in
// the audit log and the token nowhere.
func (p *proxy) refusedToken(t *testing.T, clientID, token string, code3, code5, reason string) {
	t.Helper()
	for version, code := range map[string]string{"311": code3, "5": code5} {
		before := len(p.audit(t))
		r := tryPublish(t, p.bearer(token), "-d", "-V", version, "-i", clientID, "-q", "1", "-t", "a", "-m", payload("x"))
		if r.code == 0 || !strings.Contains(r.stdout, "CONNACK ("+code+")") {
			t.Errorf("exit %d in %s, want CONNACK (%s):\n%s%s", r.code, version, code, r.stdout, r.stderr)
		}
		eventually(t, "audit line with "+reason, func() bool {
			for _, e := range p.audit(t)[before:] {
				if text, _ := e["error"].(string); e["msg"] == "connection refused" && strings.Contains(text, reason) {
					return true
				}
			}
			return false
		})
	}
	if len(token) > 40 && strings.Contains(p.read(t, "audit.log"), token[len(token)-40:]) {
		t.Error("the token stands in the audit log")
	}
}

// accepted publishes with a token.
func (p *proxy) accepted(t *testing.T, clientID, token string) {
	t.Helper()
	for _, version := range []string{"311", "5"} {
		publish(t, p.bearer(token), "-V", version, "-i", clientID, "-q", "1", "-t", "a", "-m", payload("x"))
	}
}

const (
	badPassword3, badPassword5     = "4", "134"
	notAuthorized3, notAuthorized5 = "5", "135"
	unavailable3, unavailable5     = "3", "136"
)

func TestTokensOfProvider(t *testing.T) {
	t.Parallel()
	id := startProvider(t)
	b := startBroker(t)
	p := startProxy(t, settings{
		broker: b.address(),
		authn:  recipe(t, "jwt-oidc", "https://id.example", id.url),
		rules: []string{
			`{groups: [operator], allow: [publish, subscribe], topics: ["#"]}`,
			`{allow: [publish], topics: ["a", "own/${claims.device}"]}`,
		},
	})
	own := func(name string, v any) string { return id.token(t, claims{"device": 1, name: v}) }
	p.accepted(t, "alice-1", id.token(t, claims{"device": 1}))
	p.awaitEvent(t, event{"msg": "session started", "username": "alice", "method": "tokens"})

	good := id.token(t, claims{"device": 1})
	for _, test := range []struct{ name, clientID, token, code3, code5, reason string }{
		{"another client identifier", "alice-2", good, notAuthorized3, notAuthorized5, "another client identifier"},
		{"cut", "alice-1", good[:len(good)-2], badPassword3, badPassword5, "signature is wrong"},
		{"expired", "alice-1", own("exp", in(-time.Minute)), badPassword3, badPassword5, "has expired"},
		{"not yet", "alice-1", own("nbf", in(time.Hour)), badPassword3, badPassword5, "not valid yet"},
		{"another audience", "alice-1", own("aud", "web"), badPassword3, badPassword5, "another audience"},
		{"another issuer", "alice-1", own("iss", "https://id.example"), badPassword3, badPassword5, "no method accepts"},
		{"wildcard", "alice-1", own("sub", "+"), notAuthorized3, notAuthorized5, "no usable user name"},
		{"no token", "alice-1", "secret", badPassword3, badPassword5, "no method accepts"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.refusedToken(t, test.clientID, test.token, test.code3, test.code5, test.reason)
		})
	}

	t.Run("groups and claims", func(t *testing.T) {
		plain, _ := p.connect5(t, withToken("alice-1", good))
		for topic, want := range map[string]byte{"own/1": 0, "own/2": 0x87} {
			if got := plain.publish(t, &paho.Publish{Topic: topic, QoS: 1}); got != want {
				t.Errorf("publish to %s: 0x%02X, want 0x%02X", topic, got, want)
			}
		}
		operator := id.token(t, claims{"device": 2, "realm_access": claims{"roles": []string{"user", "operator"}}})
		c, _ := p.connect5(t, withToken("alice-2", operator))
		if got := c.publish(t, &paho.Publish{Topic: "own/1", QoS: 1}); got != 0 {
			t.Errorf("publish of an operator: 0x%02X", got)
		}
	})
	t.Run("expiry", func(t *testing.T) {
		monitor := b.monitor(t)
		connect := withToken("alice-3", id.token(t, claims{"device": 3, "exp": in(4 * time.Second)}))
		connect.WillMessage = &paho.WillMessage{Topic: "own/3", Payload: []byte(payload("will"))}
		c, _ := p.connect5(t, connect)
		if d := receive(t, "DISCONNECT", c.goodbye); d.ReasonCode != 0x87 {
			t.Errorf("DISCONNECT with 0x%02X", d.ReasonCode)
		}
		monitor.await(t, payload("will"))
		p.awaitEvent(t, event{"msg": "session ended", "end": "identity_expired", "client_id": "alice-3"})
	})
	t.Run("provider down", func(t *testing.T) {
		id.signal(t, syscall.SIGKILL)
		id.exit(t)
		p.accepted(t, "alice-1", good)
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
		p.accepted(t, "alice-1", good) // known keys go on over a reload
	})
}

// Keys of an address, a new one among them, and scopes.
func TestTokensOfKeySet(t *testing.T) {
	t.Parallel()
	id := startProvider(t)
	b := startBroker(t)
	p := startProxy(t, settings{
		broker: b.address(),
		authn:  recipe(t, "jwt-jwks", "https://id.example", id.url),
	})
	token := func(scope string) string { return id.token(t, claims{"scope": "openid " + scope}) }
	c, _ := p.connect5(t, withToken("c", token("rabbitmq.write:*/*/plant.{sub}.* rabbitmq.read:%2F/amq.topic/plant.*")))
	for topic, want := range map[string]byte{"plant/alice/x/y": 0, "plant/bob/x": 0x87, "plant.alice.x": 0x87} {
		if got := c.publish(t, &paho.Publish{Topic: topic, QoS: 1}); got != want {
			t.Errorf("publish to %s: 0x%02X, want 0x%02X", topic, got, want)
		}
	}
	equal(t, "SUBACK", c.subscribe(t, 1, "plant/#", "#"), []byte{1, 0x87})
	c.publish(t, &paho.Publish{Topic: "plant/alice/1", QoS: 1, Payload: []byte(payload("own"))})
	if topic, body := c.next(t); topic != "plant/alice/1" || body != payload("own") {
		t.Errorf("got %s on %s", body, topic)
	}

	id.post(t, "/rotate", nil)
	rotated := ""
	for range 3 { // the keys take turns
		if next := token("rabbitmq.write:*/*/a"); strings.Contains(headerOf(t, next), "key-2") {
			rotated = next
		}
	}
	p.accepted(t, "c", rotated)
}

func headerOf(t *testing.T, token string) string {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	kid, _ := parsed.Header["kid"].(string)
	return kid
}

// Before the first keys have come, nobody can be judged.
func TestNoKeysYet(t *testing.T) {
	t.Parallel()
	id := startProvider(t)
	good := id.token(t, nil)
	id.signal(t, syscall.SIGKILL)
	id.exit(t)
	p := startProxy(t, settings{broker: startBroker(t).address(), authn: recipe(t, "jwt-jwks", "https://id.example", id.url)})
	p.refusedToken(t, "c", good, unavailable3, unavailable5, "no keys yet")
}

func TestTokensOfSecret(t *testing.T) {
	t.Parallel()
	secret := make([]byte, 16)
	_, _ = rand.Read(secret)
	text := hex.EncodeToString(secret)
	b := startBroker(t)
	dir := proxyFolder(t, settings{broker: b.address(), authn: recipe(t, "jwt-hmac")})
	write(t, filepath.Join(dir, "token.secret"), text+"\n")
	p := startProxyIn(t, dir)
	sign := func(method jwt.SigningMethod, key any, more claims) string {
		return signed(t, method, key, claims{"sub": "alice", "aud": "mqtt", "exp": in(time.Hour)}, more)
	}
	acl := claims{"acl": claims{"pub": []string{"a", "p/${username}"}, "sub": []string{"s/#"}}}
	p.accepted(t, "c", sign(jwt.SigningMethodHS256, []byte(text), acl))
	c, _ := p.connect5(t, withToken("c2", sign(jwt.SigningMethodHS256, []byte(text), acl)))
	for topic, want := range map[string]byte{"p/alice": 0, "p/bob": 0x87, "s/x": 0x87} {
		if got := c.publish(t, &paho.Publish{Topic: topic, QoS: 1}); got != want {
			t.Errorf("publish to %s: 0x%02X, want 0x%02X", topic, got, want)
		}
	}
	equal(t, "SUBACK", c.subscribe(t, 1, "s/x", "p/alice"), []byte{1, 0x87})
	p.refusedToken(t, "c", sign(jwt.SigningMethodHS256, []byte("another"), nil), badPassword3, badPassword5, "signature is wrong")
	p.refusedToken(t, "c", sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), badPassword3, badPassword5, "algorithm none is not allowed")
	p.refusedToken(t, "c", sign(jwt.SigningMethodHS256, []byte(text), claims{"acl": "all"}), badPassword3, badPassword5, "claim acl")
}

func signed(t *testing.T, method jwt.SigningMethod, key any, c, more claims) string {
	t.Helper()
	all := jwt.MapClaims{}
	for _, m := range []claims{c, more} {
		for name, v := range m {
			all[name] = v
		}
	}
	text, err := jwt.NewWithClaims(method, all).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A device signs its tokens itself; a second one comes while the proxy runs.
func TestTokensOfDevices(t *testing.T) {
	t.Parallel()
	dir := proxyFolder(t, settings{
		broker: startBroker(t).address(), authn: recipe(t, "jwt-devices"),
		rules: []string{`{allow: [publish], topics: ["a", "devices/${username}/#"]}`},
	})
	keys := map[string]*ecdsa.PrivateKey{}
	folder := filepath.Join(dir, "devices")
	enroll := func(name string) {
		t.Helper()
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = k
		write(t, filepath.Join(folder, name+".pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	enroll("pump-1")
	p := startProxyIn(t, dir)
	watch(t, p)
	token := func(name string, lifetime time.Duration) string {
		return signed(t, jwt.SigningMethodES256, keys[name], claims{"aud": "my-project", "iat": in(0), "exp": in(lifetime)}, nil)
	}
	const prefix = "projects/my-project/locations/l/registries/r/devices/"
	p.accepted(t, prefix+"pump-1", token("pump-1", time.Hour))
	p.refusedToken(t, prefix+"pump-1", token("pump-1", 48*time.Hour), badPassword3, badPassword5, "valid for longer")
	enroll("pump-2")
	eventually(t, "login of the second device", func() bool {
		return tryPublish(t, p.bearer(token("pump-2", time.Hour)), "-i", prefix+"pump-2", "-t", "a", "-m", payload("x")).code == 0
	})
	p.refusedToken(t, prefix+"pump-1", token("pump-2", time.Hour), badPassword3, badPassword5, "signature is wrong")
	p.refusedToken(t, prefix+"pump-3", token("pump-2", time.Hour), badPassword3, badPassword5, "no method accepts")

	c, _ := p.connect5(t, withToken(prefix+"pump-2", token("pump-2", time.Hour)))
	if got := c.publish(t, &paho.Publish{Topic: "devices/pump-2/x", QoS: 1}); got != 0 {
		t.Errorf("publish to its own topic: 0x%02X", got)
	}
	if err := os.Remove(filepath.Join(folder, "pump-2.pem")); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, "DISCONNECT", c.goodbye); d.ReasonCode != 0x87 {
		t.Errorf("DISCONNECT with 0x%02X", d.ReasonCode)
	}
}

func TestTokensAreAskedAbout(t *testing.T) {
	t.Parallel()
	id := startProvider(t)
	dir := proxyFolder(t, settings{
		broker: startBroker(t).address(),
		authn:  recipe(t, "jwt-introspection", "https://id.example", id.url, "cache: {ttl: 10s}", "cache: {ttl: 0s}"),
	})
	write(t, filepath.Join(dir, "introspection.secret"), proxySecret+"\n")
	p := startProxyIn(t, dir)
	opaque := id.token(t, nil, "opaque")
	p.accepted(t, "c", opaque)
	p.accepted(t, "c", id.token(t, nil))
	p.refusedToken(t, "c", "never-issued", badPassword3, badPassword5, "not active")
	p.refusedToken(t, "c", id.token(t, claims{"exp": in(-time.Minute)}, "opaque"), badPassword3, badPassword5, "has expired")
	id.post(t, "/revoke", url.Values{"token": {opaque}, "token_type_hint": {"access_token"}})
	p.refusedToken(t, "c", opaque, badPassword3, badPassword5, "not active")

	write(t, filepath.Join(dir, "introspection.secret"), "wrong\n")
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	p.refusedToken(t, "c", opaque, unavailable3, unavailable5, "answers 401")
	id.signal(t, syscall.SIGKILL)
	id.exit(t)
	p.refusedToken(t, "c", opaque, unavailable3, unavailable5, "authentication failed to answer")
}
