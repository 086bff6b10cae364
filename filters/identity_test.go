package filters

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	c := Credentials{Username: "bob", Password: Secret("open sesame"), HasPassword: true}
	var text, document strings.Builder
	slog.New(slog.NewTextHandler(&text, nil)).Info("login", "credentials", c, "password", c.Password)
	slog.New(slog.NewJSONHandler(&document, nil)).Info("login", "credentials", c, "password", c.Password)
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}

	outputs := map[string]string{
		"slog text": text.String(),
		"slog JSON": document.String(),
		"JSON":      string(encoded),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		outputs[verb] = fmt.Sprintf(verb, c.Password)
		outputs["credentials with "+verb] = fmt.Sprintf(verb, c)
	}
	// The password as text, base64, hexadecimal and decimal bytes.
	leaks := []string{"sesame", "b3BlbiBz", "6f70656e", "111 112 101", "0x6f, 0x70"}
	for name, output := range outputs {
		for _, leak := range leaks {
			if strings.Contains(output, leak) {
				t.Errorf("%s shows the password: %s", name, output)
			}
		}
		if !strings.Contains(output, "[redacted]") {
			t.Errorf("%s does not say [redacted]: %s", name, output)
		}
	}
}
