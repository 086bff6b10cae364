package password

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	stdhash "hash"
	"strconv"
	"strings"
)

// The notations of PBKDF2 in databases: mosquitto-go-auth's own,
// PBKDF2$sha512$iterations$salt$sum in padded base64, and PHC's,
// $pbkdf2-sha512$i=iterations,l=length$salt$sum without padding.
const (
	goAuthPrefix = "PBKDF2$"
	phcPrefix    = "$pbkdf2-"
)

func parseGoAuth(s string) (hash, error) {
	fields := strings.Split(strings.TrimPrefix(s, goAuthPrefix), "$")
	if len(fields) != 4 {
		return hash{}, errBadHash
	}
	iterations, err := strconv.Atoi(fields[1])
	if err != nil || strconv.Itoa(iterations) != fields[1] {
		return hash{}, errBadHash
	}
	return newPBKDF2Of(fields[0], iterations, base64.StdEncoding, fields[2], fields[3])
}

func parsePHC(s string) (hash, error) {
	fields := strings.Split(strings.TrimPrefix(s, phcPrefix), "$")
	if len(fields) != 4 {
		return hash{}, errBadHash
	}
	var iterations, size int
	if _, err := fmt.Sscanf(fields[1], "i=%d,l=%d", &iterations, &size); err != nil ||
		fmt.Sprintf("i=%d,l=%d", iterations, size) != fields[1] ||
		size != base64.RawStdEncoding.DecodedLen(len(fields[3])) {
		return hash{}, errBadHash
	}
	return newPBKDF2Of(fields[0], iterations, base64.RawStdEncoding, fields[2], fields[3])
}

// newPBKDF2Of makes a hash of its parts. A sum longer than what the digest
// returns costs as much again.
func newPBKDF2Of(digest string, iterations int, encoding *base64.Encoding, encodedSalt, encodedSum string) (hash, error) {
	newDigest := map[string]func() stdhash.Hash{"sha256": sha256.New, "sha512": sha512.New}[digest]
	if newDigest == nil {
		return hash{}, errUnknownHash
	}
	salt, err := decode(encoding, encodedSalt)
	if err != nil || len(salt) < 8 || len(salt) > 64 {
		return hash{}, errBadHash
	}
	sum, err := decode(encoding, encodedSum)
	if err != nil || len(sum) < 16 || len(sum) > 64 {
		return hash{}, errBadHash
	}
	blocks := (len(sum)-1)/newDigest().Size() + 1
	if iterations < 1 || iterations > maxPBKDF2Iterations/blocks {
		return hash{}, errCost
	}
	match := func(password []byte) bool {
		derived, err := pbkdf2.Key(newDigest, string(password), salt, iterations, len(sum))
		return err == nil && subtle.ConstantTimeCompare(derived, sum) == 1
	}
	return hash{cost: fmt.Sprintf("%s%s$i=%d,l=%d", phcPrefix, digest, iterations, len(sum)), match: match}, nil
}
