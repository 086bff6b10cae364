package jwt

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
)

// identified makes an identity of claims, without keys.
func identified(t *testing.T, o Options, claims map[string]any, c filters.Credentials) (filters.Identity, error) {
	t.Helper()
	s := signers()["ES256"]
	o.Source = s.source(t, "")
	c.Password, c.HasPassword = filters.Secret(s.sign(t, claims, nil)), true
	return newMethod(t, o).Authenticate(t.Context(), c)
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		name                       string
		username, tenant, clientID string
		claims                     map[string]any
		wantUser, wantTenant, want string
	}{
		{"nested claim", "${claims.a.b}", "", "", good("a", map[string]any{"b": "bob"}), "bob", "", ""},
		{"name with dots", "${claims.https://x.example/user}", "", "", good("https://x.example/user", "bob"), "bob", "", ""},
		{"number", "u-${claims.n}", "", "", good("n", json.RawMessage("12345678901234567890")), "u-12345678901234567890", "", ""},
		{"tenant", "${claims.sub}", "${claims.tid}", "", good("tid", "acme"), "alice", "acme", ""},
		{"tenant with a wildcard", "${claims.sub}", "${claims.tid}", "", good("tid", "#"), "", "", "no usable tenant"},
		{"no tenant", "${claims.sub}", "${claims.tid}", "", good(), "", "", "no usable tenant"},
		{"own client identifier", "${claims.sub}", "", "client-${claims.n}", good("n", 1), "alice", "", ""},
		{"another's client identifier", "${claims.sub}", "", "client-${claims.n}", good("n", 2), "", "", "another client identifier"},
		{"no client identifier", "${claims.sub}", "", "client-${claims.n}", good(), "", "", "another client identifier"},
		{"client identifier for a user name", "${clientid}", "", "client-${claims.n}", good("n", 1), "client-1", "", ""},
		{"of the user and the tenant", "${claims.sub}", "${claims.tid}", "${tenant}-${username}", good("sub", "1", "tid", "client"), "1", "client", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(nil)
			o.Username = template(test.username)
			if test.tenant != "" {
				o.Tenant = template(test.tenant)
			}
			if test.clientID != "" {
				o.ClientID = template(test.clientID)
			}
			id, err := identified(t, o, test.claims, filters.Credentials{ClientID: "client-1"})
			wants(t, err, test.want, "")
			if id.Username != test.wantUser || id.Tenant != test.wantTenant {
				t.Errorf("got %q of %q", id.Username, id.Tenant)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	many := make([]string, maxGroups+1)
	for _, test := range []struct {
		name  string
		claim any
		want  []string
		err   string
	}{
		{"list", []string{"a", "b c"}, []string{"a", "b c"}, ""},
		{"spaces", "a  b", []string{"a", "b"}, ""},
		{"commas", "a,b, c", []string{"a", "b", "c"}, ""},
		{"none", []string{}, []string{}, ""},
		{"number", 1, nil, "is no list"},
		{"numbers", []int{1}, nil, "is no list"},
		{"object", map[string]any{"a": true}, nil, "is no list"},
		{"too many", many, nil, "is no list of at most 256 groups"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(nil)
			o.GroupsClaim = "realm_access.roles"
			id, err := identified(t, o, good("realm_access", map[string]any{"roles": test.claim}), filters.Credentials{})
			wants(t, err, test.err, "")
			if !slices.Equal(id.Groups, test.want) {
				t.Errorf("got %q", id.Groups)
			}
		})
	}
	o := options(nil)
	o.GroupsClaim = "groups"
	if id, err := identified(t, o, good(), filters.Credentials{}); err != nil || id.Groups != nil {
		t.Errorf("no claim: %q, %v", id.Groups, err)
	}
}

func TestFlatClaims(t *testing.T) {
	deep := any("bottom")
	for range 20 {
		deep = map[string]any{"d": deep}
	}
	c := claims{
		"s": "text", "n": json.Number("1.50"), "t": true, "f": false, "null": nil, "list": []any{"x"},
		"o": map[string]any{"p": map[string]any{"q": "in"}}, "long": strings.Repeat("x", 1100), "deep": deep,
	}
	want := map[string]string{"s": "text", "n": "1.50", "t": "true", "f": "false", "o.p.q": "in"}
	if got := c.flat(); !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for range 20 { // whatever the order of the map
		twice := claims{"a": map[string]any{"b": "within"}, "a.b": "as written"}
		if v, _ := twice.at("a.b"); v != twice.flat()["a.b"] {
			t.Errorf("templates have %v, rules %q", v, twice.flat()["a.b"])
		}
	}
	many := claims{}
	for i := range 100 {
		many[fmt.Sprintf("%03d", i)] = "x"
	}
	got := many.flat()
	if _, first := got["000"]; !first || len(got) != maxClaims {
		t.Errorf("%d claims are kept", len(got))
	}
}

// The claim of EMQX, in both forms, is read by package authn.
func TestACLClaim(t *testing.T) {
	o := options(nil)
	o.ACLClaim = "acl"
	id, err := identified(t, o, good("acl", map[string]any{"pub": []string{"p/${username}"}}), filters.Credentials{})
	if err != nil || !id.Permissions.Closed || len(id.Permissions.Rules) != 1 || id.Permissions.Rules[0].Topics[0] != "p/${username}" {
		t.Errorf("got %+v, %v", id.Permissions, err)
	}
	list := []any{
		map[string]any{"permission": "allow", "action": "publish", "topic": "a", "username_re": "^ali"},
		map[string]any{"permission": "deny", "action": "all", "topic": "b", "username_re": "^bob"},
	}
	if id, err = identified(t, o, good("acl", list), filters.Credentials{}); err != nil || id.Permissions.Closed || len(id.Permissions.Rules) != 1 {
		t.Errorf("got %+v, %v", id.Permissions, err)
	}
	if id, err = identified(t, o, good(), filters.Credentials{}); err != nil || id.Permissions != nil {
		t.Errorf("no claim: %+v, %v", id.Permissions, err)
	}
	_, err = identified(t, o, good("acl", []any{map[string]any{"permission": "maybe"}}), filters.Credentials{})
	wants(t, err, "claim acl: ", "")
	_, err = identified(t, o, good("acl", "all"), filters.Credentials{})
	wants(t, err, "claim acl: ", "")
}

// A token that is bound to a certificate is of no use to who has stolen it.
func TestBound(t *testing.T) {
	own, others := &x509.Certificate{Raw: []byte("own")}, &x509.Certificate{Raw: []byte("others")}
	sum := sha256.Sum256(own.Raw)
	thumbprint := base64.RawURLEncoding.EncodeToString(sum[:])
	bound := good("cnf", map[string]any{"x5t#S256": thumbprint})
	for _, test := range []struct {
		name     string
		required bool
		claims   map[string]any
		cert     *x509.Certificate
		want     string
	}{
		{"own", false, bound, own, ""},
		{"own, required", true, bound, own, ""},
		{"another's", false, bound, others, "bound to another certificate"},
		{"without a certificate", false, bound, nil, "the client has shown none"},
		{"padded", false, good("cnf", map[string]any{"x5t#S256": thumbprint + "="}), own, "bound to another certificate"},
		{"empty", false, good("cnf", map[string]any{"x5t#S256": ""}), own, "bound to another certificate"},
		{"not bound", false, good(), own, ""},
		{"not bound, required", true, good(), own, "not bound to a certificate"},
		{"to a key", false, good("cnf", map[string]any{"jkt": "x"}), own, "something other than a certificate"},
		{"to nothing", false, good("cnf", map[string]any{}), own, "something other than a certificate"},
		{"null", false, good("cnf", json.RawMessage("null")), own, "something other than a certificate"},
		{"to a number", false, good("cnf", map[string]any{"x5t#S256": 1}), own, "something other than a certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(nil)
			o.Bound = test.required
			_, err := identified(t, o, test.claims, filters.Credentials{Certificate: test.cert})
			wants(t, err, test.want, "")
		})
	}
}
