package password

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Mosquitto's own notations: $6$salt$sum of 1.x, $7$iterations$salt$sum of
// 2.x, in padded base64.
const (
	sha512Prefix = "$6$"
	pbkdf2Prefix = "$7$"

	saltSize  = 64 // Mosquitto 2.1 writes 64 bytes, and takes 64 or 12
	shortSalt = 12 // what Mosquitto up to 2.0 writes, and all it takes

	pbkdf2Iterations    = 210_000   // OWASP, for HMAC-SHA-512
	maxPBKDF2Iterations = 2_000_000 // one to two seconds
)

func parseSHA512(s string) (hash, error) {
	encodedSalt, encodedSum, _ := strings.Cut(strings.TrimPrefix(s, sha512Prefix), "$")
	salt, sum, err := decodeMosquitto(encodedSalt, encodedSum)
	if err != nil {
		return hash{}, err
	}
	match := func(password []byte) bool {
		h := sha512.New()
		h.Write(password)
		h.Write(salt)
		return subtle.ConstantTimeCompare(h.Sum(nil), sum) == 1
	}
	return hash{cost: sha512Prefix, match: match}, nil
}

func parsePBKDF2(s string) (hash, error) {
	fields := strings.Split(strings.TrimPrefix(s, pbkdf2Prefix), "$")
	if len(fields) != 3 {
		return hash{}, errBadHash
	}
	iterations, err := strconv.Atoi(fields[0])
	if err != nil || strconv.Itoa(iterations) != fields[0] {
		return hash{}, errBadHash
	}
	if iterations < 1 || iterations > maxPBKDF2Iterations {
		return hash{}, errCost
	}
	salt, sum, err := decodeMosquitto(fields[1], fields[2])
	if err != nil {
		return hash{}, err
	}
	match := func(password []byte) bool {
		derived, err := pbkdf2.Key(sha512.New, string(password), salt, iterations, sha512.Size)
		return err == nil && subtle.ConstantTimeCompare(derived, sum) == 1
	}
	return hash{cost: pbkdf2Prefix + fields[0], match: match}, nil
}

// decodeMosquitto reads salt and sum, in the lengths that Mosquitto takes.
func decodeMosquitto(encodedSalt, encodedSum string) (salt, sum []byte, err error) {
	salt, err = decode(base64.StdEncoding, encodedSalt)
	if err != nil || (len(salt) != saltSize && len(salt) != shortSalt) {
		return nil, nil, errBadHash
	}
	sum, err = decode(base64.StdEncoding, encodedSum)
	if err != nil || len(sum) != sha512.Size {
		return nil, nil, errBadHash
	}
	return salt, sum, nil
}

// decode is base64 with one spelling per value: encoding/base64 itself skips
// carriage returns and, unless Strict, ignores stray bits at the end.
func decode(encoding *base64.Encoding, s string) ([]byte, error) {
	b, err := encoding.DecodeString(s)
	if err != nil || encoding.EncodeToString(b) != s {
		return nil, errBadHash
	}
	return b, nil
}

func newPBKDF2(password []byte) (string, error) {
	salt := newSalt()
	sum, err := pbkdf2.Key(sha512.New, string(password), salt, pbkdf2Iterations, sha512.Size)
	if err != nil {
		return "", err
	}
	encoding := base64.StdEncoding
	return fmt.Sprintf("%s%d$%s$%s", pbkdf2Prefix, pbkdf2Iterations,
		encoding.EncodeToString(salt), encoding.EncodeToString(sum)), nil
}

func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	return salt
}
