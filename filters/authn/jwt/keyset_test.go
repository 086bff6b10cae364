package jwt

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters/authn"
)

// provider is an HTTP transport that answers with keys. Tests change how under its
// lock.
type provider struct {
	mu      sync.Mutex
	keys    []byte
	header  http.Header
	err     error
	status  int
	slow    time.Duration
	fetched int
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.fetched++
	answer := &http.Response{StatusCode: p.status, Header: p.header, Body: io.NopCloser(bytes.NewReader(p.keys)), Request: r}
	err, slow := p.err, p.slow
	p.mu.Unlock()
	select {
	case <-time.After(slow):
		if err != nil {
			return nil, err
		}
		return answer, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// fetches is how often keys were fetched, once everything rests.
func (p *provider) fetches(t *testing.T, want int) {
	t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fetched != want {
		t.Errorf("fetched %d times, want %d", p.fetched, want)
	}
}

// remote is a method whose keys a provider has: at first that of ES256 as k1.
func remote(t *testing.T) (*provider, *KeySet, *Authenticator, *[]error) {
	t.Helper()
	p := &provider{status: http.StatusOK, keys: jwks(t, jwkOf(t, signers()["ES256"], "kid", "k1"))}
	told := &[]error{}
	s := NewKeySet(KeySetOptions{
		URL: "https://issuer.example/keys", Client: &http.Client{Transport: p}, Timeout: 2 * time.Second,
		Changed: func(failure error) { *told = append(*told, failure) },
	})
	return p, s, newMethod(t, options(s)), told
}

// token is signed with the key of alg under a key id.
func token(t *testing.T, alg, kid string) string {
	t.Helper()
	return signers()[alg].sign(t, good("exp", from(100*time.Hour)), map[string]any{"kid": kid})
}

func login(t *testing.T, a *Authenticator, token, want string) {
	t.Helper()
	_, err := present(t, a, token)
	wants(t, err, want, token)
}

func TestKeySetIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, a, _ := remote(t)
		p.fetches(t, 0)
		s.Start()
		s.Start()
		p.fetches(t, 1)
		login(t, a, token(t, "ES256", "k1"), "")
		p.set(func() { p.keys = jwks(t, jwkOf(t, signers()["RS256"], "kid", "k2")) })
		time.Sleep(refreshAfter)
		p.fetches(t, 2)
		login(t, a, token(t, "RS256", "k2"), "")
		p.set(func() { p.header = http.Header{"Cache-Control": {"public, max-age=1800"}} })
		time.Sleep(refreshAfter)
		p.fetches(t, 3)
		time.Sleep(29 * time.Minute)
		p.fetches(t, 3)
		time.Sleep(time.Minute)
		p.fetches(t, 4)
		s.Close()
		s.Close()
		time.Sleep(24 * time.Hour)
		p.fetches(t, 4)
		login(t, a, token(t, "RS256", "k2"), "")
		login(t, a, token(t, "ES256", "k1"), "key id is unknown")
		s.Start()
		p.fetches(t, 4)
	})
}

// The first login starts the fetching, and waits for it.
func TestFirstKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, a, _ := remote(t)
		defer s.Close()
		p.slow = time.Second
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { login(t, a, token(t, "ES256", "k1"), "") })
		}
		wg.Wait()
		p.fetches(t, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		p, s, a, _ := remote(t)
		defer s.Close()
		p.slow = time.Second
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := a.Authenticate(ctx, withPassword(token(t, "ES256", "k1")))
		wants(t, err, "source: the keys have not come yet", "")
	})
}

func TestNoKeysYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, a, told := remote(t)
		defer s.Close()
		p.err = errors.New("no route")
		login(t, a, token(t, "ES256", "k1"), "source: there are no keys yet")
		login(t, a, token(t, "ES256", "k9"), "source: no route")
		p.fetches(t, 1)
		// It is tried again, less and less often.
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if p.fetched < 10 || p.fetched > 20 {
			t.Errorf("fetched %d times in ten minutes", p.fetched)
		}
		p.set(func() { p.err = nil })
		time.Sleep(retryAtMost)
		synctest.Wait()
		login(t, a, token(t, "ES256", "k1"), "")
		if got := *told; len(got) != 2 || got[0] == nil || got[1] != nil {
			t.Errorf("told %v, want the failure and its end", got)
		}
	})
}

// Whatever the provider does, keys that are known stay.
func TestKnownKeysStay(t *testing.T) {
	for _, test := range []struct {
		name   string
		breaks func(*provider)
	}{
		{"down", func(p *provider) { p.err = errors.New("refused") }},
		{"slow", func(p *provider) { p.slow = time.Hour }},
		{"broken", func(p *provider) { p.status = http.StatusInternalServerError }},
		{"moved", func(p *provider) {
			p.status, p.header = http.StatusFound, http.Header{"Location": {"https://evil.example/keys"}}
		}},
		{"empty", func(p *provider) { p.keys = []byte(`{"keys":[]}`) }},
		{"of no use", func(p *provider) { p.keys = []byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`) }},
		{"no JSON", func(p *provider) { p.keys = []byte("<html>") }},
		{"nothing", func(p *provider) { p.keys = nil }},
		{"huge", func(p *provider) { p.keys = append(bytes.Repeat([]byte(" "), 1<<20), p.keys...) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, s, a, told := remote(t)
				defer s.Close()
				// The transport is not what follows redirections.
				s.options.Client.CheckRedirect = authn.NewHTTPClient(nil, 1, time.Second).CheckRedirect
				login(t, a, token(t, "ES256", "k1"), "")
				p.set(func() { test.breaks(p) })
				time.Sleep(time.Hour)
				login(t, a, token(t, "ES256", "k1"), "")
				// It may be a new key, so the client is not to blame.
				login(t, a, token(t, "ES256", "k9"), "source: cannot be fetched anew")
				if got := *told; len(got) != 1 || got[0] == nil {
					t.Errorf("told %v, want one failure", got)
				}
			})
		})
	}
}

// A key that is new is fetched at once; key ids that are made up cost one fetch in
// ten seconds, and do not hold up others.
func TestUnknownKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, a, _ := remote(t)
		defer s.Close()
		login(t, a, token(t, "ES256", "k1"), "")
		p.set(func() {
			p.keys = jwks(t, jwkOf(t, signers()["ES256"], "kid", "k1"), jwkOf(t, signers()["EdDSA"], "kid", "k2"))
			p.slow = time.Second
		})
		var wg sync.WaitGroup
		for range 10 { // they wait for the same fetch
			wg.Go(func() { login(t, a, token(t, "EdDSA", "k2"), "") })
		}
		wg.Wait()
		p.fetches(t, 2)
		start := time.Now()
		for range 100 {
			login(t, a, token(t, "EdDSA", "made up"), "key id is unknown")
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("logins waited for %v", waited)
		}
		p.fetches(t, 2)
		time.Sleep(unknownAfter)
		login(t, a, token(t, "EdDSA", "made up"), "key id is unknown")
		p.fetches(t, 3)
		// Another algorithm is no other key.
		time.Sleep(unknownAfter)
		login(t, a, token(t, "RS256", "k2"), "no key for the token's algorithm")
		p.fetches(t, 3)
	})
}

func TestMaxAge(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": refreshAfter, "no-store": refreshAfter, "max-age=x": refreshAfter, "max-age=-1": refreshAfter, "max-age": refreshAfter,
		"max-age=0": time.Minute, "max-age=600": 10 * time.Minute, `private, Max-Age="600"`: 10 * time.Minute,
		"max-age=86400": time.Hour, "s-maxage=60, max-age=120": 2 * time.Minute, "max-age=99999999999999999999": refreshAfter,
	} {
		if got := maxAge(http.Header{"Cache-Control": {header}}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestDiscovery(t *testing.T) {
	keys := jwks(t, jwkOf(t, signers()["ES256"], "kid", "k1"))
	for _, test := range []struct{ name, path, issuer, jwksURI, want string }{
		{"good", "", "{self}", "{self}/keys", ""},
		{"issuer with a path", "/realms/r", "{self}", "{server}/keys", ""},
		{"issuer with a slash", "/realms/r/", "{self}", "{server}/keys", ""},
		{"another issuer", "", "https://issuer.example", "{self}/keys", "source: of another issuer"},
		{"no slash in the document", "/realms/r/", "{server}/realms/r", "{server}/keys", "source: of another issuer"},
		{"keys in the clear", "", "{self}", "http://issuer.example/keys", "source: no jwks_uri with https"},
		{"keys in a file", "", "{self}", "file:///etc/passwd", "source: no jwks_uri with https"},
		{"no keys", "", "{self}", "", "source: no jwks_uri with https"},
		{"loop", "", "{self}", "{self}/loop", "source: the server answers 302"},
		{"nowhere", "/none", "{self}", "{server}/keys", "source: the server answers 404"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s *httptest.Server
			s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/.well-known/openid-configuration", "/realms/r/.well-known/openid-configuration":
					_, _ = io.WriteString(w, strings.NewReplacer("{self}", s.URL+test.path, "{server}", s.URL).
						Replace(`{"issuer":"`+test.issuer+`","jwks_uri":"`+test.jwksURI+`"}`))
				case "/keys":
					_, _ = w.Write(keys)
				case "/loop":
					http.Redirect(w, r, "/loop", http.StatusFound)
				default:
					http.NotFound(w, r)
				}
			}))
			defer s.Close()
			set := NewKeySet(KeySetOptions{Issuer: s.URL + test.path, Client: authn.NewHTTPClient(nil, 1, time.Minute), Timeout: time.Minute})
			defer set.Close()
			o := options(set)
			o.Issuer = s.URL + test.path
			_, err := present(t, newMethod(t, o), signers()["ES256"].sign(t, good("iss", o.Issuer), map[string]any{"kid": "k1"}))
			wants(t, err, test.want, "")
		})
	}
}

func TestSecure(t *testing.T) {
	for url, want := range map[string]bool{
		"https://a.example/keys": true, "http://127.0.0.1:1/keys": true, "http://[::1]/keys": true, "http://localhost/keys": true,
		"http://a.example/keys": false, "http://127.0.0.1.example/keys": false, "http://10.0.0.1/": false, "ftp://localhost/": false,
		"https:///keys": false, "//a.example": false, "": false, "https://%zz": false,
	} {
		if secure(url) != want {
			t.Errorf("%q: %v", url, !want)
		}
	}
}
