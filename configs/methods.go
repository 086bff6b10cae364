package configs

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// The values of Method.Type.
const (
	MethodCertificate = "certificate"
	MethodPassword    = "password"
	MethodJWT         = "jwt"
	MethodSQL         = "sql"
	MethodRedis       = "redis"
	MethodLDAP        = "ldap"
	MethodHTTP        = "http"
	MethodSCRAM       = "scram"
	MethodAll         = "all"
	MethodAnonymous   = "anonymous"
)

// GroupsFromUnits is the value of Method.GroupsFrom: each organizational unit of
// the subject is a group.
const GroupsFromUnits = "ou"

// Method is a way to find out who a client is. The tag for names the types of
// method that a key belongs to, needs those that cannot do without it; file marks
// names of files and folders.
type Method struct {
	Name string `yaml:"name"`
	Type string `yaml:"type" oneof:"certificate password jwt sql redis ldap http scram all anonymous"`

	Username string `yaml:"username" for:"certificate jwt"`                                 // template of the user name
	Tenant   string `yaml:"tenant"`                                                         // template of the tenant
	File     string `yaml:"file" for:"password scram" needs:"password scram" file:"secret"` // of users

	AllowUsers   []string `yaml:"allow_users" for:"certificate"`  // globs of the user names that are accepted; nil: all
	Fingerprints []string `yaml:"fingerprints" for:"certificate"` // SHA-256 of the certificates that are accepted; nil: all

	GroupsFrom string `yaml:"groups_from" for:"certificate" oneof:"ou"` // of the certificate; "": nowhere
	GroupsFile string `yaml:"groups_file" for:"certificate password scram http" file:"public"`

	Of                  []string `yaml:"of" for:"all" needs:"all"` // names of methods that must all accept
	AllowDifferentUsers bool     `yaml:"allow_different_users" for:"all"`

	In                   string        `yaml:"in" for:"jwt" oneof:"password username auth_data"` // where the token stands
	AuthenticationMethod string        `yaml:"authentication_method" for:"jwt"`                  // MQTT 5.0; with in: auth_data
	SecretFile           string        `yaml:"secret_file" for:"jwt" file:"secret"`              // for HMAC
	KeyFiles             []string      `yaml:"key_files" for:"jwt" file:"public"`                // PEM
	JWKSFile             string        `yaml:"jwks_file" for:"jwt" file:"public"`
	JWKSURL              string        `yaml:"jwks_url" for:"jwt"`
	Discovery            bool          `yaml:"discovery" for:"jwt"`                 // OpenID Connect, from Issuer
	DeviceKeys           string        `yaml:"device_keys" for:"jwt" file:"folder"` // a PEM file for each device
	Issuer               string        `yaml:"issuer" for:"jwt"`
	Audience             string        `yaml:"audience" for:"jwt"`
	Algorithms           []string      `yaml:"algorithms" for:"jwt" oneof:"HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA"`
	Leeway               time.Duration `yaml:"leeway" for:"jwt"`
	MaxLifetime          time.Duration `yaml:"max_lifetime" for:"jwt"` // from iat, or now, to exp; 0: any
	GroupsClaim          string        `yaml:"groups_claim" for:"jwt"`
	ClientID             string        `yaml:"client_id" for:"jwt"` // template of the only client identifier
	ACLClaim             string        `yaml:"acl_claim" for:"jwt"` // permissions as EMQX has them
	Scopes               Scopes        `yaml:"scopes" for:"jwt"`    // permissions as RabbitMQ has them
	Bound                bool          `yaml:"bound" for:"jwt"`     // only tokens that are bound to the client's certificate
	Introspection        Introspection `yaml:"introspection" for:"jwt"`

	Driver      string `yaml:"driver" for:"sql" needs:"sql" oneof:"postgres mysql sqlite"`
	DSNFile     string `yaml:"dsn_file" for:"sql" needs:"sql" file:"secret"`
	Query       string `yaml:"query" for:"sql" needs:"sql"`
	GroupsQuery string `yaml:"groups_query" for:"sql"`

	URL string `yaml:"url" for:"redis ldap http" needs:"redis ldap http"`

	Key          string `yaml:"key" for:"redis" needs:"redis"`                // template of the key of a user
	Field        string `yaml:"field" for:"redis"`                            // of the hash at Key; "": Key is a string
	GroupsKey    string `yaml:"groups_key" for:"redis"`                       // template of the key of a set
	PasswordFile string `yaml:"password_file" for:"redis ldap" file:"secret"` // of our login at the source

	BindDN         string `yaml:"bind_dn" for:"ldap"`
	StartTLS       bool   `yaml:"start_tls" for:"ldap"`
	UserDN         string `yaml:"user_dn" for:"ldap"` // template; without it users are searched for
	BaseDN         string `yaml:"base_dn" for:"ldap"`
	UserFilter     string `yaml:"user_filter" for:"ldap"`     // template
	GroupAttribute string `yaml:"group_attribute" for:"ldap"` // of the user's entry

	Contract  string `yaml:"contract" for:"http" needs:"http" oneof:"emqx go-auth go-auth-jwt vernemq"`
	Body      string `yaml:"body" for:"http" oneof:"json form"`
	Answer    string `yaml:"answer" for:"http" oneof:"status json text"` // of go-auth
	TokenFile string `yaml:"token_file" for:"http" file:"secret"`        // bearer token of ours

	CA             string        `yaml:"ca" for:"jwt redis ldap http" file:"public"` // of the source; "": the system's
	Timeout        time.Duration `yaml:"timeout" for:"jwt sql redis ldap http"`      // of one question
	MaxConnections int           `yaml:"max_connections" for:"jwt sql redis ldap http"`
	Cache          Cache         `yaml:"cache" for:"jwt sql redis ldap http"` // jwt: of introspection
	Breaker        Breaker       `yaml:"breaker" for:"jwt sql redis ldap http"`
}

// Scopes says how scopes of a token become permissions.
type Scopes struct {
	ResourceServer string `yaml:"resource_server"` // "": scopes say nothing
	Prefix         string `yaml:"prefix"`          // "": ResourceServer and a dot
	Claim          string `yaml:"claim"`
	VHost          string `yaml:"vhost"`
}

// Introspection is where tokens are asked about (RFC 7662).
type Introspection struct {
	URL              string `yaml:"url"` // "": nowhere
	ClientID         string `yaml:"client_id"`
	ClientSecretFile string `yaml:"client_secret_file"`
}

// Cache bounds how long and how many answers of a source are remembered.
type Cache struct {
	TTL         time.Duration `yaml:"ttl"` // 0: none are
	NegativeTTL time.Duration `yaml:"negative_ttl"`
	Size        int           `yaml:"size"`
}

// Breaker stops asking a source that fails.
type Breaker struct {
	Failures int           `yaml:"failures"` // in a row
	Cooldown time.Duration `yaml:"cooldown"`
}

// uses reports whether the field of the tag belongs to a method of type t.
func uses(tag reflect.StructTag, t string) bool {
	types, ok := tag.Lookup("for")
	return !ok || slices.Contains(strings.Fields(types), t)
}

// complete fills in what was left out, where it belongs to the type.
func (m *Method) complete() {
	switch m.Type {
	case MethodCertificate:
		orDefault(&m.Username, certificateUsername)
	case MethodJWT:
		if m.DeviceKeys == "" {
			orDefault(&m.Username, "${claims.sub}")
		} else { // which is the user name
			orDefault(&m.MaxLifetime, 24*time.Hour)
		}
		orDefault(&m.In, "password")
		if m.In == "auth_data" {
			orDefault(&m.AuthenticationMethod, "OAUTH2-JWT")
		}
		orDefault(&m.Leeway, 30*time.Second)
		if m.Scopes.ResourceServer != "" {
			orDefault(&m.Scopes.Prefix, m.Scopes.ResourceServer+".")
			orDefault(&m.Scopes.Claim, "scope")
			orDefault(&m.Scopes.VHost, "/")
		}
	case MethodLDAP:
		if m.UserDN == "" {
			orDefault(&m.UserFilter, "(uid=${username})")
		}
	case MethodHTTP:
		orDefault(&m.Body, "json")
		if m.goAuth() {
			orDefault(&m.Answer, "status")
		}
	}
	if m.remote() {
		orDefault(&m.Timeout, 2*time.Second)
		orDefault(&m.MaxConnections, 8)
		orDefault(&m.Cache.Size, 10_000)
		orDefault(&m.Breaker.Failures, 5)
		orDefault(&m.Breaker.Cooldown, 5*time.Second)
	}
}

func orDefault[T comparable](v *T, value T) {
	if *v == *new(T) {
		*v = value
	}
}

// remote reports whether the method asks somebody else.
func (m *Method) remote() bool {
	return slices.Contains([]string{MethodJWT, MethodSQL, MethodRedis, MethodLDAP, MethodHTTP}, m.Type)
}

// keys checks that a method has the keys that its type needs, and no others.
func (l *loader) keys(path string, m *Method) {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		at, tag := key(path, field.Tag.Get("yaml")), field.Tag
		switch {
		case v.Field(i).IsZero() && slices.Contains(strings.Fields(tag.Get("needs")), m.Type):
			l.missing(at, "is required for type %s", m.Type)
		case !v.Field(i).IsZero() && !uses(tag, m.Type):
			l.fail(at, "belongs to type %s, not %s", either(strings.Fields(tag.Get("for"))), m.Type)
		}
	}
}

// isFolder reports whether path is of a key that wants the name of a folder.
func isFolder(path string) bool {
	t := reflect.TypeFor[Method]()
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		if tag.Get("file") == "folder" && strings.HasSuffix(path, "."+tag.Get("yaml")) {
			return true
		}
	}
	return false
}

// eachFile visits the names of the files of m.
func (m *Method) eachFile(path string, visit func(path string, name *string)) {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		if _, file := tag.Lookup("file"); !file {
			continue
		}
		at := key(path, tag.Get("yaml"))
		switch p := v.Field(i).Addr().Interface().(type) {
		case *string:
			visit(at, p)
		case *[]string:
			for j := range *p {
				visit(item(at, j), &(*p)[j])
			}
		}
	}
	visit(key(key(path, "introspection"), "client_secret_file"), &m.Introspection.ClientSecretFile)
}
