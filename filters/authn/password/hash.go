package password

import (
	"errors"
	"fmt"
	"strings"

	"github.com/xdg-go/scram"
)

// A hash is a stored password.
type hash struct {
	// cost names the algorithm and its parameters: hashes of equal cost take
	// equal work to compare.
	cost string

	// match compares in constant time.
	match func(password []byte) bool

	scram *scram.StoredCredentials // what the hash is for SCRAM; nil: nothing
}

// Scheme is a way to hash passwords.
type Scheme string

// The schemes for new passwords. Their parameters follow OWASP's Password
// Storage Cheat Sheet.
const (
	Argon2id Scheme = "argon2id" // Mosquitto 2.1 and later read it
	PBKDF2   Scheme = "pbkdf2"   // with SHA-512, in Mosquitto's own notation
	Bcrypt   Scheme = "bcrypt"   // not read by Mosquitto; passwords up to 72 bytes

	// Nor these, which are keys for SCRAM too; cheaper to guess than the others.
	SCRAM256 Scheme = "scram-sha-256"
	SCRAM512 Scheme = "scram-sha-512"
)

// maxPasswordSize is the most that a CONNECT can carry [MQTT-1.5.6].
const maxPasswordSize = 65535

// Hash returns the line's part of a password file for a password, with a new
// random salt.
func Hash(scheme Scheme, password []byte) (string, error) {
	switch {
	case len(password) == 0:
		return "", errors.New("the password is empty")
	case !acceptable(password):
		return "", errors.New("the password holds a NUL")
	case len(password) > maxPasswordSize:
		return "", fmt.Errorf("the password has more than %d bytes", maxPasswordSize)
	}
	switch scheme {
	case Argon2id:
		return newArgon2(password), nil
	case PBKDF2:
		return newPBKDF2(password)
	case Bcrypt:
		return newBcrypt(password)
	case SCRAM256:
		return newSCRAM(scram256, password)
	case SCRAM512:
		return newSCRAM(scram512, password)
	}
	return "", fmt.Errorf("unknown hash %q; known are %s, %s, %s, %s and %s", scheme, Argon2id, PBKDF2, Bcrypt, SCRAM256, SCRAM512)
}

// Errors never hold what they are about: it may be a password that somebody
// forgot to hash.
var (
	errUnknownHash = errors.New("the password is not hashed, or in an unknown way")
	errBadHash     = errors.New("the hash is malformed")
	errCost        = errors.New("the hash's parameters are out of bounds")
)

// parseHash reads the part of a line after the user name. It accepts exactly
// one spelling of each hash, and no parameters by which one comparison could
// take more than some seconds or 256 MiB.
func parseHash(s string) (hash, error) {
	switch {
	case strings.HasPrefix(s, sha512Prefix):
		return parseSHA512(s)
	case strings.HasPrefix(s, pbkdf2Prefix):
		return parsePBKDF2(s)
	case strings.HasPrefix(s, argon2Prefix):
		return parseArgon2(s)
	case strings.HasPrefix(s, "$2"):
		return parseBcrypt(s)
	case strings.HasPrefix(s, scramPrefix):
		return parseSCRAM(s)
	case strings.HasPrefix(s, goAuthPrefix):
		return parseGoAuth(s)
	case strings.HasPrefix(s, phcPrefix):
		return parsePHC(s)
	}
	return hash{}, errUnknownHash
}
