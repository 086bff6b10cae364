package password

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWithUser(t *testing.T) {
	tests := []struct {
		name   string
		before string
		after  string
	}{
		{"empty file", "", "bob:HASH\n"},
		{"at the end", "alice:x\n", "alice:x\nbob:HASH\n"},
		{"after a line without an end", "alice:x", "alice:x\nbob:HASH\n"},
		{"in place", "alice:x\nbob:y\ncarol:z\n", "alice:x\nbob:HASH\ncarol:z\n"},
		{"at the end without a line feed", "alice:x\nbob:y", "alice:x\nbob:HASH"},
		{"CRLF", "bob:y\r\nalice:x\r\n", "bob:HASH\r\nalice:x\r\n"},
		{"blanks", "\tbob : y \n", "bob:HASH\n"},
		{"comments and noise", "# bob:y\n#bob:y\n\n  \nnoise\n bobby:x\nbob\n", "# bob:y\n#bob:y\n\n  \nnoise\n bobby:x\nbob\nbob:HASH\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(withUser([]byte(tt.before), "bob", "HASH")); got != tt.after {
				t.Errorf("got %q, want %q", got, tt.after)
			}
		})
	}
}

func TestWithoutUser(t *testing.T) {
	tests := []struct {
		name   string
		before string
		after  string
	}{
		{"the only one", "bob:y\n", ""},
		{"between others", "#bob:y\r\nalice:x\r\nbob:y\r\nbobby:z", "#bob:y\r\nalice:x\r\nbobby:z"},
		{"twice", "bob:y\nalice:x\n bob :z", "alice:x\n"},
		{"not there", "alice:x", "alice:x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(withoutUser([]byte(tt.before), "bob")); got != tt.after {
				t.Errorf("got %q, want %q", got, tt.after)
			}
		})
	}
}

func readBack(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// onlyFiles fails the test if dir holds anything but the files named.
func onlyFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(names) {
		t.Errorf("the directory holds %v, want %v", entries, names)
	}
}

func TestSet(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users.passwd")

	// A new file is for its owner only.
	if err := Set(path, "alice", Argon2id, []byte("first")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}

	// An edit keeps the mode and the other lines.
	head := "# plant\r\nbob:" + bcryptA + "\n"
	writeFile(t, path, head+readBack(t, path))
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := Set(path, "alice", Argon2id, []byte("second")); err != nil {
		t.Fatal(err)
	}
	if info, err = os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v (%v), want 0640", info.Mode().Perm(), err)
	}
	if got := readBack(t, path); !strings.HasPrefix(got, head+"alice:$argon2id$") {
		t.Errorf("other lines changed:\n%s", got)
	}
	users, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	alice, _ := users.lookup("alice")
	if users.Len() != 2 || !alice.match([]byte("second")) || alice.match([]byte("first")) {
		t.Error("the new password is not the one in the file")
	}
	onlyFiles(t, dir, "users.passwd")
}

func TestSetRefusals(t *testing.T) {
	good := "alice:" + sha512Test + "\n"
	tests := []struct {
		name     string
		before   string
		username string
		scheme   Scheme
		password string
		want     string
	}{
		{"empty user name", good, "", PBKDF2, "x", "user name is empty"},
		{"colon", good, "a:b", PBKDF2, "x", "colon"},
		{"plus", good, "a+b", PBKDF2, "x", "colon, + or #"},
		{"hash", good, "#bob", PBKDF2, "x", "colon, + or #"},
		{"line feed", good, "bob\nroot", PBKDF2, "x", "control character"},
		{"NUL", good, "bob\x00", PBKDF2, "x", "control character"},
		{"blank in front", good, " bob", PBKDF2, "x", "blank"},
		{"blank behind", good, "bob ", PBKDF2, "x", "blank"},
		{"ill-formed UTF-8", good, "bob\xff", PBKDF2, "x", "UTF-8"},
		{"too long", good, strings.Repeat("b", 65536), PBKDF2, "x", "65535"},
		{"empty password", good, "bob", PBKDF2, "", "password is empty"},
		{"unknown scheme", good, "bob", "rot13", "x", "unknown hash"},
		{"a file of another kind", "listeners:\n", "bob", Argon2id, "x", "users.passwd:1: "},
		{"the same user twice", good + good, "alice", Argon2id, "x", "users.passwd:2: second entry"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "users.passwd")
			writeFile(t, path, tt.before)
			err := Set(path, tt.username, tt.scheme, []byte(tt.password))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if got := readBack(t, path); got != tt.before {
				t.Errorf("the file has changed: %q", got)
			}
			onlyFiles(t, dir, "users.passwd")
		})
	}
}

func TestDelete(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users.passwd")
	if err := Delete(path, "bob"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("from a missing file: %v", err)
	}
	writeFile(t, path, "# plant\nalice:"+sha512Test+"\nbob:"+bcryptA+"\n")
	if err := Delete(path, "carol"); !errors.Is(err, ErrUnknownUser) {
		t.Errorf("of an unknown user: %v, want ErrUnknownUser", err)
	}
	if err := Delete(path, "alice"); err != nil {
		t.Fatal(err)
	}
	if got, want := readBack(t, path), "# plant\nbob:"+bcryptA+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	onlyFiles(t, dir, "users.passwd")
}

func TestEditFollowsALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	writeFile(t, target, "alice:"+sha512Test+"\nbob:"+bcryptA+"\n")
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	if err := Delete(link, "bob"); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != "target" {
		t.Errorf("the link leads to %q (%v)", to, err)
	}
	if got, want := readBack(t, target), "alice:"+sha512Test+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEditThatCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "users.passwd")
	if err := Set(path, "alice", Argon2id, []byte("x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want a missing directory", err)
	}
}

// TestSetKeepsWhatIsNoPasswordFile: a key that was named by mistake stays whole.
func TestSetKeepsWhatIsNoPasswordFile(t *testing.T) {
	for text, taken := range map[string]bool{
		"":                      true,
		"# users of line A\n\n": true,
		"-----BEGIN PRIVATE KEY-----\nMHcCAQEE\n": false,
		"listeners\n": false,
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := Set(path, "alice", PBKDF2, []byte("secret"))
		got, readErr := os.ReadFile(path)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if (err == nil) != taken || !taken && string(got) != text {
			t.Errorf("%q: %v, now %q", text, err, got)
		}
	}
}
