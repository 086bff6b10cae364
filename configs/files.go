package configs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files returns the paths of all files that the configuration depends on, in
// order and each once: certificates, keys, CAs, CRLs, users, the probe's password,
// schemas and the token. The configuration file itself is not among them.
func (c *Config) Files() []string {
	var names []string
	c.eachFile(func(_ string, name *string) { names = append(names, *name) })
	slices.Sort(names)
	return slices.Compact(names)
}

// eachFile visits the name of every file that the configuration depends on,
// with the path of its key.
func (c *Config) eachFile(visit func(path string, name *string)) {
	named := func(path string, name *string) {
		if *name != "" {
			visit(path, name)
		}
	}
	for i, s := range c.Listeners {
		if s.TLS == nil {
			continue
		}
		path := key(item("listeners", i), "tls")
		for j := range s.TLS.Certificates {
			at := item(key(path, "certificates"), j)
			named(key(at, "cert"), &s.TLS.Certificates[j].Cert)
			named(key(at, "key"), &s.TLS.Certificates[j].Key)
		}
		named(key(path, "client_ca"), &s.TLS.ClientCA)
		named(key(path, "ocsp_ca"), &s.TLS.OCSPCA)
		named(key(key(path, "session_tickets"), "key_file"), &s.TLS.SessionTickets.KeyFile)
		for j := range s.TLS.CRL {
			named(item(key(path, "crl"), j), &s.TLS.CRL[j])
		}
	}
	for i := range c.Backends {
		path := item("backends", i)
		named(key(key(path, "probe"), "password_file"), &c.Backends[i].Probe.PasswordFile)
		named(key(key(path, "credentials"), "password_file"), &c.Backends[i].Credentials.PasswordFile)
		if t := c.Backends[i].TLS; t != nil {
			named(key(key(path, "tls"), "ca"), &t.CA)
			named(key(key(path, "tls"), "cert"), &t.Cert)
			named(key(key(path, "tls"), "key"), &t.Key)
		}
	}
	for i := range c.Authn {
		c.Authn[i].eachFile(item("authn", i), named)
	}
	for i := range c.Authz.Files {
		named(key(item("authz.files", i), "path"), &c.Authz.Files[i].Path)
	}
	for i := range c.Payload {
		named(key(item("payload", i), "schema"), &c.Payload[i].Schema)
	}
	named("admin.token_file", &c.Admin.TokenFile)
}

// files makes the names of files absolute and checks that each can be read.
func (l *loader) files() {
	l.cfg.eachFile(func(path string, name *string) {
		written := *name
		*name = l.cfg.resolve(written)
		if strings.Contains(written, "\n") {
			// The text is not repeated: it may be a private key.
			l.fail(path, "wants the name of a file, not its content")
			return
		}
		if isFolder(path) {
			if !isDirectory(*name) {
				l.fail(path, "not a folder: %s", written)
			}
			return
		}
		if err := readable(*name); err != nil {
			l.fail(path, "%s: %s", reason(err), written)
		}
	})
}

// Dir is the folder that relative names of files are relative to.
func (c *Config) Dir() string { return c.dir }

// resolve makes the name of a file absolute: it is relative to the
// configuration file.
func (c *Config) resolve(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(c.dir, name)
}

var errNotRegular = errors.New("not a regular file")

// readable opens the file only if it is a regular one: opening a pipe waits
// for its other end.
func readable(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errNotRegular
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	return file.Close()
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// reason says why a file cannot be read, without its name.
func reason(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "no such file"
	}
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err.Error()
	}
	return err.Error()
}
