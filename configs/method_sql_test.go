package configs

import (
	"strings"
	"testing"
	"time"
)

const sqlMethod = `authn: [{name: db, type: sql, driver: postgres, dsn_file: users, query: "SELECT hash FROM users WHERE name = $1"}]`

func withSQL(old, replacement string) string {
	return strings.Replace(minimal, `authn: [{name: users, type: password, file: users}]`, strings.Replace(sqlMethod, old, replacement, 1), 1)
}

func TestSQLMethod(t *testing.T) {
	m := mustParse(t, withSQL("", "")).Authn[0]
	if m.Timeout != 2*time.Second || m.MaxConnections != 8 || m.Cache != (Cache{Size: 10_000}) || m.Breaker != (Breaker{Failures: 5, Cooldown: 5 * time.Second}) {
		t.Errorf("defaults: %+v", m)
	}
	for _, query := range []string{
		`driver: postgres, dsn_file: users, groups_query: "SELECT g FROM m WHERE a = $1 OR b = $1 AND c ? 'x'"`,
		`driver: mysql, dsn_file: users, query: "SELECT ? FROM t"}] #`,
		`driver: sqlite, dsn_file: users, query: "SELECT 1 WHERE 2 = ?", groups_query: "SELECT ?"}] #`,
	} {
		mustParse(t, withSQL(`driver: postgres, dsn_file: users`, query))
	}
}

func TestSQLMistakes(t *testing.T) {
	const only = "wants the user name as its only parameter, which "
	for _, test := range []struct{ name, replace, with, want string }{
		{"no driver", "driver: postgres, ", "", "driver: is required for type sql"},
		{"no such driver", "driver: postgres", "driver: oracle", `driver: wants postgres, mysql or sqlite, not "oracle"`},
		{"no DSN", "dsn_file: users, ", "", "dsn_file: is required for type sql"},
		{"no such DSN", "dsn_file: users", "dsn_file: dsn", "dsn_file: no such file: dsn"},
		{"no query", `, query: "SELECT hash FROM users WHERE name = $1"`, "", "query: is required for type sql"},
		{"no parameter", " WHERE name = $1", "", "query: " + only + "postgres writes $1"},
		{"a placeholder", "$1", "'${username}'", "query: " + only + "postgres writes $1"},
		{"two parameters", "$1", "$1 AND id = $2", "query: " + only + "postgres writes $1"},
		{"another's parameter", "$1", "?", "query: " + only + "postgres writes $1"},
		{"for mysql", "postgres", "mysql", "query: " + only + "mysql writes ?"},
		{"two for sqlite", `driver: postgres, dsn_file: users, query: "SELECT hash FROM users WHERE name = $1"`, `driver: sqlite, dsn_file: users, query: "SELECT ? WHERE a = ?"`, "query: " + only + "sqlite writes ?"},
		{"groups", "}]", ", groups_query: SELECT g FROM m}]", "groups_query: " + only + "postgres writes $1"},
		{"of another type", "}]", ", key: k}]", "key: belongs to type redis, not sql"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(t, withSQL(test.replace, test.with))
			if want := "mqttward.yaml:4: authn[0]." + test.want; err == nil || err.Error() != want {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
		})
	}
}
