package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHTTPFiles: what is wrong with the files of an http method is known at load,
// which asks nobody.
func TestHTTPFiles(t *testing.T) {
	const method = "\n  - {name: service, type: http, contract: emqx, url: \"https://127.0.0.1:1/\", ca: auth.crt, token_file: auth.token}"
	for _, test := range []struct{ name, ca, token, want string }{
		{"good", "", "abc.DEF-123\n", ""},
		{"empty token", "", "\n", "authn[0].token_file: is empty"},
		{"two tokens", "", "abc\ndef\n", "authn[0].token_file: holds more than one token"},
		{"a header in the token", "", "abc\r\nX-Admin: 1", "authn[0].token_file: holds more than one token"},
		{"a token with a space", "", "Bearer abc", "authn[0].token_file: holds more than one token"},
		{"no certificate", "nothing\n", "abc", "authn[0].ca: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, strings.Replace(policy, "authn:", "authn:"+method, 1))
			dir := filepath.Dir(path)
			ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
			if err != nil {
				t.Fatal(err)
			}
			if test.ca != "" {
				ca = []byte(test.ca)
			}
			for name, text := range map[string][]byte{"auth.crt": ca, "auth.token": []byte(test.token)} {
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			b, err := load(path, nil, newShared(), nil)
			switch {
			case test.want == "" && (err != nil || b.methods["service"] == nil):
				t.Errorf("%v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "abc")):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
