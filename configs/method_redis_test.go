package configs

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func redisMethod(more string) string {
	return strings.Replace(minimal, "type: password, file: users", "type: redis, "+more, 1)
}

func TestRedisMethod(t *testing.T) {
	m := mustParse(t, redisMethod(`url: "redis://127.0.0.1", key: "u:${username}"`)).Authn[0]
	if m.Timeout != 2*time.Second || m.MaxConnections != 8 || m.Cache != (Cache{Size: 10_000}) || m.Breaker != (Breaker{5, 5 * time.Second}) {
		t.Errorf("defaults are %+v", m)
	}
	for _, test := range []struct{ keys, want string }{
		{`key: k`, "mqttward.yaml:4: authn[0].url: is required for type redis"},
		{`url: "redis://h"`, "mqttward.yaml:4: authn[0].key: is required for type redis"},
		{`url: "redis://h", key: k, ca: ca`, "mqttward.yaml:4: authn[0].ca: has no effect without rediss://"},
		{`url: "redis://h", key: k, start_tls: true`, "mqttward.yaml:4: authn[0].start_tls: belongs to type ldap, not redis"},
		{`url: "redis://h", key: k, password_file: none`, "mqttward.yaml:4: authn[0].password_file: no such file: none"},
	} {
		if _, err := parse(t, redisMethod(test.keys)); err == nil || err.Error() != test.want {
			t.Errorf("%s: got\n%v\nwant\n%s", test.keys, err, test.want)
		}
	}
}

func TestRedisWarning(t *testing.T) {
	const warning = "mqttward.yaml:4: authn[0].url: not on this machine and no TLS (rediss://): the hashes of passwords cross the network in the clear"
	for url, want := range map[string]bool{
		"redis://192.0.2.1": true, "redis://db.example": true, "redis://u@db.example:1/2": true,
		"redis://127.0.0.1": false, "redis://[::1]:1": false, "redis://localhost": false, "rediss://db.example": false,
	} {
		c := mustParse(t, redisMethod(`url: "`+url+`", key: k`))
		if slices.Contains(c.Warnings(), warning) != want {
			t.Errorf("%s: warnings %q", url, c.Warnings())
		}
	}
}
