package configs

import (
	"errors"
	"io/fs"
	"regexp"
	"strconv"
)

// FileMode is who may use a file; 0 says nothing about it.
type FileMode fs.FileMode

var octalMode = regexp.MustCompile(`^0?[0-7]{3}$`)

// UnmarshalText reads octal digits, as chmod has them. The text decides, so that 660
// is not a decimal number.
func (m *FileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n == 0 || !octalMode.Match(text) {
		return errors.New(`wants a mode in octal digits such as "0660", not ` + quote(string(text)))
	}
	*m = FileMode(n)
	return nil
}

// socketMode refuses a mode where there is no file.
func (l *loader) socketMode(path string, a Address, m FileMode) {
	if network, _ := a.Split(); m != 0 && a != "" && network != "unix" {
		l.fail(path, "is for unix: addresses, and the address is %s", a)
	}
}
