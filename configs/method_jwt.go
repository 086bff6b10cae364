package configs

import (
	"net"
	"net/url"
)

// tokens checks what the keys of a jwt method need of each other.
func (l *loader) tokens(path string, m *Method) {
	l.tokenSource(path, m)
	asked := m.Introspection.URL != ""
	for _, c := range []struct {
		key, needs string
		wrong      bool
	}{
		{"authentication_method", "in: auth_data", m.AuthenticationMethod != "" && m.In != "auth_data"},
		{"algorithms", "keys: the server that is asked checks the signature", m.Algorithms != nil && asked},
		{"username", "keys of an issuer: with device_keys it is the device's name", m.Username != "" && m.DeviceKeys != ""},
		{"groups_claim", "keys of an issuer: a device could say what it likes", m.GroupsClaim != "" && m.DeviceKeys != ""},
		{"tenant", "keys of an issuer: a device could say what it likes", m.Tenant != "" && m.DeviceKeys != ""},
		{"client_id", "keys of an issuer: with device_keys the client identifier names the device", m.ClientID != "" && m.DeviceKeys != ""},
		{"acl_claim", "keys of an issuer: a device could say what it likes", m.ACLClaim != "" && m.DeviceKeys != ""},
		{"scopes.resource_server", "keys of an issuer: a device could say what it likes", m.Scopes.ResourceServer != "" && m.DeviceKeys != ""},
		{"ca", "jwks_url, discovery or introspection", m.CA != "" && m.JWKSURL == "" && !m.Discovery && !asked},
		{"scopes.prefix", "scopes.resource_server", m.Scopes.Prefix != "" && m.Scopes.ResourceServer == ""},
		{"scopes.claim", "scopes.resource_server", m.Scopes.Claim != "" && m.Scopes.ResourceServer == ""},
		{"scopes.vhost", "scopes.resource_server", m.Scopes.VHost != "" && m.Scopes.ResourceServer == ""},
		{"introspection.client_id", "introspection.url", m.Introspection.ClientID != "" && !asked},
		{"introspection.client_secret_file", "introspection.url", m.Introspection.ClientSecretFile != "" && !asked},
	} {
		if c.wrong {
			l.fail(key(path, c.key), "has no effect without %s", c.needs)
		}
	}
	if m.ACLClaim != "" && m.Scopes.ResourceServer != "" {
		l.fail(key(path, "acl_claim"), "contradicts scopes: keep one of them")
	}
	if m.Algorithms != nil && len(m.Algorithms) == 0 {
		l.fail(key(path, "algorithms"), "is an empty list: nobody could log in; left out, the keys decide")
	}
	if m.Audience == "" && !asked {
		l.missing(key(path, "audience"), "is required: tokens for other services would be accepted")
	}
}

// tokenSource sees to it that there is one place to ask about tokens, and that
// nobody can pose as it.
func (l *loader) tokenSource(path string, m *Method) {
	local := m.SecretFile != "" || m.KeyFiles != nil || m.JWKSFile != ""
	sources := 0
	for _, given := range []bool{local, m.JWKSURL != "", m.Discovery, m.DeviceKeys != "", m.Introspection.URL != ""} {
		if given {
			sources++
		}
	}
	switch {
	case sources > 1:
		l.fail(path, "has more than one of keys in files, jwks_url, discovery, device_keys and introspection: make a method of each")
	case sources == 0 && !l.misspelt(path):
		l.fail(path, "wants one of secret_file, key_files, jwks_file, jwks_url, discovery, device_keys and introspection")
	}
	if m.Discovery && m.Issuer == "" {
		l.missing(key(path, "issuer"), "is required for discovery")
	}
	if m.Introspection.URL != "" {
		at := key(path, "introspection")
		if m.Introspection.ClientID == "" {
			l.missing(key(at, "client_id"), "is required: the server answers nobody whom it does not know")
		}
		if m.Introspection.ClientSecretFile == "" {
			l.missing(key(at, "client_secret_file"), "is required: the server answers nobody whom it does not know")
		}
	}
	for _, u := range []struct {
		key, text string
		asked     bool
	}{
		{"jwks_url", m.JWKSURL, true},
		{"issuer", m.Issuer, m.Discovery},
		{"introspection.url", m.Introspection.URL, true},
	} {
		if u.asked && u.text != "" && !secureURL(u.text) {
			l.fail(key(path, u.key), "wants a URL with https, or http on this machine")
		}
	}
}

// misspelt reports whether a mistake in what stands at path explains what is
// missing there.
func (l *loader) misspelt(path string) bool {
	for _, name := range []string{"secret_file", "key_files", "jwks_file", "jwks_url", "discovery", "device_keys", "introspection"} {
		if l.unsure(key(path, name)) {
			return true
		}
	}
	return false
}

// secureURL reports whether what comes from there is who it says. It holds no
// password and no fragment.
func secureURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && local
}
