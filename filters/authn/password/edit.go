package password

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrUnknownUser says that the user to delete is not in the file.
var ErrUnknownUser = errors.New("no such user")

// Set gives a user a new password in the file at path, or adds the user. A
// file that does not exist is made, with mode 0600; one that does keeps its
// mode and owner, and all its other lines byte for byte.
//
// The file is replaced at once: a reader sees the old or the new, also after
// a loss of power. It is left alone if what it would hold could not be loaded.
// Two edits at the same time are not coordinated; the later one wins.
func Set(path, username string, scheme Scheme, password []byte) error {
	if err := checkUsername(username); err != nil {
		return err
	}
	encoded, err := Hash(scheme, password)
	if err != nil {
		return err
	}
	data, err := readFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !ours(data) {
		return fmt.Errorf("%s is no password file: it has text in it and no user", path)
	}
	return write(path, withUser(data, username, encoded))
}

// Delete takes a user out of the file at path, as carefully as Set. It
// returns ErrUnknownUser if there is none of that name.
func Delete(path, username string) error {
	data, err := readFile(path)
	if err != nil {
		return err
	}
	edited := withoutUser(data, username)
	if len(edited) == len(data) {
		return ErrUnknownUser
	}
	return write(path, edited)
}

// ours reports whether data may be a password file: one without users holds
// nothing but comments and blank lines. A private key that was named by mistake
// does not.
func ours(data []byte) bool {
	text := false
	for line := range bytes.Lines(data) {
		if _, _, ok := entry(line); ok {
			return true
		}
		line = bytes.TrimSpace(line)
		text = text || len(line) > 0 && line[0] != '#'
	}
	return !text
}

// checkUsername refuses a name that would not come back as it is from the
// file, or that no template may use.
func checkUsername(username string) error {
	switch {
	case username == "":
		return errors.New("the user name is empty")
	case len(username) > maxPasswordSize:
		return fmt.Errorf("the user name has more than %d bytes", maxPasswordSize)
	case !utf8.ValidString(username):
		return errors.New("the user name is not valid UTF-8")
	case strings.ContainsAny(username, ":+#") || strings.ContainsFunc(username, unicode.IsControl):
		return errors.New("the user name holds a colon, + or #, or a control character")
	case strings.Trim(username, blanks) != username:
		return errors.New("the user name begins or ends with a blank")
	}
	return nil
}

// withUser returns data with the user's line replaced, or added at the end.
func withUser(data []byte, username, encoded string) []byte {
	var edited []byte
	found := false
	for line := range bytes.Lines(data) {
		if name, _, ok := entry(line); ok && name == username {
			found = true
			ending := line[len(bytes.TrimRight(line, "\r\n")):]
			edited = fmt.Appendf(edited, "%s:%s%s", username, encoded, ending)
			continue
		}
		edited = append(edited, line...)
	}
	if found {
		return edited
	}
	if len(edited) > 0 && edited[len(edited)-1] != '\n' {
		edited = append(edited, '\n')
	}
	return fmt.Appendf(edited, "%s:%s\n", username, encoded)
}

// withoutUser returns data without the user's lines.
func withoutUser(data []byte, username string) []byte {
	var edited []byte
	for line := range bytes.Lines(data) {
		if name, _, ok := entry(line); ok && name == username {
			continue
		}
		edited = append(edited, line...)
	}
	return edited
}

// write replaces the file at path, if data can be loaded.
func write(path string, data []byte) error {
	if _, err := Parse(path, data); err != nil {
		return err
	}
	// A link keeps pointing at the file that is edited.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // fails once it has its new name
	if err := fill(temp, path, data); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// fill writes data to temp, makes it the like of the file at path, and closes
// it.
func fill(temp *os.File, path string, data []byte) error {
	_, err := temp.Write(data)
	if info, statErr := os.Stat(path); statErr == nil {
		// Changing the owner can clear mode bits, so it goes first.
		err = errors.Join(err, copyOwner(temp, info), temp.Chmod(info.Mode().Perm()))
	}
	return errors.Join(err, temp.Sync(), temp.Close())
}
