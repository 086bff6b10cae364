package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tokens is a configuration with a jwt method.
func tokens(keys string) string {
	return strings.Replace(minimal, "{name: users, type: password, file: users}", "{name: tokens, type: jwt, "+keys+"}", 1)
}

func TestTokenMistakes(t *testing.T) {
	const (
		at     = "mqttward.yaml:4: authn[0]"
		issuer = "jwks_url: https://a.example/keys, audience: mqtt"
		asked  = "introspection: {url: https://a.example/ask, client_id: c, client_secret_file: key}"
		needed = " is required: the server answers nobody whom it does not know"
	)
	for _, test := range []struct{ name, keys, want string }{
		{"no keys", "audience: mqtt", at + ": wants one of secret_file, key_files, jwks_file, jwks_url, discovery, device_keys and introspection"},
		{"misspelt keys", "audience: mqtt, jwks_ulr: https://a.example", at + `.jwks_ulr: unknown key; did you mean "jwks_url"?`},
		{"two sources", issuer + ", key_files: [key]", at + ": has more than one of keys in files, jwks_url, discovery, device_keys and introspection: make a method of each"},
		{"keys and a question", "secret_file: key, audience: mqtt, " + asked, at + ": has more than one of keys in files, jwks_url, discovery, device_keys and introspection: make a method of each"},
		{"no audience", "secret_file: key", at + ".audience: is required: tokens for other services would be accepted"},
		{"discovery of nobody", "discovery: true, audience: mqtt", at + ".issuer: is required for discovery"},
		{"discovery in the clear", "discovery: true, audience: mqtt, issuer: http://a.example", at + ".issuer: wants a URL with https, or http on this machine"},
		{"keys in the clear", "jwks_url: http://a.example/keys, audience: mqtt", at + ".jwks_url: wants a URL with https, or http on this machine"},
		{"no URL", "jwks_url: keys.json, audience: mqtt", at + ".jwks_url: wants a URL with https, or http on this machine"},
		{"password in a URL", "jwks_url: https://u:p@a.example/keys, audience: mqtt", at + ".jwks_url: wants a URL with https, or http on this machine"},
		{"question in the clear", "introspection: {url: http://10.0.0.1/ask, client_id: c, client_secret_file: key}", at + ".introspection.url: wants a URL with https, or http on this machine"},
		{"question of nobody", "introspection: {url: https://a.example/ask}", at + ".introspection.client_id:" + needed + "\n" + at + ".introspection.client_secret_file:" + needed},
		{"login nowhere", issuer + ", introspection: {client_id: c}", at + ".introspection.client_id: has no effect without introspection.url"},
		{"unused algorithms", asked + ", algorithms: [ES256]", at + ".algorithms: has no effect without keys: the server that is asked checks the signature"},
		{"no algorithm", issuer + ", algorithms: []", at + ".algorithms: is an empty list: nobody could log in; left out, the keys decide"},
		{"no such algorithm", issuer + ", algorithms: [none]", at + `.algorithms[0]: wants HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA, not "none"`},
		{"place", issuer + ", in: topic", at + `.in: wants password, username or auth_data, not "topic"`},
		{"unused authentication method", issuer + ", authentication_method: X", at + ".authentication_method: has no effect without in: auth_data"},
		{"named devices", "device_keys: devices, audience: mqtt, username: x", at + ".username: has no effect without keys of an issuer: with device_keys it is the device's name"},
		{"devices in groups of their own", "device_keys: devices, audience: mqtt, groups_claim: groups", at + ".groups_claim: has no effect without keys of an issuer: a device could say what it likes"},
		{"devices with rights of their own", "device_keys: devices, audience: mqtt, acl_claim: acl", at + ".acl_claim: has no effect without keys of an issuer: a device could say what it likes"},
		{"file for a folder", "device_keys: key, audience: mqtt", at + ".device_keys: not a folder: key"},
		{"folder for a file", "secret_file: devices, audience: mqtt", at + ".secret_file: not a regular file: devices"},
		{"unused CA", "secret_file: key, audience: mqtt, ca: ca", at + ".ca: has no effect without jwks_url, discovery or introspection"},
		{"scopes of nobody", issuer + ", scopes: {vhost: a}", at + ".scopes.vhost: has no effect without scopes.resource_server"},
		{"scopes and ACL", issuer + ", scopes: {resource_server: r}, acl_claim: acl", at + ".acl_claim: contradicts scopes: keep one of them"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseTokens(t, test.keys)
			if err == nil || err.Error() != test.want {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// parseTokens is Parse with a folder named devices among the files.
func parseTokens(t *testing.T, keys string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"key", "ca"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "devices"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := Parse([]byte(tokens(keys)), filepath.Join(dir, "mqttward.yaml"))
	if errs, ok := err.(Errors); ok {
		for i := range errs {
			errs[i].Source = filepath.Base(errs[i].Source)
		}
	}
	return c, err
}

func TestTokenDefaults(t *testing.T) {
	c, err := parseTokens(t, "jwks_url: http://127.0.0.1:1/keys, audience: mqtt, in: auth_data, scopes: {resource_server: rabbitmq}")
	if err != nil {
		t.Fatal(err)
	}
	m := c.Authn[0]
	if m.Username != "${claims.sub}" || m.Leeway != 30*time.Second || m.AuthenticationMethod != "OAUTH2-JWT" || m.MaxLifetime != 0 ||
		m.Scopes != (Scopes{"rabbitmq", "rabbitmq.", "scope", "/"}) {
		t.Errorf("got %+v", m)
	}
	if c, err = parseTokens(t, "device_keys: devices, audience: mqtt"); err != nil {
		t.Fatal(err)
	}
	if m := c.Authn[0]; m.Username != "" || m.MaxLifetime != 24*time.Hour || m.In != "password" || !filepath.IsAbs(m.DeviceKeys) {
		t.Errorf("got %+v", m)
	}
}
