package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// signer is a private key of the tests.
type signer struct {
	alg     string
	private any
	public  any
}

// signers are made once: RSA keys take their time.
var signers = sync.OnceValue(func() map[string]signer {
	secret := make([]byte, 64)
	_, _ = rand.Read(secret)
	made := map[string]signer{"HS256": {"HS256", secret, secret}}
	add := func(alg string, private crypto.Signer, err error) {
		if err != nil {
			panic(err)
		}
		made[alg] = signer{alg, private, private.Public()}
	}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(alg, k, err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	add("EdDSA", ed, err)
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	add("RS256", k, err)
	for _, alg := range []string{"RS512", "PS256"} {
		made[alg] = signer{alg, k, k.Public()}
	}
	for _, alg := range []string{"HS384", "HS512"} {
		made[alg] = signer{alg, secret, secret}
	}
	return made
})

// source is what holds the public part of s, with a key id if there is one.
func (s signer) source(t testing.TB, kid string) Keys {
	t.Helper()
	parse, text := ParsePEM, []byte(nil)
	if secret, ok := s.public.([]byte); ok {
		parse, text = ParseSecret, secret
	} else {
		text = s.pem(t)
	}
	keys, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	keys[0].id = kid
	return keys
}

func (s signer) pem(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// sign makes a token with more in its header.
func (s signer) sign(t testing.TB, c map[string]any, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(s.alg), jwt.MapClaims(c))
	maps.Copy(token.Header, header)
	text, err := token.SignedString(s.private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const issuer = "https://issuer.example"

// good are claims that are accepted, changed by pairs of name and value; a nil
// value takes a claim away.
func good(change ...any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{"iss": issuer, "sub": "alice", "aud": "mqtt", "iat": now, "exp": now + 3600}
	for i := 0; i+1 < len(change); i += 2 {
		if name := change[i].(string); change[i+1] == nil {
			delete(c, name)
		} else {
			c[name] = change[i+1]
		}
	}
	return c
}

// from counts from now.
func from(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func options(source Source) Options {
	return Options{
		Name: "tokens", In: InPassword, Source: source, Issuer: issuer, Audience: "mqtt",
		Leeway: 30 * time.Second, Username: template("${claims.sub}"),
	}
}

func template(text string) filters.Template {
	t, err := filters.ParseTemplate(text)
	if err != nil {
		panic(err)
	}
	return t
}

func newMethod(t testing.TB, o Options) *Authenticator {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// present hands a token over as a password.
func present(t testing.TB, a *Authenticator, token string) (filters.Identity, error) {
	t.Helper()
	return a.Authenticate(t.Context(), withPassword(token))
}

func withPassword(token string) filters.Credentials {
	return filters.Credentials{ClientID: "client-1", Username: "any", HasUsername: true, Password: filters.Secret(token), HasPassword: true}
}

// wants checks an error: "" is none, "not mine" is authn.ErrNotMine, and anything
// else stands in a refusal, or after "source: " in a failure of the source. The
// token never does.
func wants(t *testing.T, err error, want, token string) {
	t.Helper()
	var refusal *packets.Error
	refused := errors.As(err, &refusal) && (refusal.Code == packets.BadUserNameOrPassword || refusal.Code == packets.NotAuthorized)
	failure, isFailure := strings.CutPrefix(want, "source: ")
	switch {
	case want == "" && err == nil:
	case want == "" || err == nil:
		t.Errorf("got %v, want %q", err, want)
	case want == "not mine":
		if !errors.Is(err, authn.ErrNotMine) {
			t.Errorf("got %v, want ErrNotMine", err)
		}
	case isFailure:
		if refusal != nil || errors.Is(err, authn.ErrNotMine) || !strings.Contains(err.Error(), failure) {
			t.Errorf("got %v, want a failure with %q", err, failure)
		}
	case !refused || !strings.Contains(refusal.Msg, want):
		t.Errorf("got %v, want a refusal with %q", err, want)
	}
	if err != nil && len(token) > 20 && strings.Contains(err.Error(), token[len(token)-20:]) {
		t.Errorf("the error holds the token: %v", err)
	}
}

func TestAlgorithms(t *testing.T) {
	for alg, s := range signers() {
		t.Run(alg, func(t *testing.T) {
			a := newMethod(t, options(s.source(t, "")))
			id, err := present(t, a, s.sign(t, good(), nil))
			if err != nil || id.Username != "alice" || id.Method != "tokens" || time.Until(id.Expires) > time.Hour || time.Until(id.Expires) < 50*time.Minute {
				t.Errorf("got %+v, %v", id, err)
			}
			for other, o := range signers() {
				if _, err := present(t, a, o.sign(t, good(), nil)); err == nil && (other[0] != alg[0] && other[:2] != "PS" && alg[:2] != "PS" || other[0] == 'E' && other != alg) {
					t.Errorf("accepts a token of %s", other)
				}
			}
			narrow := options(s.source(t, ""))
			narrow.Algorithms = []string{"RS384"}
			_, err = present(t, newMethod(t, narrow), s.sign(t, good(), nil))
			wants(t, err, "the token's algorithm "+alg+" is not allowed", "")
		})
	}
}

func TestClaims(t *testing.T) {
	s := signers()["ES256"]
	a := newMethod(t, options(s.source(t, "")))
	for _, test := range []struct {
		name   string
		claims map[string]any
		want   string
	}{
		{"good", good(), ""},
		{"one of several audiences", good("aud", []any{"other", "mqtt"}), ""},
		{"another audience", good("aud", "other"), "another audience"},
		{"audience with another in it", good("aud", "other mqtt"), "another audience"},
		{"no audience", good("aud", nil), "another audience"},
		{"audience of no text", good("aud", []any{"mqtt", 1}), "another audience"},
		{"another issuer", good("iss", "https://other.example"), "not mine"},
		{"no issuer", good("iss", nil), "not mine"},
		{"issuer of no text", good("iss", []any{issuer}), "not mine"},
		{"expired", good("exp", from(-time.Second)), "has expired"},
		{"expired long ago", good("exp", 0), "has expired"},
		{"no expiry", good("exp", nil), "does not say when it expires"},
		{"expiry in words", good("exp", "2099-01-01"), "exp is no date"},
		{"null expiry", good("exp", json.RawMessage("null")), "exp is no date"},
		{"expiry beyond time", good("exp", json.RawMessage("1e300")), "exp is no date"},
		{"expiry beyond numbers", good("exp", json.RawMessage("1e999")), "exp is no date"},
		{"fraction of a second", good("exp", json.RawMessage("99999999999.5")), ""},
		{"negative", good("nbf", -1), "nbf is no date"},
		{"not yet", good("nbf", from(time.Minute)), "is not valid yet"},
		{"clocks differ", good("nbf", from(20*time.Second), "iat", from(20*time.Second)), ""},
		{"from the future", good("iat", from(time.Minute)), "issued in the future"},
		{"no user name", good("sub", nil), "no usable user name"},
		{"empty user name", good("sub", ""), "no usable user name"},
		{"wildcard for a user name", good("sub", "+"), "no usable user name"},
		{"list for a user name", good("sub", []any{"alice"}), "no usable user name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := s.sign(t, test.claims, nil)
			_, err := present(t, a, token)
			wants(t, err, test.want, token)
		})
	}
}

// A client's clock may be set, so what it signs itself must not live for long.
func TestMaxLifetime(t *testing.T) {
	s := signers()["ES256"]
	o := options(s.source(t, ""))
	o.MaxLifetime = time.Hour
	a := newMethod(t, o)
	for _, test := range []struct {
		name   string
		claims map[string]any
		want   string
	}{
		{"just right", good(), ""},
		{"too long", good("exp", from(time.Hour+time.Minute)), "valid for longer than 1h0m0s"},
		{"without iat", good("iat", nil), ""},
		{"too long without iat", good("iat", nil, "exp", from(time.Hour+time.Minute)), "valid for longer than 1h0m0s"},
		{"issued later", good("iat", from(10*time.Hour), "exp", from(11*time.Hour)), "issued in the future"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := present(t, a, s.sign(t, test.claims, nil))
			wants(t, err, test.want, "")
		})
	}
}

// What is wrong with a token before its claims are looked at.
func TestForgeries(t *testing.T) {
	rs, hs := signers()["RS256"], signers()["HS256"]
	a := newMethod(t, options(rs.source(t, "k1")))
	token := rs.sign(t, good(), map[string]any{"kid": "k1"})
	part := strings.Split(token, ".")
	encode := base64.RawURLEncoding.EncodeToString
	// The public key is known to everybody: it must not become a secret.
	swapped := signer{"HS256", rs.pem(t), nil}.sign(t, good(), map[string]any{"kid": "k1"})
	for _, test := range []struct{ name, token, want string }{
		{"good", token, ""},
		{"HS256 with the public key", swapped, "no key for the token's algorithm HS256"},
		{"HS256 with a secret", hs.sign(t, good(), nil), "no key for the token's algorithm HS256"},
		{"none", encode([]byte(`{"alg":"none"}`)) + "." + part[1] + ".", "algorithm none is not allowed"},
		{"none with a signature", encode([]byte(`{"alg":"none","kid":"k1"}`)) + "." + part[1] + "." + part[2], "algorithm none is not allowed"},
		{"unknown algorithm", encode([]byte(`{"alg":"nOnE"}`)) + "." + part[1] + ".", "algorithm is unknown"},
		{"no algorithm", encode([]byte(`{"typ":"JWT"}`)) + "." + part[1] + "." + part[2], "algorithm is unknown"},
		{"cut by a letter", token[:len(token)-1], "malformed"},
		{"cut by two letters", token[:len(token)-2], "signature is wrong"},
		{"cut by a hundred and one", token[:len(token)-101], "malformed"},
		{"no signature", part[0] + "." + part[1] + ".", "signature is wrong"},
		{"another payload", part[0] + "." + encode([]byte(`{"iss":"`+issuer+`","sub":"eve","aud":"mqtt","exp":9999999999}`)) + "." + part[2], "signature is wrong"},
		{"unknown key", rs.sign(t, good(), map[string]any{"kid": "k2"}), "key id is unknown"},
		{"key id that is a path", rs.sign(t, good(), map[string]any{"kid": "../k1"}), "key id is unknown"},
		{"key id of no text", rs.sign(t, good(), map[string]any{"kid": 1}), "key id is no text"},
		{"no key id", rs.sign(t, good(), nil), ""},
		{"own key", rs.sign(t, good(), map[string]any{"kid": "k2", "jwk": map[string]any{"kty": "oct", "k": "AAAA"}, "jku": "http://127.0.0.1:1/"}), "key id is unknown"},
		{"critical header", rs.sign(t, good(), map[string]any{"kid": "k1", "crit": []string{"b64"}, "b64": false}), "critical header"},
		{"another type", rs.sign(t, good(), map[string]any{"kid": "k1", "typ": "at+jwt"}), ""},
		{"too long", rs.sign(t, good("x", strings.Repeat("x", 20_000)), map[string]any{"kid": "k1"}), "longer than 16384 bytes"},
		{"a megabyte", strings.Repeat("a", 1<<20) + ".b.c", "longer than 16384 bytes"},
		{"a megabyte of nesting", "a." + strings.Repeat("W1tb", 1<<18) + ".c", "longer than 16384 bytes"},
		{"nesting", part[0] + "." + encode([]byte(`{"a":` + strings.Repeat("[", 11_000) + strings.Repeat("]", 11_000) + "}"))[:16_000] + ".c", "not mine"},

		{"a password", "correct horse battery staple", "not mine"},
		{"nothing", "", "not mine"},
		{"words with dots", "correct.horse.battery", "not mine"},
		{"two parts", part[0] + "." + part[1], "not mine"},
		{"four parts", token + ".x", "not mine"},
		{"padding", part[0] + "=." + part[1] + "." + part[2], "not mine"},
		{"line break", part[0] + "\n." + part[1] + "." + part[2], "not mine"},
		{"list for claims", part[0] + "." + encode([]byte(`[]`)) + "." + part[2], "not mine"},
		{"null for claims", part[0] + "." + encode([]byte(`null`)) + "." + part[2], "not mine"},
		{"more than claims", part[0] + "." + encode([]byte(`{} {}`)) + "." + part[2], "not mine"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := present(t, a, test.token)
			wants(t, err, test.want, test.token)
		})
	}
}

// No token that is cut short is accepted.
func TestCutToken(t *testing.T) {
	s := signers()["ES256"]
	a := newMethod(t, options(s.source(t, "")))
	token := s.sign(t, good(), nil)
	for i := range token {
		if _, err := present(t, a, token[:i]); err == nil {
			t.Errorf("accepted after %d of %d bytes", i, len(token))
		}
	}
}

func TestWhereTheTokenStands(t *testing.T) {
	s := signers()["ES256"]
	token := s.sign(t, good(), nil)
	o := options(s.source(t, ""))
	o.In = InUsername
	a := newMethod(t, o)
	if id, err := a.Authenticate(t.Context(), filters.Credentials{Username: token, HasUsername: true}); err != nil || id.Username != "alice" {
		t.Errorf("as user name: %+v, %v", id, err)
	}
	_, err := present(t, a, token)
	wants(t, err, "not mine", "")
	_, err = newMethod(t, options(s.source(t, ""))).Authenticate(t.Context(), filters.Credentials{Username: token, HasUsername: true})
	wants(t, err, "not mine", "")
}

func TestEnhancedAuthentication(t *testing.T) {
	s := signers()["ES256"]
	o := options(s.source(t, ""))
	o.In, o.AuthMethod = InAuthData, "OAUTH2-JWT"
	a := newMethod(t, o)
	begin := func(method string) (authn.Dialogue, error) {
		return a.Begin(filters.Credentials{ClientID: "c", AuthMethod: method})
	}
	if _, err := begin("SCRAM-SHA-256"); !errors.Is(err, authn.ErrNotMine) {
		t.Errorf("another method: %v", err)
	}
	if _, err := newMethod(t, options(s.source(t, ""))).Begin(filters.Credentials{AuthMethod: ""}); !errors.Is(err, authn.ErrNotMine) {
		t.Errorf("a method of passwords: %v", err)
	}
	d, err := begin("OAUTH2-JWT")
	if err != nil {
		t.Fatal(err)
	}
	answer, id, err := d.Next(t.Context(), filters.Secret(s.sign(t, good(), nil)))
	if err != nil || answer != nil || id.Username != "alice" {
		t.Errorf("got %q, %+v, %v", answer, id, err)
	}
	_, id, err = d.Next(t.Context(), filters.Secret(s.sign(t, good("exp", 1), nil)))
	var refusal *packets.Error
	if id != nil || !errors.As(err, &refusal) || refusal.Code != packets.NotAuthorized {
		t.Errorf("expired: got %+v, %v", id, err)
	}
	if _, id, err = d.Next(t.Context(), nil); id != nil || !errors.Is(err, authn.ErrNotMine) {
		t.Errorf("nothing: got %+v, %v", id, err)
	}
	_, err = a.Authenticate(t.Context(), withPassword(s.sign(t, good(), nil)))
	wants(t, err, "not mine", "")
}

// Several issuers stand in one chain.
func TestChain(t *testing.T) {
	s := signers()["ES256"]
	first, second := options(s.source(t, "")), options(s.source(t, ""))
	second.Name, second.Issuer = "others", "https://other.example"
	chain := authn.Chain{newMethod(t, first), newMethod(t, second)}
	for want, claims := range map[string]map[string]any{"tokens": good(), "others": good("iss", "https://other.example")} {
		id, err := chain.Authenticate(context.Background(), withPassword(s.sign(t, claims, nil)))
		if err != nil || id.Method != want {
			t.Errorf("got %+v, %v; want %s", id, err, want)
		}
	}
	_, err := chain.Authenticate(context.Background(), withPassword(s.sign(t, good("iss", "https://third.example"), nil)))
	wants(t, err, "no method accepts", "")
}

func TestRecheck(t *testing.T) {
	s := signers()["ES256"]
	a := newMethod(t, options(s.source(t, "")))
	own, others := &filters.Session{Identity: filters.Identity{Method: "tokens"}}, &filters.Session{Identity: filters.Identity{Method: "users"}}
	if err := a.Recheck(t.Context(), own); err != nil {
		t.Error(err)
	}
	if err := a.Recheck(t.Context(), others); !errors.Is(err, authn.ErrNotMine) {
		t.Errorf("of another method: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	keys := Keys{}
	for _, test := range []struct {
		name, username, tenant, clientID string
		wrong                            bool
	}{
		{"claims", "${claims.sub}", "${claims.tid}", "${username}", false},
		{"client identifier that is laid down", "${clientid}", "", "${claims.cid}", false},
		{"client identifier for a user name", "${clientid}", "", "", true},
		{"client identifier in a user name", "${claims.sub}/${clientid}", "", "", true},
		{"user name for a user name", "${username}", "", "", true},
		{"client identifier for itself", "${claims.sub}", "", "${clientid}", true},
		{"client identifier in a circle", "${clientid}", "", "${clientid}", true},
		{"user name in a circle", "${clientid}", "", "${username}", true},
		{"tenant in a circle", "${claims.sub}", "${clientid}", "${tenant}", true},
		{"tenant of a client identifier", "${claims.sub}", "${clientid}", "", true},
	} {
		o := options(keys)
		o.Username = template(test.username)
		if test.tenant != "" {
			o.Tenant = template(test.tenant)
		}
		if test.clientID != "" {
			o.ClientID = template(test.clientID)
		}
		if _, err := New(o); (err != nil) != test.wrong {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("accepts neither keys nor a server")
	}
}

func FuzzToken(f *testing.F) {
	s := signers()["ES256"]
	token := s.sign(f, good(), nil)
	for _, seed := range []string{token, "a.b.c", "..", "", "eyJhbGciOiJub25lIn0.e30.", token[:40]} {
		f.Add(seed)
	}
	a := newMethod(f, options(s.source(f, "")))
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := present(t, a, text); err == nil && text != token {
			t.Errorf("accepted %q", text)
		}
	})
}

// BenchmarkDecision is a login with a token.
func BenchmarkDecision(b *testing.B) {
	for _, alg := range []string{"ES256", "RS256", "HS256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			s := signers()[alg]
			a := newMethod(b, options(s.source(b, "")))
			c := withPassword(s.sign(b, good(), nil))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Authenticate(context.Background(), c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
