package configs

import "testing"

const beforeRules = `
listeners: [{name: local, address: "127.0.0.1:1884"}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1883"}]}]
authn: [{name: users, type: password, file: users}]
authz: {rules: [{name: r, `

func TestRole(t *testing.T) {
	c := mustParse(t, beforeRules+`groups: [edge], role: sparkplug_edge, times: ["06:00-22:00"], max_payload: 1KiB, with: {group: G1, edge: "${clientid}", host: scada}}]}`)
	r := c.Authz.Rules[0]
	if want := (RoleValues{Group: "G1", Edge: "${clientid}", Host: "scada"}); r.Role != "sparkplug_edge" || r.With != want {
		t.Errorf("got %+v", r)
	}
	mustParse(t, beforeRules+"role: tenant}]}")
}

func TestRoleMistakes(t *testing.T) {
	const (
		at     = "mqttward.yaml:5: authz.rules[0]."
		beside = ": stands beside role, which says all about topics: write a rule of its own"
	)
	for _, test := range []struct{ name, rule, want string }{
		{"no such role", "role: sparkplug, with: {host: h}", at + `role: wants sparkplug_edge, sparkplug_host, requester, responder or tenant, not "sparkplug"`},
		{"misspelt role", "rol: tenant", at + `rol: unknown key; did you mean "role"?`},
		{"no values", "role: sparkplug_edge", at + "with.group: is required for role sparkplug_edge\n" + at + "with.edge: is required for role sparkplug_edge"},
		{"no host", "role: sparkplug_host, with: {group: g}", at + "with.host: is required for role sparkplug_host"},
		{"no requests", "role: responder, with: {responses: r}", at + "with.requests: is required for role responder"},
		{"another role's value", "role: tenant, with: {prefix: p, edge: e}", at + "with.edge: belongs to role sparkplug_edge, not tenant"},
		{"misspelt value", "role: sparkplug_host, with: {hots: h}", at + `with.hots: unknown key; did you mean "host"?`},
		{"values are no list", "role: sparkplug_host, with: [h]", at + "with: wants a mapping of keys to values, not a list"},
		{"values without a role", "allow: [publish], topics: [a], with: {host: h}", at + "with: has no effect without role"},
		{"allow", "role: tenant, allow: [publish]", at + "allow" + beside},
		{"topics and QoS", "role: tenant, qos: [1], topics: [a]", at + "topics" + beside + "\n" + at + "qos" + beside},
		{"deny and retain", "role: tenant, deny: [publish], retain: true", at + "deny" + beside + "\n" + at + "retain" + beside},
		{"no users", "role: tenant, users: []", at + "users: is an empty list: remove the key, or the rule"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(t, beforeRules+test.rule+"}]}")
			if err == nil || err.Error() != test.want {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}
