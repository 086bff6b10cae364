package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
)

// minToken is the length in bytes below which a token can be guessed. Callers
// are not throttled: the token's length is what stops guessing.
const minToken = 16

// Token is the bearer token (RFC 6750) that the server asks for, kept as its
// hash. The zero Token asks for none.
type Token struct {
	sum [sha256.Size]byte
	set bool
}

// NewToken returns the token whose secret is the content of a token file,
// without the white space around it. One that is empty or shorter than 16
// bytes is an error, never a server without a token.
func NewToken(file []byte) (Token, error) {
	secret := strings.TrimSpace(string(file))
	if len(secret) < minToken {
		return Token{}, errors.New("the token must have at least 16 characters")
	}
	return Token{sum: sha256.Sum256([]byte(secret)), set: true}, nil
}

// String keeps even the hash out of logs.
func (t Token) String() string { return "[redacted]" }

// guard lets a request through to next if it carries the token that is asked
// for, if one is.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t := s.token.Load(); t.set && !t.carriedBy(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="mqttward"`)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// carriedBy compares hashes, which are of one length: the time it takes tells
// nothing about the token.
func (t Token) carriedBy(r *http.Request) bool {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1
}
