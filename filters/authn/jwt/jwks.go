package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// maxKeys bounds the keys of a set.
const maxKeys = 100

// jwk is a JSON Web Key (RFC 7517).
type jwk struct {
	Kty    string   `json:"kty"`
	Kid    string   `json:"kid"`
	Alg    string   `json:"alg"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`

	N   string `json:"n"`
	E   string `json:"e"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
}

// ParseJWKS reads a JSON Web Key Set. Keys of no use here are passed over, as RFC
// 7517, section 5, has it: those for encryption, symmetric ones (what is public is
// no secret) and weak ones. A set without a key of use is an error.
func ParseJWKS(data []byte) (Keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New("is no JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("holds %d keys, and %d are allowed", len(set.Keys), maxKeys)
	}
	var keys Keys
	reason := errors.New("it holds none")
	for _, raw := range set.Keys {
		k, err := parseJWK(raw)
		if err != nil {
			reason = err
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("holds no key to verify a token with: %w", reason)
	}
	return keys, nil
}

func parseJWK(raw json.RawMessage) (Key, error) {
	var j jwk
	if err := json.Unmarshal(raw, &j); err != nil {
		return Key{}, errors.New("a key that is no JSON Web Key")
	}
	if j.Use != "" && j.Use != "sig" || j.KeyOps != nil && !slices.Contains(j.KeyOps, "verify") {
		return Key{}, errors.New("a key for another use")
	}
	public, err := j.public()
	if err != nil {
		return Key{}, err
	}
	algs, err := algorithms(public)
	if err != nil {
		return Key{}, err
	}
	if j.Alg == "Ed25519" { // RFC 9864, section 2.2: the new name of the same
		j.Alg = "EdDSA"
	}
	if j.Alg != "" {
		if !slices.Contains(algs, j.Alg) {
			return Key{}, errors.New("a key for another algorithm")
		}
		algs = []string{j.Alg}
	}
	return Key{id: j.Kid, algs: algs, public: public}, nil
}

// public returns the key (RFC 7518, section 6, and RFC 8037).
func (j *jwk) public() (any, error) {
	switch j.Kty {
	case "RSA":
		n, e := decode(j.N), decode(j.E)
		if len(n) > 8192/8+1 || len(e) > 4 {
			return nil, errors.New("an RSA key that is too large")
		}
		exponent := new(big.Int).SetBytes(e).Int64()
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}, nil
	case "EC":
		curve, ok := curves[j.Crv]
		x, y := decode(j.X), decode(j.Y)
		if size := (curve.bits + 7) / 8; !ok || len(x) != size || len(y) != size {
			return nil, errors.New("an EC key without a curve and a point of it")
		}
		// It says whether the point is on the curve.
		return ecdsa.ParseUncompressedPublicKey(curve.Curve, slices.Concat([]byte{4}, x, y))
	case "OKP":
		if x := decode(j.X); j.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x), nil
		}
	}
	return nil, errors.New("a key of a kind that signs no tokens")
}

type curve struct {
	elliptic.Curve
	bits int
}

var curves = map[string]curve{
	"P-256": {elliptic.P256(), 256}, "P-384": {elliptic.P384(), 384}, "P-521": {elliptic.P521(), 521},
}

// decode returns nil for what is no base64url: no key is that short.
func decode(s string) []byte {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
