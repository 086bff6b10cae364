package app

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// fixed is a method that has one identity for everybody.
type fixed filters.Identity

func (f fixed) Authenticate(context.Context, filters.Credentials) (filters.Identity, error) {
	return filters.Identity(f), nil
}

func (f fixed) Begin(filters.Credentials) (filters.Dialogue, error) { return f, nil }

func (f fixed) Next(context.Context, filters.Secret) ([]byte, *filters.Identity, error) {
	id := filters.Identity(f)
	return []byte("answer"), &id, nil
}

// TestTenants: a method makes its clients those of a tenant, or lets nobody in.
func TestTenants(t *testing.T) {
	certificate := &x509.Certificate{Subject: pkix.Name{Names: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "plant-7"}}, CommonName: "plant-7"}}
	for _, tt := range []struct {
		name     string
		methods  []configs.Method
		identity filters.Identity
		want     string // "": refused
	}{
		{"plain text", []configs.Method{{Name: "m", Tenant: "acme"}}, filters.Identity{Username: "bob"}, "acme"},
		{"nobody's name", []configs.Method{{Name: "m", Tenant: "acme"}}, filters.Identity{}, "acme"},
		{"the user's name", []configs.Method{{Name: "m", Tenant: "${username}"}}, filters.Identity{Username: "bob"}, "bob"},
		{"no user's name", []configs.Method{{Name: "m", Tenant: "${username}"}}, filters.Identity{}, ""},
		{"a part of a topic", []configs.Method{{Name: "m", Tenant: "${username}"}}, filters.Identity{Username: "a/b"}, ""},
		{"the broker's own", []configs.Method{{Name: "m", Tenant: "${username}"}}, filters.Identity{Username: "$SYS"}, ""},
		{"a wildcard", []configs.Method{{Name: "m", Tenant: "${claims.t}"}}, filters.Identity{Claims: map[string]string{"t": "+"}}, ""},
		{"a certificate", []configs.Method{{Name: "m", Tenant: "${cert.cn}"}}, filters.Identity{Username: "bob"}, "plant-7"},
		{"no such name", []configs.Method{{Name: "m", Tenant: "${cert.san.dns}"}}, filters.Identity{Username: "bob"}, ""},
		{"a group", []configs.Method{{Name: "m", Tenant: "${group}"}}, filters.Identity{Groups: []string{"red"}}, "red"},
		{"two groups", []configs.Method{{Name: "m", Tenant: "${group}"}}, filters.Identity{Groups: []string{"red", "blue"}}, ""},
		{"two tenants", []configs.Method{{Name: "m", Tenant: "acme"}}, filters.Identity{Tenant: "zeta"}, ""},
		{"the same twice", []configs.Method{{Name: "m", Tenant: "acme"}}, filters.Identity{Tenant: "acme"}, "acme"},
		{"a part's", []configs.Method{{Name: "p", Tenant: "acme"}, {Name: "m", Type: configs.MethodAll, Of: []string{"q", "p"}}}, filters.Identity{}, "acme"},
		{"its own, not a part's", []configs.Method{{Name: "p", Tenant: "zeta"}, {Name: "m", Tenant: "acme", Of: []string{"p"}}}, filters.Identity{}, "acme"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &builder{built: &built{config: &configs.Config{Authn: tt.methods}}}
			if b.buildTenants(); len(b.errs) > 0 {
				t.Fatal(b.errs)
			}
			tt.identity.Method = "m"
			v := vouched{authn.Chain{fixed(tt.identity)}, map[string]string{"m": "kind"}, b.tenants}
			credentials := filters.Credentials{Certificate: certificate}
			check := func(how string, id filters.Identity, err error) {
				t.Helper()
				var refused *packets.Error
				switch {
				case tt.want == "":
					if !errors.As(err, &refused) || refused.Code != packets.NotAuthorized || id.Tenant != "" || id.Username != "" {
						t.Errorf("%s: %+v, %v, want it refused", how, id, err)
					}
				case err != nil || id.Tenant != tt.want || id.Kind != "kind" || id.Username != tt.identity.Username:
					t.Errorf("%s: %+v, %v, want one of %q", how, id, err, tt.want)
				}
			}
			id, err := v.Authenticate(t.Context(), credentials)
			check("a password", id, err)
			d, err := v.Begin(credentials)
			if err != nil {
				t.Fatal(err)
			}
			answer, joined, err := d.Next(t.Context(), nil)
			if joined == nil {
				joined = &filters.Identity{}
			}
			if (tt.want != "") != (string(answer) == "answer") {
				t.Errorf("the answer is %q", answer)
			}
			check("a dialogue", *joined, err)
		})
	}
}

// TestTenancyMistakes: each is shown at its place.
func TestTenancyMistakes(t *testing.T) {
	path := write(t, policy)
	for text, want := range map[string]string{
		`rewrite: {topic_prefix: "${tenant}"}`:                     "rewrite.topic_prefix: ",
		`rewrite: {topic_prefix: "${tenant}/#/"}`:                  "rewrite.topic_prefix: ",
		`rewrite: {topic_prefix: "$SYS/${tenant}/"}`:               "rewrite.topic_prefix: ",
		`rewrite: {topic_prefix: "${clientid}/"}`:                  "rewrite.topic_prefix: ${clientid} does not prove",
		`rewrite: {topic_prefix: "${tenent}/"}`:                    "rewrite.topic_prefix: ",
		`rewrite: {client_id_prefix: "${tenant}"}`:                 "rewrite.client_id_prefix: ",
		`rewrite: {client_id_prefix: "${tenant}/"}`:                "rewrite.client_id_prefix: ",
		`rewrite: {prefix: "${tenant}/"}`:                          "rewrite.prefix: ",
		`authn: [{name: m, type: anonymous, tenant: "${ip}"}]`:     "authn[0].tenant: ${ip} does not prove",
		`authn: [{name: m, type: anonymous, tenant: "${x}"}]`:      "authn[0].tenant: ",
		`authn: [{name: m, type: anonymous, tenant: "a/b"}]`:       "authn[0].tenant: ",
		`authn: [{name: m, type: anonymous, tenant: "$a"}]`:        "authn[0].tenant: ",
		`authn: [{name: m, type: anonymous, tenant: "${tenant}"}]`: "authn[0].tenant: ${tenant} does not prove",
	} {
		config := allowing(text + "\n")
		if strings.HasPrefix(text, "authn") {
			before, _, _ := strings.Cut(policy, "authn:")
			config = before + text + "\n" + everything
		}
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := load(path, nil, newShared(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestTenancy: rules judge the names of the broker, whether a client of the tenant
// sends or gets.
func TestTenancy(t *testing.T) {
	before, _, _ := strings.Cut(policy, "authz:\n")
	b, err := load(write(t, before+`
rewrite: {topic_prefix: "${tenant}/", client_id_prefix: "${tenant}-"}
authz: {rules: [{allow: [publish, subscribe], topics: ["${tenant}/line/#"]}]}
`), nil, newShared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := b.policies[0]
	s := &filters.Session{Version: packets.V311, ClientID: "dev", Identity: filters.Identity{Username: "bob", Method: "users", Tenant: "acme"}}
	if s.Namespace, err = p.Namespace(s); err != nil || s.BrokerID() != "acme-dev" {
		t.Fatalf("%q, %v", s.BrokerID(), err)
	}
	up, down := p.Up.Open(s), p.Down.Open(s)
	defer up.Close()
	defer down.Close()
	got := map[string]string{}
	for _, topic := range []string{"line/1", "acme/line/1", "hall/1"} {
		sent, _ := packets.Parse(packets.AppendPublish(nil, s.Version, 0, []byte(topic), 0, nil, nil, 0), s.Version, packets.Client)
		v := up.JudgeUp(time.Now(), s, sent)
		got["up "+topic] = string(v.Packet)
		sent, _ = packets.Parse(packets.AppendPublish(nil, s.Version, 0, []byte("acme/"+topic), 0, nil, nil, 0), s.Version, packets.Server)
		v = down.JudgeDown(time.Now(), s, sent)
		got["down "+topic] = string(v.Packet)
	}
	want := map[string]string{
		"up line/1":   string(packets.AppendPublish(nil, s.Version, 0, []byte("acme/line/1"), 0, nil, nil, 0)),
		"down line/1": string(packets.AppendPublish(nil, s.Version, 0, []byte("line/1"), 0, nil, nil, 0)),
		"up hall/1":   "", "down hall/1": "", "up acme/line/1": "", "down acme/line/1": "",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if b.retired.Namespace == nil {
		t.Error("sessions whose listener is gone would lose their names")
	}
	if _, err := p.Namespace(&filters.Session{Identity: filters.Identity{Username: "bob"}}); err == nil {
		t.Error("nobody's client has a namespace")
	}
}

// TestTenancyDocumentation: what the documentation offers to copy is a configuration
// in which each method's clients have the names of their tenant.
func TestTenancyDocumentation(t *testing.T) {
	docs, err := os.ReadFile("../../docs/tenancy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(docs), "```yaml\n")
	text, _, found := strings.Cut(after, "```\n")
	before, _, _ := strings.Cut(policy, "authn:\n")
	if !found || !strings.Contains(text, "rewrite:") {
		t.Fatalf("no configuration: %q", text)
	}
	text = strings.NewReplacer("acme.passwd", "users.passwd", "https://id.example/keys", "http://127.0.0.1:1/keys").Replace(text)
	b, err := load(write(t, before+text+everything), nil, newShared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := b.policies[0].Namespace(&filters.Session{Identity: filters.Identity{Tenant: "acme"}})
	if want := (filters.Namespace{Topics: "acme/", ClientIDs: "acme-"}); err != nil || ns != want {
		t.Errorf("%+v, %v, want %+v", ns, err, want)
	}
}
