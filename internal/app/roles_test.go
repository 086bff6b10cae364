package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/configs"
)

const roleList = `
- {name: nodes of the file, groups: [edge], role: sparkplug_edge, with: {group: G2, edge: "${username}"}}
`

// A role stands among the rules, and in a file of rules, as a rule does.
func TestRoles(t *testing.T) {
	path := write(t, policy+`
    - {name: nodes, groups: [edge], role: sparkplug_edge, with: {group: G1, edge: "${username}"}}
  files:
    - {type: rules, path: list.yaml, tenants: [acme]}
`)
	list := filepath.Join(filepath.Dir(path), "list.yaml")
	if err := os.WriteFile(list, []byte(roleList), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := NewExplainer(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	edge := Question{User: "E1", Groups: []string{"edge"}}
	acme := Question{User: "E1", Groups: []string{"edge"}, Tenant: "acme"}
	for _, test := range []struct {
		q     Question
		topic string
		rule  string // that allows; "": it is denied
	}{
		{edge, "spBv1.0/G1/NBIRTH/E1", "nodes: NBIRTH, authz.rules[4] (line 17)"},
		{edge, "spBv1.0/G1/DDATA/E1/D1", "nodes: DDATA, authz.rules[4] (line 17)"},
		{edge, "spBv1.0/G1/NBIRTH/E2", ""},
		{edge, "spBv1.0/G2/NBIRTH/E1", ""},
		{Question{User: "E1"}, "spBv1.0/G1/NBIRTH/E1", ""},
		{acme, "spBv1.0/G2/NBIRTH/E1", "nodes of the file: NBIRTH, list.yaml: rules[0] (line 2)"},
	} {
		q := test.q
		q.Action, q.Topic = "publish", test.topic
		d, err := e.Ask(q)
		if err != nil || d.Allowed != (test.rule != "") || d.Allowed && d.Rule != test.rule {
			t.Errorf("%s: %v, got %v (%s), want %q", test.topic, err, d.Allowed, d.Rule, test.rule)
		}
	}

	if err := os.WriteFile(list, []byte("\n- {role: tenant, with: {prefix: 'a/#'}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = NewExplainer(path, nil)
	if want := `authz.files[0].path: list.yaml: rules[0] (line 2): with.prefix: "a/#" cannot be part of a topic`; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	path = write(t, policy+"    - {role: tenant, with: {prefix: '${tennant}'}}\n")
	_, err = NewExplainer(path, nil)
	var errs configs.Errors
	if !errors.As(err, &errs) || len(errs) != 1 || !strings.Contains(err.Error(), "mqttward.yaml:16: authz.rules[4]: with.prefix: column 1: unknown placeholder ${tennant}") {
		t.Errorf("got %v", err)
	}
}
