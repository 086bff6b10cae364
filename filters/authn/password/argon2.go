package password

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// argon2Prefix begins the PHC notation of argon2id, whose base64 has no
// padding. Version 19 is the only one that x/crypto computes.
const argon2Prefix = "$argon2id$v=19$"

// argon2Params are the parameters of one hash.
type argon2Params struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// argon2Default and argon2Size are what Mosquitto 2.1 writes.
var argon2Default = argon2Params{memory: 47104, time: 1, threads: 1}

const argon2Size = 64

// String returns the parameters as they stand in a hash.
func (p argon2Params) String() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", p.memory, p.time, p.threads)
}

// bounded reports whether a comparison takes at most 256 MiB and about two
// seconds. Less memory than 8 KiB a thread is against RFC 9106, section 3.1.
func (p argon2Params) bounded() bool {
	return p.threads >= 1 && p.threads <= 16 &&
		p.memory >= 8*uint32(p.threads) && p.memory <= 256<<10 &&
		p.time >= 1 && p.time <= 16 &&
		p.memory*p.time <= 1<<20
}

func parseArgon2(s string) (hash, error) {
	fields := strings.Split(strings.TrimPrefix(s, argon2Prefix), "$")
	if len(fields) != 3 {
		return hash{}, errBadHash
	}
	var p argon2Params
	if _, err := fmt.Sscanf(fields[0], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil || p.String() != fields[0] {
		return hash{}, errBadHash
	}
	if !p.bounded() {
		return hash{}, errCost
	}
	salt, err := decode(base64.RawStdEncoding, fields[1])
	if err != nil || len(salt) < 8 || len(salt) > 64 {
		return hash{}, errBadHash
	}
	sum, err := decode(base64.RawStdEncoding, fields[2])
	if err != nil || len(sum) < 16 || len(sum) > 64 {
		return hash{}, errBadHash
	}
	match := func(password []byte) bool {
		derived := argon2.IDKey(password, salt, p.time, p.memory, p.threads, uint32(len(sum))) //nolint:gosec // at most 64
		return subtle.ConstantTimeCompare(derived, sum) == 1
	}
	return hash{cost: argon2Prefix + fields[0], match: match}, nil
}

func newArgon2(password []byte) string {
	p, salt := argon2Default, newSalt()
	sum := argon2.IDKey(password, salt, p.time, p.memory, p.threads, argon2Size)
	encoding := base64.RawStdEncoding
	return argon2Prefix + p.String() + "$" + encoding.EncodeToString(salt) + "$" + encoding.EncodeToString(sum)
}
