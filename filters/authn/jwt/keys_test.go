package jwt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
)

// jwkOf is the public key of s, changed by pairs of name and value.
func jwkOf(t testing.TB, s signer, change ...any) map[string]any {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	var m map[string]any
	switch k := s.public.(type) {
	case *rsa.PublicKey:
		m = map[string]any{"kty": "RSA", "n": encode(k.N.Bytes()), "e": encode(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		size := len(point) / 2
		m = map[string]any{"kty": "EC", "crv": k.Curve.Params().Name, "x": encode(point[1 : 1+size]), "y": encode(point[1+size:])}
	case ed25519.PublicKey:
		m = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": encode(k)}
	}
	for i := 0; i+1 < len(change); i += 2 {
		m[change[i].(string)] = change[i+1]
	}
	return m
}

func jwks(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseJWKS(t *testing.T) {
	es, rs, ed := signers()["ES256"], signers()["RS256"], signers()["EdDSA"]
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	large := encode(bytes.Repeat([]byte{0xff}, 8200/8))
	for _, test := range []struct {
		name string
		key  map[string]any
		want string // the algorithms
	}{
		{"EC", jwkOf(t, es), "[ES256]"},
		{"P-384", jwkOf(t, signers()["ES384"]), "[ES384]"},
		{"P-521", jwkOf(t, signers()["ES512"]), "[ES512]"},
		{"RSA", jwkOf(t, rs), "[RS256 RS384 RS512 PS256 PS384 PS512]"},
		{"Ed25519", jwkOf(t, ed), "[EdDSA]"},
		{"Ed25519 by its new name", jwkOf(t, ed, "alg", "Ed25519"), "[EdDSA]"},
		{"for one algorithm", jwkOf(t, rs, "alg", "PS256"), "[PS256]"},
		{"for signatures", jwkOf(t, rs, "use", "sig", "key_ops", []string{"verify"}, "alg", "RS256"), "[RS256]"},
		{"for encryption", jwkOf(t, rs, "use", "enc"), ""},
		{"to sign with", jwkOf(t, rs, "key_ops", []string{"sign"}), ""},
		{"for nothing", jwkOf(t, rs, "key_ops", []string{}), ""},
		{"for a secret's algorithm", jwkOf(t, rs, "alg", "HS256"), ""},
		{"for none", jwkOf(t, rs, "alg", "none"), ""},
		{"for another curve", jwkOf(t, es, "alg", "ES384"), ""},
		{"symmetric", map[string]any{"kty": "oct", "k": encode(make([]byte, 64)), "alg": "HS256"}, ""},
		{"weak", jwkOf(t, signer{public: weak.Public()}), ""},
		{"too large", jwkOf(t, rs, "n", large), ""},
		{"even exponent", jwkOf(t, rs, "e", "Ag"), ""},
		{"exponent of one", jwkOf(t, rs, "e", "AQ"), ""},
		{"no exponent", jwkOf(t, rs, "e", ""), ""},
		{"large exponent", jwkOf(t, rs, "e", "_____w8"), ""},
		{"no modulus", jwkOf(t, rs, "n", ""), ""},
		{"beside the curve", jwkOf(t, es, "y", encode(make([]byte, 32))), ""},
		{"at infinity", jwkOf(t, es, "x", encode(make([]byte, 32)), "y", encode(make([]byte, 32))), ""},
		{"short coordinate", jwkOf(t, es, "x", "AA"), ""},
		{"of another curve", jwkOf(t, es, "crv", "P-384"), ""},
		{"of no curve", jwkOf(t, es, "crv", "secp256k1", "x", "", "y", ""), ""},
		{"P-224", jwkOf(t, signer{public: p224.Public()}), ""},
		{"X25519", jwkOf(t, ed, "crv", "X25519"), ""},
		{"short Ed25519", jwkOf(t, ed, "x", "AAAA"), ""},
		{"padded", jwkOf(t, ed, "x", jwkOf(t, ed)["x"].(string)+"="), ""},
		{"unknown kind", map[string]any{"kty": "AKP"}, ""},
		{"key id of no text", jwkOf(t, es, "kid", 1), ""},
		{"nothing", map[string]any{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			keys, err := ParseJWKS(jwks(t, test.key))
			if (err == nil) != (test.want != "") {
				t.Fatalf("got %v, %v", keys, err)
			}
			if err == nil && fmt.Sprint(keys[0].algs) != test.want {
				t.Errorf("good for %v, want %s", keys[0].algs, test.want)
			}
			// It takes nothing away from the keys beside it.
			both, err := ParseJWKS(jwks(t, test.key, jwkOf(t, es, "kid", "good")))
			if err != nil || both[len(both)-1].id != "good" {
				t.Errorf("with another key: %v, %v", both, err)
			}
		})
	}
	for _, text := range []string{"", "null", "[]", "{}", `{"keys":[]}`, `{"keys":{}}`, `{"keys":[null]}`, `{"keys":[1,"a"]}`, `<html>`} {
		if keys, err := ParseJWKS([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, keys)
		}
	}
	many := make([]map[string]any, maxKeys+1)
	for i := range many {
		many[i] = jwkOf(t, ed)
	}
	if _, err := ParseJWKS(jwks(t, many...)); err == nil {
		t.Error("accepts too many keys")
	}
	if keys, err := ParseJWKS(jwks(t, many[1:]...)); err != nil || len(keys) != maxKeys {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func FuzzParseJWKS(f *testing.F) {
	f.Add(jwks(f, jwkOf(f, signers()["ES256"]), jwkOf(f, signers()["RS256"]), jwkOf(f, signers()["EdDSA"])))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""},null]}`))
	token, signature := []byte("a.b"), make([]byte, 64)
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseJWKS(data)
		if (err == nil) != (len(keys) > 0) || len(keys) > maxKeys {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if len(k.algs) == 0 || k.verifies(k.algs[0], string(token), signature) {
				t.Errorf("a key that accepts anything, or nothing: %+v", k)
			}
		}
	})
}

func TestParsePEM(t *testing.T) {
	es, rs := signers()["ES256"].pem(t), signers()["RS256"].pem(t)
	twice := func(n int, text []byte) string { return strings.Repeat(string(text), n) }
	for _, test := range []struct {
		name, text string
		keys       int // 0: refused
	}{
		{"one", string(es), 1},
		{"two kinds", string(es) + "\n" + string(rs), 2},
		{"four", twice(4, es), 4},
		{"five", twice(5, es), 0},
		{"nothing", "", 0},
		{"text", "ssh-ed25519 AAAA", 0},
		{"text behind", string(es) + "ssh-ed25519 AAAA", 0},
		{"private key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0},
		{"broken", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 0},
		{"cut", string(es[:len(es)-10]), 0},
	} {
		keys, err := ParsePEM([]byte(test.text))
		if len(keys) != test.keys || (err == nil) != (test.keys > 0) {
			t.Errorf("%s: %d keys, %v", test.name, len(keys), err)
		}
	}
}

func TestParseSecret(t *testing.T) {
	for size, want := range map[int]string{0: "[]", 31: "[]", 32: "[HS256]", 48: "[HS256 HS384]", 64: "[HS256 HS384 HS512]"} {
		keys, err := ParseSecret(make([]byte, size))
		var algs []string
		if err == nil {
			algs = keys[0].algs
		}
		if fmt.Sprint(algs) != want {
			t.Errorf("%d bytes are good for %v, want %s", size, algs, want)
		}
	}
	if _, err := ParseSecret(signers()["RS256"].pem(t)); err == nil {
		t.Error("accepts a public key for a secret")
	}
}

// Keys that have the same id are all tried, but no more than a few.
func TestPick(t *testing.T) {
	good := signers()["EdDSA"]
	keys := Keys{}
	for i := range 6 {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, Key{id: "same", algs: []string{"EdDSA"}, public: public})
		if i == 2 {
			keys = append(keys, Key{id: "same", algs: []string{"EdDSA"}, public: good.public})
		}
	}
	a := newMethod(t, options(keys))
	header := map[string]any{"kid": "same"}
	if _, err := present(t, a, good.sign(t, goodClaims(), header)); err != nil {
		t.Error(err)
	}
	late := newMethod(t, options(append(keys[4:], keys[0], keys[3])))
	_, err := present(t, late, good.sign(t, goodClaims(), header))
	wants(t, err, "signature is wrong", "")
	if keys.Tried() != nil {
		t.Error("keys with an id are found by it")
	}
	nameless := append(signers()["RS256"].source(t, ""), signers()["EdDSA"].source(t, "")...)
	if err := nameless.Tried(); err != nil {
		t.Error(err)
	}
	for range 4 {
		nameless = append(nameless, signers()["EdDSA"].source(t, "")...)
	}
	if nameless.Tried() == nil {
		t.Error("a fifth key would never be tried")
	}
	// A key without an id is tried with any token, if none has its id.
	if _, err := present(t, newMethod(t, options(good.source(t, ""))), good.sign(t, goodClaims(), header)); err != nil {
		t.Error(err)
	}
}

func goodClaims() map[string]any { return good() }

func TestDevices(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old, next, other := signers()["RS256"], signers()["ES256"], signers()["ES384"]
	put("pump-1.pem", append(old.pem(t), next.pem(t)...))
	put("pump-2.pem", other.pem(t))
	put("README", []byte("not a key"))
	devices, err := LoadDevices(dir)
	if err != nil || len(devices) != 2 {
		t.Fatalf("%d devices, %v", len(devices), err)
	}
	o := options(devices)
	o.Username, o.Issuer = filters.Template{}, ""
	a := newMethod(t, o)
	own := good("iss", nil, "sub", nil)
	for _, test := range []struct {
		name, clientID string
		signer         signer
		want           string
	}{
		{"long name", "projects/p/locations/l/registries/r/devices/pump-1", next, ""},
		{"short name", "pump-1", next, ""},
		{"the key of before", "pump-1", old, ""},
		{"another's key", "pump-1", other, "no key for the token's algorithm"},
		{"another device", "pump-2", next, "no key for the token's algorithm"},
		{"unknown device", "pump-3", next, "not mine"},
		{"path", "devices/../pump-1/..", next, "not mine"},
		{"no device", "devices/", next, "not mine"},
		{"nobody", "", next, "not mine"},
		{"file name", "pump-1.pem", next, "not mine"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := withPassword(test.signer.sign(t, own, map[string]any{"kid": "whatever"}))
			c.ClientID = test.clientID
			id, err := a.Authenticate(t.Context(), c)
			wants(t, err, test.want, "")
			if err == nil && id.Username != "pump-1" {
				t.Errorf("got %q", id.Username)
			}
		})
	}
	for name, ended := range map[string]bool{"pump-1": false, "pump-3": true} {
		err := a.Recheck(t.Context(), &filters.Session{Identity: filters.Identity{Method: "tokens", Username: name}})
		if (err != nil) != ended {
			t.Errorf("recheck of %s: %v", name, err)
		}
	}
	for name, text := range map[string][]byte{"+.pem": next.pem(t), ".pem": next.pem(t), "x.pem": []byte("no key"), "large.pem": make([]byte, maxKeyFile+1)} {
		put(name, text)
		if devices, err := LoadDevices(dir); err == nil {
			t.Errorf("%s: accepted: %v", name, devices)
		}
		os.Remove(filepath.Join(dir, name))
	}
	if _, err := LoadDevices(filepath.Join(dir, "none")); err == nil {
		t.Error("accepts a folder that is not there")
	}
}
