package app

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/pki"
)

// examples are the configurations in configs/ that have a table of what they must
// answer.
var examples = map[string]string{
	"mqttward.yaml":       "rules-test.yaml",
	"factory-dmz.yaml":    "factory-dmz-test.yaml",
	"consumer-cloud.yaml": "consumer-cloud-test.yaml",
}

// exampleFolder is a folder with the examples and the files that they name.
func exampleFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.NewCA("test CA")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue(pki.Options{CN: "localhost", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	crl, err := ca.CRL(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"server", "gateway"} {
		err = errors.Join(err, pki.Write(dir, name, cert, key))
	}
	for _, name := range []string{"line-a-ca", "line-b-ca"} {
		err = errors.Join(err, pki.Write(dir, name, ca.PEM(), nil))
	}
	for _, name := range []string{"users.passwd", "people.passwd", "staff.passwd"} {
		err = errors.Join(err, SetPassword(filepath.Join(dir, name), "anna", "bcrypt", []byte("secret")))
	}
	for name, text := range map[string]string{
		"line-a.crl": string(crl), "people.groups": "foremen-a: anna\n", "staff.groups": "support: dora\n", "admin.token": strings.Repeat("x", 40),
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for config := range examples {
		text, readErr := os.ReadFile(filepath.Join("..", "..", "configs", config))
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(dir, config), text, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestExamples: each example answers as its table wants, and is not weak.
func TestExamples(t *testing.T) {
	dir := exampleFolder(t)
	tables, err := filepath.Glob("../../configs/*-test.yaml")
	if err != nil || len(tables) != len(examples) {
		t.Errorf("there are the tables %q: each needs its example here", tables)
	}
	for config, table := range examples {
		t.Run(config, func(t *testing.T) {
			e, err := NewExplainer(filepath.Join(dir, config), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range e.built.warnings {
				t.Errorf("warns: %s", w)
			}
			var out bytes.Buffer
			failed, err := e.TestRules(&out, filepath.Join("..", "..", "configs", table))
			if err != nil || failed > 0 {
				t.Errorf("%v, %d failed:\n%s", err, failed, out.String())
			}
		})
	}
}
