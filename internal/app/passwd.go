package app

import "github.com/mqttward/mqttward/filters/authn/password"

// KnownHash reports whether passwords can be stored as scheme.
func KnownHash(scheme string) bool {
	switch password.Scheme(scheme) {
	case password.Argon2id, password.PBKDF2, password.Bcrypt, password.SCRAM256, password.SCRAM512:
		return true
	}
	return false
}

// SetPassword adds a user to a password file, or changes the password.
func SetPassword(file, user, scheme string, secret []byte) error {
	return password.Set(file, user, password.Scheme(scheme), secret)
}

// DeleteUser deletes a user from a password file.
func DeleteUser(file, user string) error { return password.Delete(file, user) }
