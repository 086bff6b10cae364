package jwt

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// maxTried is how many keys one token is tried with.
const maxTried = 4

// Key is a key that signatures are verified with, for the algorithms that its type
// is good for.
type Key struct {
	id     string // "": none
	algs   []string
	public any // as golang-jwt wants it; a secret for HMAC is a []byte
}

// Keys are those of a file or of a fetched set.
type Keys []Key

var errUnknownKey = refused("the token's key id is unknown")

// pick returns keys with the id, or else those that have none; for a token
// without an id all are tried.
func (keys Keys) pick(_ context.Context, _, kid, alg string) ([]Key, error) {
	fit, known := keys.fitting(alg, func(k Key) bool { return kid == "" || k.id == kid })
	if !known {
		fit, known = keys.fitting(alg, func(k Key) bool { return k.id == "" })
	}
	switch {
	case !known:
		return nil, errUnknownKey
	case len(fit) == 0:
		return nil, refused("there is no key for the token's algorithm %s", alg)
	}
	return fit, nil
}

func (keys Keys) fitting(alg string, named func(Key) bool) (fit []Key, known bool) {
	for _, k := range keys {
		if !named(k) {
			continue
		}
		known = true
		if len(fit) < maxTried && slices.Contains(k.algs, alg) {
			fit = append(fit, k)
		}
	}
	return fit, known
}

func (k Key) verifies(alg, signed string, signature []byte) bool {
	return jwt.GetSigningMethod(alg).Verify(signed, signature, k.public) == nil
}

// ParseSecret makes keys for HMAC. RFC 7518, section 3.2, wants secrets that are
// no shorter than the hash.
func ParseSecret(secret []byte) (Keys, error) {
	if bytes.HasPrefix(bytes.TrimSpace(secret), []byte("-----BEGIN")) {
		return nil, errors.New("holds a key in PEM, not a secret: a public key is none")
	}
	var algs []string
	for _, a := range []struct {
		name string
		size int
	}{{"HS256", 32}, {"HS384", 48}, {"HS512", 64}} {
		if len(secret) >= a.size {
			algs = append(algs, a.name)
		}
	}
	if algs == nil {
		return nil, fmt.Errorf("is too short: %d bytes, and HS256 wants at least 32", len(secret))
	}
	return Keys{{algs: algs, public: slices.Clone(secret)}}, nil
}

// ParsePEM reads public keys and certificates; of a certificate only the key
// counts. There is at least one, and no more than are tried with a token.
func ParsePEM(data []byte) (Keys, error) {
	var keys Keys
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		public, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		algs, err := algorithms(public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, Key{algs: algs, public: public})
	}
	switch {
	case len(bytes.TrimSpace(data)) > 0 || len(keys) == 0:
		return nil, errors.New("holds something else than public keys in PEM")
	case len(keys) > maxTried:
		return nil, fmt.Errorf("holds %d keys: a token is tried with %d at most", len(keys), maxTried)
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	}
	return nil, fmt.Errorf("holds a %s, where a public key is wanted", block.Type)
}

var (
	rsaAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	// RFC 7518, section 3.4: the curve lays down the hash.
	curveAlgorithms = map[elliptic.Curve]string{
		elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512",
	}
)

// algorithms returns what a public key is good for. It refuses keys that are too
// weak, and those so large that a token would cost much time.
func algorithms(public any) ([]string, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 {
			return nil, fmt.Errorf("an RSA key of %d bits, and 2048 to 8192 are allowed", bits)
		}
		if k.E < 3 || k.E > math.MaxInt32 || k.E%2 == 0 || k.N.Bit(0) == 0 {
			return nil, errors.New("an RSA key that cannot be one")
		}
		return rsaAlgorithms, nil
	case *ecdsa.PublicKey:
		if alg, ok := curveAlgorithms[k.Curve]; ok {
			return []string{alg}, nil
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, errors.New("a key of a kind that signs no tokens")
}

// Tried returns an error if not all keys without an id would be tried with a token.
func (keys Keys) Tried() error {
	counts := map[string]int{}
	for _, k := range keys {
		if k.id != "" {
			continue
		}
		for _, alg := range k.algs {
			if counts[alg]++; counts[alg] > maxTried {
				return fmt.Errorf("more than %d keys for %s without an id: a token is tried with no more", maxTried, alg)
			}
		}
	}
	return nil
}
