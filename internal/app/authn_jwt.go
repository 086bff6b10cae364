package app

import (
	"crypto/x509"
	"errors"
	"os"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/filters/authn/jwt"
)

// keySource is all that a key set is made of. Another source is another set.
type keySource struct {
	method, url, issuer, ca string
	timeout                 time.Duration
	connections             int
}

// newJWT makes a method of tokens. Mistakes are reported at the keys that they
// stand in.
func (b *builder) newJWT(path string, m configs.Method) (authn.Authenticator, error) {
	o := jwt.Options{
		Name: m.Name, In: m.In, AuthMethod: m.AuthenticationMethod,
		Issuer: m.Issuer, Audience: m.Audience, Algorithms: m.Algorithms, Leeway: m.Leeway, MaxLifetime: m.MaxLifetime,
		GroupsClaim: m.GroupsClaim, ACLClaim: m.ACLClaim, Bound: m.Bound,
		Scopes: jwt.Scopes{ResourceServer: m.Scopes.ResourceServer, Prefix: m.Scopes.Prefix, Claim: m.Scopes.Claim, VHost: m.Scopes.VHost},
	}
	var err error
	for _, t := range []struct {
		key, text string
		template  *filters.Template
	}{{".username", m.Username, &o.Username}, {".tenant", m.Tenant, &o.Tenant}, {".client_id", m.ClientID, &o.ClientID}} {
		if t.text == "" {
			continue
		}
		if *t.template, err = filters.ParseTemplate(t.text); err != nil {
			b.fail(path+t.key, err)
		}
	}
	switch {
	case m.Introspection.URL != "":
		o.Introspection = b.introspection(path, m)
	case m.JWKSURL != "" || m.Discovery:
		o.Source = b.keySet(path, m)
	case m.DeviceKeys != "":
		devices, err := jwt.LoadDevices(m.DeviceKeys)
		if err != nil {
			b.fail(path+".device_keys", err)
		}
		o.Source = devices
	default:
		o.Source = b.localKeys(path, m)
	}
	return jwt.New(o)
}

// localKeys are the keys in files.
func (b *builder) localKeys(path string, m configs.Method) jwt.Keys {
	keys := jwt.Keys{}
	read := func(key, file string, parse func([]byte) (jwt.Keys, error)) {
		if file == "" {
			return
		}
		data, err := jwt.ReadKeyFile(file)
		var more jwt.Keys
		if err == nil {
			more, err = parse(data)
		}
		if err != nil {
			b.fail(path+key, err)
		}
		keys = append(keys, more...)
	}
	read(".secret_file", m.SecretFile, func([]byte) (jwt.Keys, error) {
		secret, err := secretIn(m.SecretFile)
		if err != nil {
			return nil, err
		}
		return jwt.ParseSecret([]byte(secret))
	})
	for _, file := range m.KeyFiles {
		read(".key_files", file, jwt.ParsePEM)
	}
	read(".jwks_file", m.JWKSFile, jwt.ParseJWKS)
	if err := keys.Tried(); err != nil {
		b.fail(path+".key_files", err)
	}
	return keys
}

// keySet takes over the set of the same source, which has its keys already, or
// makes one. Neither asks anybody.
func (b *builder) keySet(path string, m configs.Method) *jwt.KeySet {
	pool, ca := b.trusted(path, m)
	source := keySource{m.Name, m.JWKSURL, "", ca, m.Timeout, m.MaxConnections}
	if m.Discovery {
		source.issuer = m.Issuer
	}
	if b.last != nil && b.last.keySets[source] != nil {
		b.keySets[source] = b.last.keySets[source]
		return b.keySets[source]
	}
	b.keySets[source] = jwt.NewKeySet(jwt.KeySetOptions{
		URL: source.url, Issuer: source.issuer, Timeout: m.Timeout,
		Client:  authn.NewHTTPClient(pool, m.MaxConnections, m.Timeout),
		Changed: b.shared.sourceChanged(m.Name),
	})
	return b.keySets[source]
}

// trusted returns the certificates that a source is trusted by, and their text.
func (b *builder) trusted(path string, m configs.Method) (*x509.CertPool, string) {
	pool, err := poolIn(m.CA)
	if err != nil {
		b.fail(path+".ca", err)
	}
	if m.CA == "" {
		return pool, ""
	}
	text, err := os.ReadFile(m.CA)
	if err != nil {
		b.fail(path+".ca", err)
	}
	return pool, string(text)
}

func (b *builder) introspection(path string, m configs.Method) *jwt.Introspection {
	secret, err := secretIn(m.Introspection.ClientSecretFile)
	if err == nil && secret == "" {
		err = errors.New("is empty")
	}
	if err != nil {
		b.fail(path+".introspection.client_secret_file", err)
	}
	pool, _ := b.trusted(path, m)
	i := &jwt.Introspection{
		URL: m.Introspection.URL, ClientID: m.Introspection.ClientID, Secret: secret,
		Client: authn.NewHTTPClient(pool, m.MaxConnections, m.Timeout),
		Guard:  b.guard(m),
	}
	b.closeLater(i)
	return i
}
