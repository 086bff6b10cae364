package configs

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// docs/authentication.md names every key of every method.
func TestMethodKeysAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(text)
	fields := reflect.TypeFor[Method]()
	for i := range fields.NumField() {
		name := fields.Field(i).Tag.Get("yaml")
		if name == "name" || name == "type" {
			continue
		}
		if !strings.Contains(docs, "`"+name) && !strings.Contains(docs, name+": ") {
			t.Errorf("authn[].%s is not in docs/authentication.md", name)
		}
	}
}
