package app

import (
	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/filters/authn/password"
	"github.com/mqttward/mqttward/filters/authn/scram"
)

// newSCRAM reads a password file, which may be that of a method with passwords
// too: users without keys for SCRAM are nobody here.
func newSCRAM(m configs.Method) (authn.Authenticator, error) {
	users, err := password.Load(m.File)
	if err != nil {
		return nil, err
	}
	return scram.New(m.Name, users.SCRAM("SCRAM-SHA-256"), users.SCRAM("SCRAM-SHA-512")), nil
}
