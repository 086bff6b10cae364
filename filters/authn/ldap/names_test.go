package ldap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/mqttward/mqttward/filters"
)

func template(t testing.TB, text string) filters.Template {
	t.Helper()
	parsed, err := filters.ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestAssertions(t *testing.T) {
	for _, test := range []struct{ filter, dn, want string }{
		{"(uid=${username})", "", `[{uid \x00}]`},
		{"(&(objectClass=person)(|(uid=${username})(mail=${username}@x)))", "", `[{uid \x00} {mail \x00@x}]`},
		{`(cn=a\2a${username})`, "", `[{cn a*\x00}]`},
		{"(!(uid=${username}))", "", "wants an attribute"},
		{"(uid=${username}*)", "", "wants an attribute"},
		{"(uid>=${username})", "", "wants an attribute"},
		{"(uid:caseExactMatch:=${username})", "", "wants an attribute"},
		{"(${username}=x)", "", "wants an attribute"},
		{"(uid=${username}", "", "wants an attribute"},
		{"uid=${username}", "", "wants an attribute"},
		{"(uid=${clientid})", "", "wants an attribute"},
		{"", "uid=${username},ou=people", `[{uid \x00}]`},
		{"", "cn=a-${username}+ou=x,ou=people", `[{cn a-\x00}]`},
		{"", "cn=device,uid=${username}", "wants an attribute"},
		{"", "${username}", "wants an attribute"},
		{"", "uid=${clientid}", "wants an attribute"},
	} {
		o := Options{}
		if test.filter != "" {
			o.UserFilter = template(t, test.filter)
		} else {
			o.UserDN = template(t, test.dn)
		}
		got, err := o.assertions()
		text := strings.ReplaceAll(fmt.Sprint(got), "\x00", `\x00`)
		if err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, test.want) {
			t.Errorf("%s%s: %s, want %s", test.filter, test.dn, text, test.want)
		}
	}
}

// FuzzName: whatever a user name holds, it is one value in a filter and in a DN.
func FuzzName(f *testing.F) {
	for _, name := range []string{"alice", "*)(uid=*", "alice)(|(uid=*", "alice,ou=x", `a\`, `a\2a`, " a ", "#a", "a=b", `"a"`, "a;b<c>", "é", "\u00a0", "\xff"} {
		f.Add(name)
	}
	search := Options{UserFilter: template(f, "(&(objectClass=person)(uid=${username}))")}
	direct := Options{UserDN: template(f, "uid=${username},ou=people,dc=example")}
	f.Fuzz(func(t *testing.T, name string) {
		if !possible(name) {
			return
		}
		filter, err := ldap.CompileFilter(search.filter(name))
		if err != nil || len(filter.Children) != 2 || filter.Children[1].Tag != ldap.FilterEqualityMatch || filter.Children[1].Children[1].Data.String() != name {
			t.Errorf("%q: filter %q, %v", name, search.filter(name), err)
		}
		dn, err := ldap.ParseDN(direct.dn(name))
		if err != nil || len(dn.RDNs) != 3 || len(dn.RDNs[0].Attributes) != 1 || dn.RDNs[0].Attributes[0].Value != name {
			t.Errorf("%q: DN %q, %v", name, direct.dn(name), err)
		}
	})
}

func TestGroups(t *testing.T) {
	many := make([]string, maxGroups+1)
	for _, test := range []struct {
		name         string
		values, want []string
		err          bool
	}{
		{"memberOf", nil, []string{}, false},
		{"MEMBEROF", []string{"cn=a b,ou=groups", "CN=Ops\\, all,dc=x", "plain", "ou=x,dc=y", "a=b=c", ""}, []string{"a b", "Ops, all", "plain", "ou=x,dc=y", "a=b=c", ""}, false},
		{"other", []string{"x"}, []string{}, false},
		{"memberOf", many, nil, true},
		{"memberof;Range=0-1499", []string{"x"}, nil, true},
	} {
		a := &Authenticator{options: Options{GroupAttribute: "memberOf"}}
		got, err := a.groups(ldap.NewEntry("", map[string][]string{test.name: test.values}))
		if !slices.Equal(got, test.want) || (err != nil) != test.err {
			t.Errorf("%s %.3q: %q, %v", test.name, test.values, got, err)
		}
	}
}

func FuzzGroup(f *testing.F) {
	for _, v := range []string{"", "a", "cn=a,ou=b", "ou=b", "cn=", "cn=#0401", `cn=\`, "cn=a+ou=b"} {
		f.Add(v)
	}
	f.Fuzz(func(_ *testing.T, value string) { groupName(value) })
}
