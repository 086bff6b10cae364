package authz

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters"
)

// Subjects say who a rule is about. All kinds that are given must hold, for one
// name of each; none given means everybody.
type Subjects struct {
	Users     []Name
	Anonymous bool // who has no user name; beside Users, they or those
	ClientIDs []Name
	Groups    []Name // the client is in one of them
	Tenants   []Name
	Listeners []Name
	Certs     []Name // the certificate's common name, or its whole SHA-256 fingerprint
	IPs       []netip.Prefix
}

// Name is a name or a set of names. The empty name is nobody's: no Name holds
// it.
type Name struct {
	text string
	glob bool           // "*" in text stands for any run of characters
	re   *regexp.Regexp // in the place of text
}

// Exactly is the one name text.
func Exactly(text string) Name { return Name{text: text} }

// Globbing holds the names that the pattern does, in which "*" stands for any run of
// characters.
func Globbing(pattern string) Name {
	return Name{text: pattern, glob: strings.Contains(pattern, "*")}
}

// Globs is Globbing for each of the patterns.
func Globs(patterns []string) []Name {
	if patterns == nil {
		return nil
	}
	names := make([]Name, len(patterns))
	for i, p := range patterns {
		names[i] = Globbing(p)
	}
	return names
}

// Matching holds the names in which re matches somewhere.
func Matching(re *regexp.Regexp) Name { return Name{text: re.String(), re: re} }

// String returns the name or the pattern.
func (n Name) String() string { return n.text }

func (n Name) exact() bool { return !n.glob && n.re == nil }

func (n Name) holds(value string) bool {
	switch {
	case value == "":
		return false
	case n.re != nil:
		return n.re.MatchString(value)
	case n.glob:
		return filters.Glob(n.text, value)
	}
	return n.text == value
}

// check refuses what would never match: a deny rule that is silently void lets
// everybody through.
func (s *Subjects) check() error {
	for _, list := range s.names() {
		for _, n := range list {
			if n.text == "" && n.re == nil {
				return errors.New("an empty name is nobody's")
			}
		}
	}
	for _, p := range s.IPs {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fmt.Errorf("no network: %s", p)
		}
	}
	return nil
}

func (s *Subjects) names() [][]Name {
	return [][]Name{s.Users, s.ClientIDs, s.Groups, s.Tenants, s.Listeners, s.Certs}
}

// subject is who rules may name: a session, and what its certificate says.
type subject struct {
	*filters.Session
	commonName  string
	fingerprint string
}

func subjectOf(s *filters.Session) subject {
	cn, _ := filters.CertificateValue(s.Certificate, "cert.cn")
	fingerprint, _ := filters.CertificateValue(s.Certificate, "cert.fingerprint")
	return subject{Session: s, commonName: cn, fingerprint: fingerprint}
}

// excludes tells by what the rule is not about s; "" if it is about it.
func (r *rule) excludes(s subject) string {
	if why := r.Subjects.exclude(s); why != "" {
		return why
	}
	return r.excludesMore(s)
}

// excludesMore is excludes but for what Subjects say.
func (r *rule) excludesMore(s subject) string {
	for i := range r.Within {
		if why := r.Within[i].exclude(s); why != "" {
			return why
		}
	}
	for i := range r.Without {
		if r.Without[i].exclude(s) == "" {
			return "for all but some clients"
		}
	}
	return ""
}

func (s *Subjects) exclude(who subject) string {
	inGroup := func(g string) bool { return oneOf(s.Groups, g) }
	switch {
	case !s.namesUser(who.Identity.Username):
		return "for other users"
	case !oneOf(s.ClientIDs, who.ClientID):
		return "for other client identifiers"
	case len(s.Groups) > 0 && !slices.ContainsFunc(who.Proof().Groups, inGroup):
		return "for other groups"
	case !oneOf(s.Tenants, who.Proof().Tenant):
		return "for other tenants"
	case !oneOf(s.Listeners, who.Listener):
		return "for other listeners"
	case !s.namesCertificate(who):
		return "for other certificates"
	case !s.includesAddress(who.RemoteAddr.Addr()):
		return "for other networks"
	}
	return ""
}

func (s *Subjects) namesUser(name string) bool {
	if s.Anonymous {
		return name == "" || len(s.Users) > 0 && oneOf(s.Users, name)
	}
	return oneOf(s.Users, name)
}

// oneOf reports whether value is held by one of the names. No names hold all.
func oneOf(names []Name, value string) bool {
	for _, n := range names {
		if n.holds(value) {
			return true
		}
	}
	return len(names) == 0
}

// namesCertificate compares whole fingerprints only: a glob that is meant for
// common names, such as "a*", would take in every sixteenth certificate. "*" is
// any certificate, with or without a common name.
func (s *Subjects) namesCertificate(who subject) bool {
	if len(s.Certs) == 0 {
		return true
	}
	return who.fingerprint != "" && (oneOf(s.Certs, who.commonName) || slices.ContainsFunc(s.Certs, func(n Name) bool {
		return n.text == "*" || plainFingerprint(n.text) == who.fingerprint
	}))
}

// plainFingerprint returns a fingerprint that was written with colons or in
// capitals, as OpenSSL prints it, in the form that is compared, and "" for any
// other text.
func plainFingerprint(text string) string {
	plain := strings.ToLower(strings.ReplaceAll(text, ":", ""))
	if b, err := hex.DecodeString(plain); err == nil && len(b) == sha256.Size {
		return plain
	}
	return ""
}

func (s *Subjects) includesAddress(a netip.Addr) bool {
	a = a.Unmap().WithZone("") // no prefix contains an address with a zone
	for _, p := range s.IPs {
		if p.Contains(a) {
			return true
		}
	}
	return len(s.IPs) == 0
}
