package password

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	file := strings.Join([]string{
		"# users of the plant",
		"#commented:" + sha512Test,
		"",
		"not a user",
		"alice:" + sha512Test,
		"  bob \t: " + pbkdf2Word + " \r", // with CRLF
		"spiffe//x y:" + pbkdf2Test,
		"\u00a0carol:" + argon2Word, // a blank to Unicode, not to Mosquitto
		"dave:" + bcryptA,           // without a line feed
	}, "\n")
	users, err := Parse("users.passwd", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if users.Len() != 5 {
		t.Errorf("%d users, want 5", users.Len())
	}
	want := map[string]string{
		"alice": "test", "bob": "password", "spiffe//x y": "test", "\u00a0carol": "password", "dave": "U*U",
	}
	for username, password := range want {
		stored, known := users.lookup(username)
		if !known || !stored.match([]byte(password)) {
			t.Errorf("user %q: known %v, or the password does not match", username, known)
		}
	}
	for _, username := range []string{"", "#commented", "commented", "carol", "Alice", "alice "} {
		if _, known := users.lookup(username); known {
			t.Errorf("user %q is known", username)
		}
	}
}

func TestParseErrors(t *testing.T) {
	file := strings.Join([]string{
		"# comment",
		"alice:" + sha512Test,
		":" + sha512Test,
		"bob:open sesame",
		" \t:" + sha512Test,
		"no colon",
		"alice :" + pbkdf2Word,
		"carol:",
		"dave:" + sha512Test + ":" + sha512Test,
		"erin:" + strings.Replace(bcryptA, "$05$", "$31$", 1),
	}, "\r\n")
	want := []string{
		"users.passwd:3: empty user name",
		"users.passwd:4: the password is not hashed, or in an unknown way",
		"users.passwd:5: empty user name",
		"users.passwd:7: second entry of the same user",
		"users.passwd:8: the password is not hashed, or in an unknown way",
		"users.passwd:9: the hash is malformed",
		"users.passwd:10: the hash's parameters are out of bounds",
	}
	users, err := Parse("users.passwd", []byte(file))
	if users != nil || err == nil {
		t.Fatalf("got %v, %v; want an error", users, err)
	}
	if got := err.Error(); got != strings.Join(want, "\n") {
		t.Errorf("error:\n%v\nwant:\n%v", got, strings.Join(want, "\n"))
	}
}

func TestParseBoundsItsProblems(t *testing.T) {
	_, err := Parse("wrong.yaml", []byte(strings.Repeat("key: value\n", 10_000)))
	if err == nil {
		t.Fatal("a file of another kind is accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems+1 || !strings.HasPrefix(lines[0], "wrong.yaml:1: ") {
		t.Errorf("%d lines of problems, the first is %q", len(lines), lines[0])
	}
}

func TestDecoyHasTheCommonCost(t *testing.T) {
	line := func(number int, hash string) string { return fmt.Sprintf("user%d:%s\n", number, hash) }
	tests := []struct {
		name string
		file string
		want string
	}{
		{"empty file", "", ""},
		{"one user", line(1, bcryptA), "$2$05"},
		{"most", line(1, sha512Test) + line(2, pbkdf2Word) + line(3, pbkdf2Test) + line(4, pbkdf2Short), "$7$1000"},
		{"most, not the last", line(1, argon2Word) + line(2, argon2Word) + line(3, sha512Test), "$argon2id$v=19$m=256,t=2,p=1"},
		{"a tie goes to the first", line(1, pbkdf2Short) + line(2, pbkdf2Word), "$7$101"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			users, err := Parse("", []byte(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			decoy, known := users.lookup("nobody")
			if known || decoy.cost != tt.want {
				t.Errorf("known %v, cost of the decoy %q, want %q", known, decoy.cost, tt.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users.passwd")

	if users, err := Load(path); users != nil || !os.IsNotExist(err) {
		t.Errorf("a missing file: %v, %v", users, err)
	}
	if users, err := Load(dir); users != nil || err == nil {
		t.Errorf("a directory: %v, %v", users, err)
	}

	writeFile(t, path, "alice:"+sha512Test+"\n")
	if users, err := Load(path); err != nil || users.Len() != 1 {
		t.Errorf("a good file: %v, %v", users, err)
	}

	writeFile(t, path, "alice:"+sha512Test+"\nbob\nbob:plain\n")
	users, err := Load(path)
	if users != nil || err == nil || !strings.HasPrefix(err.Error(), path+":3: ") {
		t.Errorf("a bad file: %v, %v", users, err)
	}

	// A comment that is too long by one byte; the file has no blocks on disk.
	writeFile(t, path, "#")
	if err := os.Truncate(path, maxFileSize+1); err != nil {
		t.Fatal(err)
	}
	if users, err := Load(path); users != nil || err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Errorf("a large file: %v, %v", users, err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSCRAMUsers: a user has keys for one mechanism, or none, and a name that
// clients can give.
func TestSCRAMUsers(t *testing.T) {
	users := parse(t, "alice:"+scramRFC+"\nbob:"+sha512Test+"\ncarol:"+scramPython+"\ndäve:"+scramPostgres+"\n\u00aa:"+sha512Test+"\n")
	for mechanism, want := range map[string]string{"SCRAM-SHA-256": "alice däve", "SCRAM-SHA-512": "carol", "SCRAM-SHA": "", "$6": ""} {
		names := slices.Sorted(maps.Keys(users.SCRAM(mechanism)))
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %q, want %q", mechanism, got, want)
		}
	}
	alice := users.SCRAM("SCRAM-SHA-256")["alice"]
	if alice.Iters != 4096 || len(alice.Salt) != 16 || len(alice.StoredKey) != 32 || len(alice.ServerKey) != 32 {
		t.Errorf("alice has %d iterations and a salt of %d bytes", alice.Iters, len(alice.Salt))
	}
	for _, name := range []string{"\u00aa", "a\u00adb", "a\u0300", "a\x7fb", "a\xff", "\u0627a", "\U0001f600"} {
		_, err := Parse("users.passwd", []byte(name+":"+scramRFC+"\n"))
		if err == nil || !strings.HasPrefix(err.Error(), "users.passwd:1: SCRAM has another form") {
			t.Errorf("the name %q: %v", name, err)
		}
	}
}

func TestParseCutOffSCRAM(t *testing.T) {
	for i := range scramRFC {
		if _, err := Parse("users.passwd", []byte("alice:"+scramRFC[:i])); err == nil {
			t.Errorf("accepted after %d bytes", i)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("# comment\nalice:" + sha512Test + "\n"))
	f.Add([]byte("alice:" + sha512Test + "\r\nno colon\n bob : " + pbkdf2Short))
	f.Add([]byte(":\n"))
	f.Add([]byte("alice:" + scramRFC + "\nb\u00f6b:" + scramPython))
	f.Fuzz(func(t *testing.T, data []byte) {
		users, err := Parse("fuzz", data)
		if err != nil {
			if users != nil {
				t.Error("users along with an error")
			}
			return
		}
		// Editing agrees with reading about which lines are a user's.
		for username := range users.hashes {
			replaced, err := Parse("fuzz", withUser(data, username, sha512Test))
			if err != nil || replaced.Len() != users.Len() || replaced.hashes[username].cost != "$6$" {
				t.Errorf("replacing %q: %v", username, err)
			}
			removed, err := Parse("fuzz", withoutUser(data, username))
			if err != nil || removed.Len() != users.Len()-1 {
				t.Errorf("removing %q: %v", username, err)
			}
		}
		added, err := Parse("fuzz", withUser(data, "a new user", sha512Test))
		if _, known := users.lookup("a new user"); !known && (err != nil || added.Len() != users.Len()+1) {
			t.Errorf("adding: %v", err)
		}
	})
}
