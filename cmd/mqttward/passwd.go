package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mqttward/mqttward/internal/app"
)

// maxPassword bounds what is read as a password.
const maxPassword = 64 << 10

// hashes are how a password may be stored.
const hashes = "argon2id, pbkdf2, bcrypt, scram-sha-256, scram-sha-512"

func newPasswd() *cobra.Command {
	c := &cobra.Command{
		Use:   "passwd -f FILE USER",
		Short: "Add, change or delete a user of a password file",
		Long: `Add or change a user of a password file, or delete one. The password is asked
for, or read from a file; it is never an argument, where others could see it.
The format is that of mosquitto_passwd. Who is stored as scram-sha-256 or
scram-sha-512 can log in by SCRAM too.`,
		Args: exactArgs(1),
	}
	f := c.Flags()
	file := f.StringP("file", "f", "", "the password `file` (required)")
	hash := f.String("hash", "argon2id", "how the password is stored: "+hashes)
	from := f.String("password-file", "", "read the password from this `file`, - for standard input")
	remove := f.Bool("delete", false, "delete the user")
	c.RunE = func(_ *cobra.Command, args []string) error {
		switch {
		case *file == "":
			return usageError{errors.New("which password file? give it with -f FILE")}
		case !app.KnownHash(*hash):
			return usageError{fmt.Errorf("no such hash: %q; known are %s", *hash, hashes)}
		case *remove:
			return app.DeleteUser(*file, args[0])
		}
		password, err := readPassword(*from)
		if err != nil {
			return err
		}
		return app.SetPassword(*file, args[0], *hash, password)
	}
	return c
}

// readPassword reads a password from a file, or asks for it twice.
func readPassword(from string) ([]byte, error) {
	switch from {
	case "":
		return promptPassword()
	case "-":
		return readLine(os.Stdin)
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return readLine(f)
}

// readLine reads to the end and takes off one line ending.
func readLine(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPassword))
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r")), err
}

func promptPassword() ([]byte, error) {
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return nil, usageError{errors.New("no terminal to ask for the password; use --password-file")}
	}
	first, err := prompt(stdin, "Password: ")
	if err != nil {
		return nil, err
	}
	second, err := prompt(stdin, "Once more: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the two are not the same")
	}
	return first, nil
}

func prompt(fd int, text string) ([]byte, error) {
	fmt.Fprint(os.Stderr, text)
	defer fmt.Fprintln(os.Stderr)
	return term.ReadPassword(fd)
}
