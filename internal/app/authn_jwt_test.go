package app

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mqttward/mqttward/filters/authn/jwt"
)

// withTokens is policy with a jwt method.
func withTokens(keys string) string {
	return strings.Replace(policy, "authz:", "  - {name: tokens, type: jwt, audience: mqtt, "+keys+"}\nauthz:", 1)
}

// keyServer serves a key set and counts how often.
func keyServer(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// TestKeySetsOutliveReloads: keys that are there stay, as the provider may be down
// just now; those of another source are let go.
func TestKeySetsOutliveReloads(t *testing.T) {
	url, asked := keyServer(t)
	path := write(t, withTokens("jwks_url: "+url))
	sh := newShared()
	loaded := func(keys string, last *built) *built {
		t.Helper()
		if err := os.WriteFile(path, []byte(withTokens(keys)), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := load(path, nil, sh, last)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.close(nil) })
		return b
	}
	only := func(b *built) *jwt.KeySet {
		t.Helper()
		if len(b.keySets) != 1 {
			t.Fatalf("%d key sets", len(b.keySets))
		}
		for _, set := range b.keySets {
			return set
		}
		return nil
	}
	first := loaded("jwks_url: "+url, nil)
	same := loaded("leeway: 1s, jwks_url: "+url, first)
	if only(same) != only(first) {
		t.Error("the key set was made anew")
	}
	other := loaded("jwks_url: "+url+"/other", same)
	if only(other) == only(first) {
		t.Error("the key set of another address was taken over")
	}
	local := loaded("jwks_url: "+url+", ca: ca.crt", other)
	if only(local) == only(first) {
		t.Error("the key set with another trust was taken over")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("loading has asked %d times", n)
	}
}

// TestTokenFiles: what is wrong in a file of keys is a mistake at the key that
// names it.
func TestTokenFiles(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	path := write(t, policy)
	dir := filepath.Dir(path)
	if err := os.Mkdir(filepath.Join(dir, "devices"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, keys, content, want string }{
		{"public key", "key_files: [file]", key, ""},
		{"certificate", "key_files: [server.crt, file]", key, ""},
		{"private key", "key_files: [server.key]", "", "authn[2].key_files: holds a PRIVATE KEY, where a public key is wanted"},
		{"five keys", "key_files: [file, file, file, file, file]", key, "authn[2].key_files: more than 4 keys for EdDSA without an id"},
		{"short secret", "secret_file: file", "short", "authn[2].secret_file: is too short"},
		{"public key for a secret", "secret_file: file", key, "authn[2].secret_file: holds a key in PEM, not a secret"},
		{"no key set", "jwks_file: file", key, "authn[2].jwks_file: is no JSON Web Key Set"},
		{"no CA", "jwks_url: https://a.example, ca: file", "x", "authn[2].ca: "},
		{"no secret", "audience: mqtt, introspection: {url: https://a.example, client_id: c, client_secret_file: file}", "\n", "authn[2].introspection.client_secret_file: is empty"},
		{"template", "key_files: [file], username: '${nobody}'", key, "authn[2].username: "},
		{"tenant", "key_files: [file], tenant: '${'", key, "authn[2].tenant: "},
		{"user name of the client's choice", "key_files: [file], username: '${username}'", key, `authn[2]: "${username}": the client could choose it`},
		{"bad device", "device_keys: devices", "", "authn[2].device_keys: bad.pem: holds something else than public keys in PEM"},
	} {
		t.Run(test.name, func(t *testing.T) {
			keys := strings.Replace(test.keys, "audience: mqtt, ", "", 1)
			for name, text := range map[string]string{"mqttward.yaml": withTokens(keys), "file": test.content, "devices/bad.pem": "no key"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := load(path, nil, newShared(), nil)
			if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestDigestOfFolder: what is in the folder of devices' keys counts.
func TestDigestOfFolder(t *testing.T) {
	dir := t.TempDir()
	seen := map[[32]byte]string{digest([]string{dir}, false): "empty"}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"a file", func() error { return os.WriteFile(filepath.Join(dir, "a.pem"), []byte("1"), 0o600) }},
		{"another content", func() error { return os.WriteFile(filepath.Join(dir, "a.pem"), []byte("12"), 0o600) }},
		{"another file", func() error { return os.WriteFile(filepath.Join(dir, "b.pem"), nil, 0o600) }},
		{"another name", func() error { return os.Rename(filepath.Join(dir, "b.pem"), filepath.Join(dir, "c.pem")) }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		now := digest([]string{dir}, false)
		if before, known := seen[now]; known {
			t.Errorf("%s: the digest is that of %s", step.name, before)
		}
		seen[now] = step.name
		if digest([]string{dir}, false) != now {
			t.Errorf("%s: the digest changes by itself", step.name)
		}
	}
}
