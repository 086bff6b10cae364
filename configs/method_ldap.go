package configs

import "net/url"

// ldap checks what the keys of an ldap method need of each other.
func (l *loader) ldap(path string, m *Method) {
	if m.URL != "" {
		l.ldapURL(path, m)
	}
	switch {
	case m.UserDN == "" && m.BaseDN == "":
		l.missing(key(path, "base_dn"), "is required without user_dn: below which entry users are searched for")
	case m.UserDN != "" && m.BaseDN != "":
		l.fail(key(path, "base_dn"), "contradicts user_dn: keep one of them")
	case m.UserDN != "" && m.UserFilter != "":
		l.fail(key(path, "user_filter"), "contradicts user_dn: keep one of them")
	}
	switch {
	case m.BindDN != "" && m.PasswordFile == "":
		// Without a password it would be an anonymous bind that looks like another.
		l.missing(key(path, "password_file"), "is required with bind_dn")
	case m.BindDN == "" && m.PasswordFile != "":
		l.missing(key(path, "bind_dn"), "is required with password_file")
	}
}

func (l *loader) ldapURL(path string, m *Method) {
	u, err := url.Parse(m.URL)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.User != nil ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		// It is not repeated: it may hold a password.
		l.fail(key(path, "url"), "wants ldap://host:port or ldaps://host:port, and nothing else")
		return
	}
	switch secure := u.Scheme == "ldaps" || m.StartTLS; {
	case u.Scheme == "ldaps" && m.StartTLS:
		l.fail(key(path, "start_tls"), "contradicts ldaps://, which is TLS from the start")
	case !secure && inClear(u, "ldap") && !l.unsure(key(path, "start_tls")):
		l.fail(key(path, "url"), "credentials would cross the network in the clear: %s is not loopback (ldaps://, or start_tls: true)", u.Hostname())
	case !secure && m.CA != "":
		l.fail(key(path, "ca"), "has no effect without ldaps:// or start_tls")
	}
}
