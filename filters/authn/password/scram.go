package password

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
)

// Keys for SCRAM are in PostgreSQL's notation, which begins with the name of the
// mechanism: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
const (
	scramPrefix   = "SCRAM-"
	scram256      = "SCRAM-SHA-256"
	scram512      = "SCRAM-SHA-512"
	scramSaltSize = 16

	// The client makes as many, and it may be a small device.
	scramIterations    = 10_000
	minSCRAMIterations = 4096 // RFC 7677, section 4; clients refuse fewer
	maxSCRAMIterations = 1_000_000
)

// scramHash returns the hash function of a mechanism, nil if there is no such
// mechanism.
func scramHash(mechanism string) scram.HashGeneratorFcn {
	switch mechanism {
	case scram256:
		return scram.SHA256
	case scram512:
		return scram.SHA512
	}
	return nil
}

// SCRAM returns the keys of those users who have some for a mechanism.
func (u *Users) SCRAM(mechanism string) map[string]scram.StoredCredentials {
	users := make(map[string]scram.StoredCredentials)
	for username, h := range u.hashes {
		if h.scram != nil && strings.HasPrefix(h.cost, mechanism+"$") {
			users[username] = *h.scram
		}
	}
	return users
}

func parseSCRAM(s string) (hash, error) {
	mechanism, rest, _ := strings.Cut(s, "$")
	newHash := scramHash(mechanism)
	if newHash == nil {
		return hash{}, errUnknownHash
	}
	factors, keys, _ := strings.Cut(rest, "$")
	count, encodedSalt, _ := strings.Cut(factors, ":")
	iterations, err := strconv.Atoi(count)
	if err != nil || strconv.Itoa(iterations) != count {
		return hash{}, errBadHash
	}
	if iterations < minSCRAMIterations || iterations > maxSCRAMIterations {
		return hash{}, errCost
	}
	salt, err := decode(base64.StdEncoding, encodedSalt)
	if err != nil || len(salt) < 8 || len(salt) > 64 {
		return hash{}, errBadHash
	}
	encodedStored, encodedServer, _ := strings.Cut(keys, ":")
	storedKey, storedErr := decode(base64.StdEncoding, encodedStored)
	serverKey, serverErr := decode(base64.StdEncoding, encodedServer)
	size := newHash().Size()
	if storedErr != nil || serverErr != nil || len(storedKey) != size || len(serverKey) != size {
		return hash{}, errBadHash
	}
	stored := scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(salt), Iters: iterations},
		StoredKey:  storedKey, ServerKey: serverKey,
	}
	match := func(password []byte) bool {
		derived, err := scramKeys(newHash, stored.KeyFactors, password)
		return err == nil && subtle.ConstantTimeCompare(derived.StoredKey, stored.StoredKey) == 1
	}
	return hash{cost: mechanism + "$" + count, match: match, scram: &stored}, nil
}

// scramKeys derives the keys from a password as SASLprep has it. Errors do not
// show it.
func scramKeys(newHash scram.HashGeneratorFcn, f scram.KeyFactors, password []byte) (scram.StoredCredentials, error) {
	prepared, err := stringprep.SASLprep.Prepare(string(password))
	if err != nil || prepared == "" {
		return scram.StoredCredentials{}, errors.New("the password holds what SCRAM does not allow (RFC 4013)")
	}
	client, err := newHash.NewClientUnprepped("", prepared, "")
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	return client.GetStoredCredentialsWithError(f)
}

func newSCRAM(mechanism string, password []byte) (string, error) {
	factors := scram.KeyFactors{Salt: string(newSalt()[:scramSaltSize]), Iters: scramIterations}
	keys, err := scramKeys(scramHash(mechanism), factors, password)
	if err != nil {
		return "", err
	}
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", mechanism, factors.Iters, encode([]byte(factors.Salt)),
		encode(keys.StoredKey), encode(keys.ServerKey)), nil
}

// checkSCRAMUsername refuses a name that no client could give: a client sends
// what SASLprep makes of it.
func checkSCRAMUsername(username string) error {
	if prepared, err := stringprep.SASLprep.Prepare(username); err != nil || prepared != username {
		return errors.New("SCRAM has another form of the user name, or none (RFC 4013)")
	}
	return nil
}
