package password

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxFileSize bounds a password file: some 80,000 users.
const maxFileSize = 16 << 20

// maxProblems bounds the errors of one file, which may be a wrong one.
const maxProblems = 100

// Users are the users of a password file. They do not change.
type Users struct {
	hashes map[string]hash

	// decoy is compared with when a user is not in the file. It is one of the
	// cost that most users have, and so cannot be told from theirs; users
	// whose hashes cost something else can.
	decoy hash
}

// nobody is the decoy of a file without users, where there is nothing to find
// out.
var nobody = hash{match: func([]byte) bool { return false }}

// Load reads a password file. See Parse.
func Load(path string) (*Users, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse reads the text of a password file. As in Mosquitto, a line "user:hash"
// is a user, a line that begins with # a comment, and any other without a
// colon is passed over. Everything else is wrong; the error joins one error
// for each bad line, of the form "name:line: problem", and never shows what
// the line holds.
func Parse(name string, data []byte) (*Users, error) {
	var (
		users    = &Users{hashes: make(map[string]hash), decoy: nobody}
		costs    = make(map[string]int)
		problems []error
		number   int
	)
	for line := range bytes.Lines(data) {
		number++
		username, encoded, ok := entry(line)
		if !ok {
			continue
		}
		h, err := users.add(username, encoded)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", name, number, err))
			if len(problems) == maxProblems {
				problems = append(problems, fmt.Errorf("%s: no further problems are shown", name))
				break
			}
			continue
		}
		costs[h.cost]++
		if costs[h.cost] > costs[users.decoy.cost] {
			users.decoy = h
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return users, nil
}

// Len returns the number of users.
func (u *Users) Len() int { return len(u.hashes) }

func (u *Users) add(username, encoded string) (hash, error) {
	if username == "" {
		return hash{}, errors.New("empty user name")
	}
	if _, duplicate := u.hashes[username]; duplicate {
		return hash{}, errors.New("second entry of the same user")
	}
	h, err := parseHash(encoded)
	if err != nil {
		return hash{}, err
	}
	if h.scram != nil {
		if err := checkSCRAMUsername(username); err != nil {
			return hash{}, err
		}
	}
	u.hashes[username] = h
	return h, nil
}

// lookup returns the hash to compare with; for an unknown user it is the
// decoy.
func (u *Users) lookup(username string) (stored hash, known bool) {
	stored, known = u.hashes[username]
	if !known {
		stored = u.decoy
	}
	return stored, known
}

// blanks are what C's isspace knows, which Mosquitto trims.
const blanks = " \t\n\v\f\r"

// entry splits a line as Mosquitto does; ok is false if it is not a user's.
func entry(line []byte) (username, encoded string, ok bool) {
	username, encoded, ok = strings.Cut(string(line), ":")
	if !ok || line[0] == '#' {
		return "", "", false
	}
	return strings.Trim(username, blanks), strings.Trim(encoded, blanks), true
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s: larger than %d MiB", path, maxFileSize>>20)
	}
	return data, nil
}
