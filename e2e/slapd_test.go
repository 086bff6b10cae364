package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/mqttward/mqttward/internal/pki"
)

// slapd is an OpenLDAP server that lets nobody bind without TLS. Its tree is that
// of the recipes.
type slapd struct {
	*process
	dir             string
	port, ldapsPort string
}

const (
	peopleDN  = "ou=people,dc=example,dc=org"
	groupsDN  = "ou=groups,dc=example,dc=org"
	serviceDN = "cn=mqttward,ou=services,dc=example,dc=org"
	managerDN = "cn=manager,dc=example,dc=org"
)

const slapdConfig = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile DIR/slapd.pid
argsfile DIR/slapd.args
TLSCertificateFile DIR/server.crt
TLSCertificateKeyFile DIR/server.key
TLSCACertificateFile DIR/ca.crt
security simple_bind=64
database mdb
suffix dc=example,dc=org
rootdn ` + managerDN + `
rootpw PASSWORD
directory DIR/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="` + serviceDN + `" read by self read by * none
overlay memberof
`

// startSlapd starts a directory without people on ports that the kernel picks.
func startSlapd(t *testing.T) *slapd {
	t.Helper()
	dir := t.TempDir()
	issue(t, authority(), dir, "server", pki.Options{CN: "slapd", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	write(t, filepath.Join(dir, "ca.crt"), string(authority().PEM()))
	write(t, filepath.Join(dir, "slapd.conf"), strings.NewReplacer("DIR", dir, "PASSWORD", password("manager")).Replace(slapdConfig))
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		s := &slapd{dir: dir, port: freePort(t), ldapsPort: freePort(t)}
		if s.start(t) {
			s.plant(t)
			return s
		}
	}
	t.Fatal("no port for slapd")
	return nil
}

// start starts the directory, again if it was stopped. It reports false if a port
// is taken.
func (s *slapd) start(t *testing.T) bool {
	t.Helper()
	urls := "ldap://127.0.0.1:" + s.port + "/ ldaps://127.0.0.1:" + s.ldapsPort + "/"
	s.process = launch(t, newTranscript(), "slapd", "-d", "stats", "-h", urls, "-f", filepath.Join(s.dir, "slapd.conf"))
	text, ok := s.out.wait(s.done, func(text string) bool { return strings.Contains(text, "slapd starting") })
	if !ok && !strings.Contains(text, "errno=98") {
		t.Fatalf("slapd does not run:\n%s", text)
	}
	for _, port := range []string{s.port, s.ldapsPort} {
		eventually(t, "slapd on its port", func() bool { // it says so before it listens
			c, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				c.Close()
			}
			return err == nil || !ok
		})
	}
	return ok
}

// plant makes what people are put into, and our own login.
func (s *slapd) plant(t *testing.T) {
	t.Helper()
	s.change(t, func(c *ldap.Conn) error {
		for _, e := range []struct{ dn, class, more string }{
			{"dc=example,dc=org", "dcObject", "organization"},
			{peopleDN, "organizationalUnit", ""},
			{groupsDN, "organizationalUnit", ""},
			{"ou=services,dc=example,dc=org", "organizationalUnit", ""},
			{serviceDN, "applicationProcess", "simpleSecurityObject"},
		} {
			add := ldap.NewAddRequest(e.dn, nil)
			add.Attribute("objectClass", []string{e.class})
			switch e.more {
			case "organization":
				add.Attributes[0].Vals = append(add.Attributes[0].Vals, e.more)
				add.Attribute("o", []string{"e2e"})
			case "simpleSecurityObject":
				add.Attributes[0].Vals = append(add.Attributes[0].Vals, e.more)
				add.Attribute("userPassword", []string{password("ldap")})
			}
			if err := c.Add(add); err != nil {
				return err
			}
		}
		return nil
	})
}

// authn is the method of a recipe over this directory.
func (s *slapd) authn(t *testing.T, name string, replace ...string) string {
	t.Helper()
	address := []string{"ldap.example.org:389", "127.0.0.1:" + s.port}
	if name == "ldap-user-dn" {
		address = []string{"ldap.example.org:636", "127.0.0.1:" + s.ldapsPort}
	}
	return recipe(t, name, append(address, replace...)...)
}

// secrets writes the files that the recipe names into the folder of a proxy.
func (*slapd) secrets(t *testing.T, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "ldap.password"), password("ldap")+"\n")
}

// change changes the directory as its manager.
func (s *slapd) change(t *testing.T, f func(*ldap.Conn) error) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority().PEM())
	c, err := ldap.DialURL("ldaps://127.0.0.1:"+s.ldapsPort, ldap.DialWithTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetTimeout(patience)
	if err := c.Bind(managerDN, password("manager")); err != nil {
		t.Fatal(err)
	}
	if err := f(c); err != nil {
		t.Fatal(err)
	}
}

func dnOf(user string) string { return "uid=" + ldap.EscapeDN(user) + "," + peopleDN }

// add makes a user with the password of that user. Each group is of this user
// alone.
func (s *slapd) add(t *testing.T, user string, groupNames ...string) {
	t.Helper()
	s.change(t, func(c *ldap.Conn) error {
		add := ldap.NewAddRequest(dnOf(user), nil)
		add.Attribute("objectClass", []string{"inetOrgPerson"})
		add.Attribute("cn", []string{user})
		add.Attribute("sn", []string{user})
		add.Attribute("userPassword", []string{password(user)})
		if err := c.Add(add); err != nil {
			return err
		}
		for _, g := range groupNames {
			add := ldap.NewAddRequest("cn="+ldap.EscapeDN(g)+","+groupsDN, nil)
			add.Attribute("objectClass", []string{"groupOfNames"})
			add.Attribute("member", []string{dnOf(user)})
			if err := c.Add(add); err != nil {
				return err
			}
		}
		return nil
	})
}

// remove makes a user unknown.
func (s *slapd) remove(t *testing.T, user string) {
	t.Helper()
	s.change(t, func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dnOf(user), nil)) })
}
