package password

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	bcryptCost    = 12
	maxBcryptCost = 15 // about two seconds

	// bcrypt does not look beyond this many bytes of a password.
	maxBcryptPassword = 72

	bcryptSize     = 60
	bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// parseBcrypt reads $2a$, $2b$ or $2y$, which differ in the defects of the
// programs that wrote them, not in what they mean here.
func parseBcrypt(s string) (hash, error) {
	if len(s) != bcryptSize || strings.IndexByte("aby", s[2]) < 0 ||
		s[3] != '$' || s[6] != '$' || strings.Trim(s[7:], bcryptAlphabet) != "" {
		return hash{}, errBadHash
	}
	stored := []byte(s)
	cost, err := bcrypt.Cost(stored)
	if err != nil || cost > maxBcryptCost || s[4:6] != fmt.Sprintf("%02d", cost) {
		return hash{}, errCost
	}
	match := func(password []byte) bool {
		equal := bcrypt.CompareHashAndPassword(stored, password) == nil
		return equal && len(password) <= maxBcryptPassword
	}
	return hash{cost: "$2$" + s[4:6], match: match}, nil
}

func newBcrypt(password []byte) (string, error) {
	if len(password) > maxBcryptPassword {
		return "", errors.New("bcrypt takes passwords of up to 72 bytes")
	}
	encoded, err := bcrypt.GenerateFromPassword(password, bcryptCost)
	return string(encoded), err
}
