package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
)

const scramPolicy = "\n  - {name: challenged, type: scram, file: users.passwd}"

// TestOneFileForPasswordsAndSCRAM: who is stored for SCRAM logs in either way,
// who is not by password alone.
func TestOneFileForPasswordsAndSCRAM(t *testing.T) {
	path := write(t, strings.Replace(policy, "authn:", "authn:"+scramPolicy, 1))
	file := filepath.Join(filepath.Dir(path), "users.passwd") // sensor_01 is in it already
	for user, scheme := range map[string]string{"sensor_02": "scram-sha-256", "sensor_03": "scram-sha-512"} {
		if err := SetPassword(file, user, scheme, []byte("secret")); err != nil {
			t.Fatal(err)
		}
	}
	b, err := load(path, nil, newShared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	chain := b.policies[0].Authn
	for _, user := range []string{"sensor_01", "sensor_02", "sensor_03"} {
		id, err := chain.Authenticate(t.Context(), filters.Credentials{
			Username: user, HasUsername: true, Password: filters.Secret("secret"), HasPassword: true,
		})
		if err != nil || id.Method != "users" {
			t.Errorf("%s: %+v, %v; want a login by password", user, id, err)
		}
	}
	for _, tt := range []struct {
		user, mechanism string
		hash            scram.HashGeneratorFcn
		admitted        bool
	}{
		{"sensor_01", "SCRAM-SHA-256", scram.SHA256, false},
		{"sensor_02", "SCRAM-SHA-256", scram.SHA256, true},
		{"sensor_02", "SCRAM-SHA-512", scram.SHA512, false},
		{"sensor_03", "SCRAM-SHA-256", scram.SHA256, false},
		{"sensor_03", "SCRAM-SHA-512", scram.SHA512, true},
	} {
		method, ok := b.methods["challenged"].(authn.Conversant)
		if !ok {
			t.Fatal("the method holds no conversations")
		}
		d, err := method.Begin(filters.Credentials{AuthMethod: tt.mechanism})
		if err != nil {
			t.Fatal(err)
		}
		client, err := tt.hash.NewClient(tt.user, "secret", "")
		if err != nil {
			t.Fatal(err)
		}
		var answer []byte
		var id *filters.Identity
		for c := client.NewConversation(); err == nil && id == nil; {
			message, stepErr := c.Step(string(answer))
			if stepErr != nil {
				t.Fatal(stepErr)
			}
			answer, id, err = d.Next(t.Context(), filters.Secret(message))
		}
		if (err == nil) != tt.admitted || tt.admitted && (id.Username != tt.user || id.Method != "challenged") {
			t.Errorf("%s by %s: %+v, %v; admitted should be %v", tt.user, tt.mechanism, id, err, tt.admitted)
		}
	}
}

func TestSCRAMFileWithMistakes(t *testing.T) {
	path := write(t, strings.Replace(policy, "authn:", "authn:"+scramPolicy, 1))
	file := filepath.Join(filepath.Dir(path), "users.passwd")
	if err := os.WriteFile(file, []byte("sensor_01:SCRAM-SHA-256$plain\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Check(path, nil)
	errs, ok := errors.AsType[configs.Errors](err)
	if !ok || len(errs) != 2 || errs[0].Path != "authn[0].file" || errs[0].Line == 0 || strings.Contains(err.Error(), "plain") {
		t.Errorf("%v; want the file of both methods, and nothing of the line", err)
	}
}
