package app

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secretLine is a line of a file of secrets, of n bytes.
func secretLine(n int, of byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(of), n))) + "\n"
}

func TestTicketSecrets(t *testing.T) {
	const empty = "no secret in it: openssl rand -base64 48 makes one"
	good := secretLine(48, 'a')
	for _, tt := range []struct {
		name, data string
		secrets    string // the first byte of each
		want       string // the error
	}{
		{"one", good, "a", ""},
		{"without an end of line", strings.TrimSpace(good), "a", ""},
		{"as short as can be", secretLine(32, 'a'), "a", ""},
		{"in order", good + secretLine(80, 'b') + secretLine(32, 'c') + secretLine(33, 'd'), "abcd", ""},
		{"with comments", "# March\r\n\r\n  " + strings.TrimSpace(good) + "\r\n#" + secretLine(2, 'x'), "a", ""},
		{"too many", good + good + "\n" + good + good + good, "", "line 6: 4 secrets are the most"},
		{"empty", "", "", empty},
		{"comments only", "# none\n\n", "", empty},
		{"too short", good + secretLine(31, 'b'), "", "line 2: has 31 bytes, and 32 are the least"},
		{"raw", strings.Repeat("\x00\xff", 40), "", "line 1: is not base64, as openssl rand -base64 48 makes it"},
		{"hexadecimal digits and more", "0x" + strings.Repeat("0a", 31) + "!", "", "line 1: is not base64, as openssl rand -base64 48 makes it"},
		{"a private key", "-----BEGIN PRIVATE KEY-----\n", "", "line 1: is not base64, as openssl rand -base64 48 makes it"},
		{"two on a line", strings.TrimSpace(good) + " " + good, "", "line 1: is not base64, as openssl rand -base64 48 makes it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			secrets, err := ticketSecrets([]byte(tt.data))
			got := ""
			for _, s := range secrets {
				got += string(s[:1])
			}
			if got != tt.secrets || (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
				t.Errorf("got %q, %v; want %q, %s", got, err, tt.secrets, tt.want)
			}
		})
	}
}

// FuzzTicketSecrets: a file gives secrets that are long enough, or an error that has
// nothing of it.
func FuzzTicketSecrets(f *testing.F) {
	for _, seed := range []string{"", secretLine(48, 'a'), "# a\n" + secretLine(32, 'b') + "\n" + secretLine(31, 'c'), "\x00\n\xff", "===="} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		secrets, err := ticketSecrets(data)
		if err == nil != (len(secrets) > 0) || len(secrets) > maxTicketSecrets {
			t.Fatalf("%d secrets, %v", len(secrets), err)
		}
		for _, s := range secrets {
			if len(s) < minTicketSecret {
				t.Errorf("a secret of %d bytes", len(s))
			}
		}
	})
}

// TestTicketFileIsWrong: a start fails, at the path of the key.
func TestTicketFileIsWrong(t *testing.T) {
	path := write(t, strings.Replace(policy, "client_ca: ca.crt}", "client_ca: ca.crt, session_tickets: {key_file: tickets.key}}", 1))
	file := filepath.Join(filepath.Dir(path), "tickets.key")
	for text, want := range map[string]string{
		secretLine(16, 'a'): ":4: listeners[0].tls.session_tickets.key_file: line 1: has 16 bytes, and 32 are the least",
		"":                  ":4: listeners[0].tls.session_tickets.key_file: no secret in it: openssl rand -base64 48 makes one",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := load(path, nil, newShared(), nil); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
