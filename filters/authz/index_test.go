package authz

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
)

// TestIndexFingerprintAsName: a rule whose certificate is written as a fingerprint
// is about the common name of this text, too.
func TestIndexFingerprintAsName(t *testing.T) {
	cn := strings.Repeat("AB", 32)
	barred := deny("#")
	barred.Certs = Globs([]string{cn})
	s := &filters.Session{ClientID: "c", Certificate: &x509.Certificate{Raw: []byte("x"), Subject: pkix.Name{CommonName: cn}}}
	if d := compiled(t, barred, allow("#")).View(s).Publish(noon, Message{Topic: []byte("a")}); d.Allowed {
		t.Errorf("allowed by %s", d.Rule)
	}
}

// TestIndexKeys: no name, whatever is in it, makes the subjects of two rules one.
func TestIndexKeys(t *testing.T) {
	other, barred := deny("x"), deny("#")
	barred.Users = []Name{Exactly("a"), Exactly("b")}
	for _, name := range []string{"a\x00eb", "a\x01b", "aeb", "ae1b"} {
		other.Users = []Name{Exactly(name)}
		if d := compiled(t, other, barred, allow("#")).View(user("b")).Publish(noon, Message{Topic: []byte("a")}); d.Allowed {
			t.Errorf("beside %q allowed by %s", name, d.Rule)
		}
	}
}

// TestIndexOnce: a class that several names of a client find is one.
func TestIndexOnce(t *testing.T) {
	r := allow("a")
	r.Groups = Globs([]string{"g", "h", "g"})
	s := user("bob")
	s.Identity.Groups = []string{"h", "g", "g"}
	p := compiled(t, deny("z"), r)
	if found := p.index.of(subjectOf(s)); len(found) != 2 {
		t.Errorf("%d classes", len(found))
	}
	if n := len(p.index.named[name{byGroup, "g"}]); n != 1 {
		t.Errorf("registered %d times", n)
	}
}
