package roles_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/filters/authz/roles"
)

// The configuration knows the roles and no others.
func TestNames(t *testing.T) {
	field, _ := reflect.TypeFor[configs.Rule]().FieldByName("Role")
	if got, want := strings.Join(roles.Names(), " "), "requester responder sparkplug_edge sparkplug_host tenant"; got != want {
		t.Errorf("got %s", got)
	}
	for _, name := range roles.Names() {
		if !strings.Contains(" "+field.Tag.Get("oneof")+" ", " "+name+" ") {
			t.Errorf("the configuration has no role %s", name)
		}
	}
	if got := len(strings.Fields(field.Tag.Get("oneof"))); got != len(roles.Names()) {
		t.Errorf("the configuration has %d roles", got)
	}
}

func TestRequester(t *testing.T) {
	v := view(t, client("c1"), "requester", authz.Rule{Place: "here"}, roles.Values{Requests: "requests/line-a/+"})
	try(t, v, []act{
		{"asks", "publish", "requests/line-a/x", 1, false, true},
		{"asks others", "publish", "requests/line-b/x", 1, false, false},
		{"asks for ever", "publish", "requests/line-a/x", 1, true, false},
		{"reads requests", "subscribe", "requests/line-a/x", 0, false, false},
		{"reads its answers", "subscribe", "responses/c1/#", 1, false, true},
		{"reads one", "receive", "responses/c1/7", 1, false, true},
		{"reads another's", "subscribe", "responses/c2/#", 0, false, false},
		{"reads all", "subscribe", "responses/+/#", 0, false, false},
		{"answers itself", "publish", "responses/c1/7", 0, false, false},
	})
	try(t, view(t, client("a/b"), "requester", authz.Rule{Place: "here"}, roles.Values{Requests: "q", Responses: "r/x"}), []act{
		{"no level", "subscribe", "r/x/a/b/#", 0, false, false},
		{"no level", "publish", "q", 0, false, true},
	})
}

func TestResponder(t *testing.T) {
	v := view(t, client("r1"), "responder", authz.Rule{Place: "here"}, roles.Values{Requests: "requests/#", Responses: "answers/to"})
	try(t, v, []act{
		{"reads requests", "subscribe", "requests/#", 1, false, true},
		{"shares them", "subscribe", "$share/workers/requests/#", 1, false, true},
		{"asks", "publish", "requests/x", 0, false, false},
		{"answers", "publish", "answers/to/c1/7", 1, false, true},
		{"answers nobody", "publish", "answers/to", 1, false, false},
		{"answers for ever", "publish", "answers/to/c1/7", 1, true, false},
		{"reads answers", "subscribe", "answers/to/c1/#", 0, false, false},
	})
}

func TestTenant(t *testing.T) {
	s := client("app")
	s.Identity.Tenant = "acme"
	try(t, view(t, s, "tenant", authz.Rule{Place: "here"}, roles.Values{}), []act{
		{"own", "publish", "acme/x/y", 2, true, true},
		{"own", "subscribe", "acme/#", 2, false, true},
		{"own", "will", "acme/x", 0, false, true},
		{"another's", "publish", "other/x", 0, false, false},
		{"all", "subscribe", "+/#", 0, false, false},
	})
	try(t, view(t, s, "tenant", authz.Rule{Place: "here"}, roles.Values{Prefix: "customers/${tenant}"}), []act{
		{"own", "publish", "customers/acme/x", 0, false, true},
		{"at the root", "publish", "acme/x", 0, false, false},
	})
	for _, name := range []string{"", "+", "a/b", "$SYS"} {
		s.Identity.Tenant = name
		try(t, view(t, s, "tenant", authz.Rule{Place: "here"}, roles.Values{}), []act{
			{name, "subscribe", "+/x", 0, false, false},
			{name, "publish", name + "/x", 0, false, false},
			{name, "subscribe", "$SYS/#", 0, false, false},
		})
	}
}

// What the entry says besides holds for each rule of the role, and each tells of
// its part.
func TestExpand(t *testing.T) {
	w, err := authz.ParseWindow("06:00-08:00", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	of := authz.Rule{
		Name: "edge nodes", Place: "authz.rules[3] (line 9)", Size: 1000, Times: []authz.Window{w},
		Subjects: authz.Subjects{Groups: authz.Globs([]string{"edge"}), IPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		Within:   []authz.Subjects{{Tenants: authz.Globs([]string{"acme"})}},
	}
	values := roles.Values{Group: "G1", Edge: "E1", Host: "h", Requests: "q"}
	for _, name := range roles.Names() {
		rules, err := roles.Expand(name, of, values)
		if err != nil || len(rules) == 0 {
			t.Fatalf("%s: %v, %d rules", name, err, len(rules))
		}
		parts := map[string]bool{}
		for _, r := range rules {
			messages := !r.Deny && (r.Publish || r.Will)
			if !reflect.DeepEqual(r.Subjects, of.Subjects) || !reflect.DeepEqual(r.Within, of.Within) || !reflect.DeepEqual(r.Times, of.Times) ||
				r.Place != of.Place || r.Size != 0 != messages {
				t.Errorf("%s: got %+v", name, r)
			}
			if part, ok := strings.CutPrefix(r.Name, "edge nodes: "); !ok || parts[part] {
				t.Errorf("%s: a rule is called %q", name, r.Name)
			} else {
				parts[part] = true
			}
		}
		if p, err := authz.New(rules, authz.Options{}); err != nil || len(p.Weaknesses()) > 0 {
			t.Errorf("%s: %v, weak: %q", name, err, p.Weaknesses())
		}
		nameless, err := roles.Expand(name, authz.Rule{Place: "here"}, values)
		if err != nil || !strings.HasPrefix(nameless[0].Name, name+": ") {
			t.Errorf("%s: %v, named %q", name, err, nameless[0].Name)
		}
	}
}

func TestExpandMistakes(t *testing.T) {
	const part = " cannot be part of a topic"
	for _, test := range []struct {
		role   string
		values roles.Values
		want   string
	}{
		{"sparkplug", roles.Values{}, `no such role: "sparkplug"; known are requester, responder, sparkplug_edge, sparkplug_host, tenant`},
		{"sparkplug_edge", roles.Values{Group: "a/b", Edge: "E"}, `with.group: "a/b"` + part},
		{"sparkplug_edge", roles.Values{Group: "+", Edge: "E"}, `with.group: "+"` + part},
		{"sparkplug_edge", roles.Values{Group: "G", Edge: "E#"}, `with.edge: "E#"` + part},
		{"sparkplug_edge", roles.Values{Group: "G", Edge: "a\x00"}, `with.edge: "a\x00"` + part},
		{"sparkplug_edge", roles.Values{Group: "G"}, "with.edge: empty template"},
		{"sparkplug_edge", roles.Values{Group: "G", Edge: "${clientId}"}, "with.edge: column 1: unknown placeholder ${clientId}"},
		{"sparkplug_edge", roles.Values{Group: "G", Edge: "E", Host: "a/b"}, `with.host: "a/b"` + part},
		{"sparkplug_host", roles.Values{Host: "#"}, `with.host: "#"` + part},
		{"sparkplug_host", roles.Values{Host: "h", Group: "${group}/x"}, `with.group: "${group}/x"` + part},
		{"requester", roles.Values{Requests: "a#"}, "no topic filter: a#"},
		{"requester", roles.Values{}, "empty template"},
		{"requester", roles.Values{Requests: "a", Responses: "b/#"}, `with.responses: "b/#"` + part},
		{"responder", roles.Values{Requests: "a", Responses: "+"}, `with.responses: "+"` + part},
		{"tenant", roles.Values{Prefix: "+"}, `with.prefix: "+"` + part},
	} {
		if _, err := roles.Expand(test.role, authz.Rule{Place: "here"}, test.values); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s %+v: got %v, want %s", test.role, test.values, err, test.want)
		}
	}
}
