package sql

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/packets"
)

const (
	userQuery   = "SELECT hash, name FROM users WHERE name = ?"
	groupsQuery = "SELECT grp FROM members WHERE name = ?"
)

// newDatabase returns the name of a file with a database that statements made.
func newDatabase(t *testing.T, statements ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users of 100% & more?.db")
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3f").Replace(file))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range append([]string{
		"CREATE TABLE users (name TEXT, hash TEXT)",
		"CREATE TABLE members (name TEXT, grp TEXT)",
		"INSERT INTO users VALUES ('alice', 'h1'), ('bob', NULL), ('carol', ''), ('twice', 'first'), ('twice', 'second')",
		"INSERT INTO members VALUES ('alice', 'staff'), ('bob', 'staff'), ('alice', NULL), ('alice', 'ops')",
	}, statements...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func open(t *testing.T, driver, dsn, query, groupsQuery string) *Source {
	t.Helper()
	s, err := Open(driver, dsn, query, groupsQuery, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestUser(t *testing.T) {
	s := open(t, "sqlite", newDatabase(t), userQuery, groupsQuery)
	for _, test := range []struct {
		name, username, hash string
		groups               []string
	}{
		{"with groups", "alice", "h1", []string{"staff", "ops"}},
		{"unknown", "mallory", "", nil},
		{"NULL", "bob", "", nil},
		{"empty hash", "carol", "", nil},
		{"two rows", "twice", "first", nil},
		{"another spelling", "Alice", "", nil},
		{"no name", "", "", nil},
		{"NUL", "alice\x00", "", nil},
		{"ill-formed UTF-8", "alice\xff", "", nil},
		{"longest name", strings.Repeat("a", 65535), "", nil},
		{"injection", "x' OR '1'='1", "", nil},
		{"injection of a statement", "x'; DROP TABLE users; --", "", nil},
		{"wildcard", "%", "", nil},
		{"placeholder", "?", "", nil},
		{"with groups as before", "alice", "h1", []string{"staff", "ops"}},
	} {
		hash, groups, err := s.User(t.Context(), test.username)
		if err != nil || hash != test.hash || !slices.Equal(groups, test.groups) {
			t.Errorf("%s: %q, %q, %v; want %q, %q", test.name, hash, groups, err, test.hash, test.groups)
		}
	}
}

// A collation without case finds alice for "ALICE"; the second column tells.
func TestSpelling(t *testing.T) {
	file := newDatabase(t)
	const loose = " FROM users WHERE name = ? COLLATE NOCASE"
	if hash, _, err := open(t, "sqlite", file, "SELECT hash"+loose, "").User(t.Context(), "ALICE"); err != nil || hash != "h1" {
		t.Fatalf("%q, %v: the collation is exact, so nothing is shown below", hash, err)
	}
	s := open(t, "sqlite", file, "SELECT hash, name"+loose, "")
	for username, want := range map[string]string{"ALICE": "", "alice": "h1"} {
		if hash, _, err := s.User(t.Context(), username); err != nil || hash != want {
			t.Errorf("%s: %q, %v; want %q", username, hash, err, want)
		}
	}
}

func TestBounds(t *testing.T) {
	long := strings.Repeat("x", maxValue)
	members := func(n int) string {
		values := make([]string, n)
		for i := range values {
			values[i] = fmt.Sprintf("('carol', 'g%d')", i)
		}
		return "INSERT INTO members VALUES " + strings.Join(values, ", ")
	}
	const carol = "UPDATE users SET hash = 'h' WHERE name = 'carol'"
	for _, test := range []struct {
		name       string
		statements []string
		refusal    string // "": none
	}{
		{"largest hash", []string{"UPDATE users SET hash = '" + long + "' WHERE name = 'carol'"}, ""},
		{"larger hash", []string{"UPDATE users SET hash = '" + long + "x' WHERE name = 'carol'"}, "1024 bytes"},
		{"largest group", []string{carol, "INSERT INTO members VALUES ('carol', '" + long + "')"}, ""},
		{"larger group", []string{carol, "INSERT INTO members VALUES ('carol', '" + long + "x')"}, "1024 bytes"},
		{"most groups", []string{carol, members(maxGroups)}, ""},
		{"more groups", []string{carol, members(maxGroups + 1)}, "100 groups"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := open(t, "sqlite", newDatabase(t, test.statements...), userQuery, groupsQuery).User(t.Context(), "carol")
			if test.refusal == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e, ok := errors.AsType[*packets.Error](err); !ok || e.Code != packets.ServerUnavailable || !strings.Contains(e.Msg, test.refusal) {
				t.Errorf("error %v, want a refusal with %q", err, test.refusal)
			}
		})
	}
}

// What is wrong with the queries or the database is never the client's fault.
func TestFailures(t *testing.T) {
	file := newDatabase(t)
	for name, s := range map[string]*Source{
		"missing file":     open(t, "sqlite", filepath.Join(t.TempDir(), "none.db"), userQuery, ""),
		"no such table":    open(t, "sqlite", file, "SELECT hash FROM user WHERE name = ?", ""),
		"no such groups":   open(t, "sqlite", file, userQuery, "SELECT grp FROM groups WHERE name = ?"),
		"two parameters":   open(t, "sqlite", file, "SELECT hash FROM users WHERE name = ? AND hash = ?", ""),
		"three columns":    open(t, "sqlite", file, "SELECT hash, name, 1 FROM users WHERE name = ?", ""),
		"no longer opened": closed(t, file),
		"a write":          open(t, "sqlite", file, "UPDATE users SET hash = 'x' WHERE name = ? RETURNING hash", ""),
	} {
		for _, username := range []string{"alice", "mallory"} {
			hash, _, err := s.User(t.Context(), username)
			if _, refusal := errors.AsType[*packets.Error](err); err == nil || refusal || hash != "" {
				t.Errorf("%s, %s: %q, %v; want a failure", name, username, hash, err)
			}
		}
	}
}

func closed(t *testing.T, file string) *Source {
	s := open(t, "sqlite", file, userQuery, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}
