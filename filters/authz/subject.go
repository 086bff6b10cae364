package authz

import (
	"net/netip"
	"slices"

	"github.com/mqttward/mqttward/filters"
)

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

// appliesTo reports whether the rule's subjects include s.
func (r *rule) appliesTo(s subject) bool {
	return oneOf(r.Users, s.Identity.Username) &&
		oneOf(r.ClientIDs, s.ClientID) &&
		oneOf(r.Listeners, s.Listener) &&
		(len(r.Groups) == 0 || slices.ContainsFunc(s.Proof().Groups, r.namesGroup)) &&
		r.namesCertificate(s) &&
		r.includesAddress(s.RemoteAddr.Addr())
}

func (r *rule) namesGroup(group string) bool { return oneOf(r.Groups, group) }

// oneOf reports whether value matches one of the globs; no globs match all.
// An empty value is nobody's name and matches no glob, not even "*".
func oneOf(globs []string, value string) bool {
	for _, g := range globs {
		if value != "" && filters.Glob(g, value) {
			return true
		}
	}
	return len(globs) == 0
}

// namesCertificate compares whole fingerprints only: a glob that is meant for
// common names, such as "a*", would take in every sixteenth certificate. "*" is
// any certificate, with or without a common name.
func (r *rule) namesCertificate(s subject) bool {
	if len(r.Certs) == 0 {
		return true
	}
	return s.fingerprint != "" &&
		(oneOf(r.Certs, s.commonName) || slices.Contains(r.Certs, s.fingerprint) || slices.Contains(r.Certs, "*"))
}

func (r *rule) includesAddress(a netip.Addr) bool {
	a = a.Unmap().WithZone("") // no prefix contains an address with a zone
	for _, p := range r.IPs {
		if p.Contains(a) {
			return true
		}
	}
	return len(r.IPs) == 0
}
