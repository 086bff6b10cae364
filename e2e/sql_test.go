package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// servers are the databases that can be stopped.
var servers = map[string]func(*testing.T) *database{"PostgreSQL": startPostgres, "MariaDB": startMariaDB}

func startSQLProxy(t *testing.T, b *broker, d *database, authn string) *proxy {
	t.Helper()
	dir := proxyFolder(t, settings{broker: b.address(), authn: authn + passwordFile, rules: operatorsOnly})
	d.secrets(t, dir)
	return startProxyIn(t, dir)
}

func TestSQL(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *database{
		"PostgreSQL": startPostgres, "MariaDB": startMariaDB, "SQLite": newSQLite,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, d := startBroker(t), start(t) // of its own, for client identifiers
			d.add(t, "alice", "operators", "others")
			d.add(t, "dave")
			d.exec(t, "INSERT INTO mqtt_users VALUES ('bob', NULL)")
			// As mosquitto-go-auth's pw has written it.
			d.exec(t, "INSERT INTO mqtt_users VALUES ('eve', ?)",
				"PBKDF2$sha512$100000$qsU7xQ8YCV/9nRuBBJVTxA==$jqw94Ej3aEr97UofY6rClmVCRkTdDiubQW0A6ZYmUI+pZjW9Hax+2w2FeYB3y5ut1SliB7+HAwIl2iONLKkohw==")
			p := startSQLProxy(t, b, d, d.authn(t))
			accepted := func(t *testing.T) {
				t.Helper()
				alice, _ := p.connect5(t, proving("alice", password("alice")))
				alice.mayOperate(t, true)
				dave, _ := p.connect5(t, proving("dave", password("dave")))
				dave.mayOperate(t, false)
				p.connect5(t, proving("eve", "foo"))
				p.connect5(t, proving("bob", password("bob"))) // by the password file
			}
			accepted(t)
			for name, c := range map[string]*paho.Connect{
				"wrong password":   proving("alice", password("bob")),
				"empty password":   proving("alice", ""),
				"the hash":         proving("alice", strings.TrimSpace(bcryptOf("alice"))),
				"unknown user":     proving("mallory", password("alice")),
				"everybody":        proving("x' OR '1'='1", password("alice")),
				"a comment":        proving("alice' -- ", password("alice")),
				"a row of its own": proving("x' UNION SELECT '"+strings.TrimSpace(bcryptOf("alice"))+"', 'x", password("alice")),
				"a statement":      proving("x'; DELETE FROM mqtt_users; -- ", password("alice")),
				"a backslash":      proving(`alice\' OR 1=1 -- `, password("alice")),
				"another case":     proving("ALICE", password("alice")),
				"an accent":        proving("álice", password("alice")),
				"a blank":          proving("alice ", password("alice")),
				"a rare letter":    proving("alice😀", password("alice")),
				"a long name":      proving(strings.Repeat("a", 4_000), password("alice")),
			} {
				t.Run(name, func(t *testing.T) { p.refused5(t, c, 0x86) })
			}
			accepted(t)
			d.exec(t, "UPDATE mqtt_users SET password_hash = 'in the clear' WHERE username = 'alice'")
			p.refused5(t, proving("alice", "in the clear"), 0x87)
			p.connect5(t, proving("dave", password("dave"))) // hurts nobody else
		})
	}
}

// Names that a column cannot hold are unknown, and open no breaker.
func TestSQLNames(t *testing.T) {
	t.Parallel()
	b, postgres, maria := startBroker(t), startPostgres(t), startMariaDB(t)
	postgres.exec(t, "CREATE TABLE numbered (username INT, password_hash TEXT); GRANT SELECT ON numbered TO mqttward")
	postgres.exec(t, "INSERT INTO numbered VALUES (7, ?)", strings.TrimSpace(bcryptOf("7")))
	maria.exec(t, "CREATE TABLE numbered (username VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin, password_hash TEXT)")
	maria.exec(t, "INSERT INTO numbered VALUES ('7', ?)", strings.TrimSpace(bcryptOf("7")))
	for name, d := range map[string]*database{"PostgreSQL": postgres, "MariaDB": maria} {
		t.Run(name, func(t *testing.T) {
			p := startSQLProxy(t, b, d, d.authn(t, "mqtt_users", "numbered"))
			p.connect5(t, proving("7", password("7")))
			for _, user := range []string{"x", "99999999999", "7.5", "😀", "\u2028", "’"} {
				for range 2 {
					p.refused5(t, proving(user, password("7")), 0x86)
				}
			}
			p.connect5(t, proving("7", password("7")))
		})
	}
}

// While the database is down clients are told so, and sessions go on.
func TestSQLOutage(t *testing.T) {
	t.Parallel()
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, d := startBroker(t), start(t) // of its own, for client identifiers
			d.add(t, "alice", "operators")
			p := startSQLProxy(t, b, d, d.authn(t))
			running, _ := p.connect5(t, proving("alice", password("alice")))
			d.stop(t)
			for range 2 { // the second time the breaker is open
				p.unavailable(t, "alice")
			}
			if err := p.Reload(); err != nil { // which cannot ask about sessions
				t.Fatal(err)
			}
			running.mayOperate(t, true)
			d.restart(t)
			p.comesBack(t, "alice")
		})
	}
}

// A proxy starts without the server, and a reload asks about sessions again.
func TestSQLReload(t *testing.T) {
	t.Parallel()
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, d := startBroker(t), start(t) // of its own, for client identifiers
			d.add(t, "alice", "operators")
			d.add(t, "dave", "operators")
			d.stop(t)
			p := startSQLProxy(t, b, d, d.authn(t))
			d.restart(t)
			p.comesBack(t, "alice")

			alice, _ := p.connect5(t, connection("alice"))
			dave, _ := p.connect5(t, connection("dave"))
			d.remove(t, "alice")
			d.exec(t, "UPDATE mqtt_groups SET group_name = 'others'")
			if err := p.Reload(); err != nil {
				t.Fatal(err)
			}
			if g := receive(t, "DISCONNECT", alice.goodbye); g.ReasonCode != 0x87 {
				t.Errorf("DISCONNECT with 0x%02X, want 0x87", g.ReasonCode)
			}
			p.awaitEvent(t, event{"msg": "session ended", "username": "alice", "end": "identity_revoked"})
			eventually(t, "groups of now", func() bool {
				return dave.publish(t, &paho.Publish{Topic: "ops/x", QoS: 1, Payload: []byte(payload("x"))}) == 0x87
			})
		})
	}
}

// What is wrong with a DSN is told without it.
func TestSQLMistakes(t *testing.T) {
	t.Parallel()
	secret := password("mqttward")
	for _, test := range []struct{ driver, dsn, want string }{
		{"postgres", "", "authn[0].dsn_file: is empty"},
		{"postgres", "postgres://u:" + secret + "@127.0.0.1:port/db", "authn[0].dsn_file: is not a data source name"},
		{"postgres", "postgres://u:" + secret + "@db.example/db", "authn[0].dsn_file: must have sslmode"},
		{"mysql", "u:" + secret + "@tcp(127.0.0.1)/db?multiStatements=true", "authn[0].dsn_file: must not have multiStatements"},
	} {
		d := &database{dsn: test.dsn, recipe: []string{"postgres", test.driver}}
		if test.driver == "mysql" {
			d.recipe = append(d.recipe, "$1", "?")
		}
		dir := proxyFolder(t, settings{broker: "127.0.0.1:1883", authn: d.authn(t)})
		d.secrets(t, dir)
		checkMistake(t, filepath.Join(dir, "mqttward.yaml"), test.want)
	}
}

// Of groups that cannot be read, one could be the one that a rule denies: the user
// is refused, and nobody else.
func TestSQLGroupsUnreadable(t *testing.T) {
	t.Parallel()
	b, d := startBroker(t), startPostgres(t)
	d.add(t, "alice", "1", "operators")
	d.add(t, "dave", "2")
	p := startSQLProxy(t, b, d, d.authn(t, "SELECT group_name FROM", "SELECT CAST(CAST(group_name AS int) AS text) FROM"))
	for range 6 { // more than open the breaker
		p.refused5(t, proving("alice", password("alice")), 0x88)
	}
	p.connect5(t, proving("dave", password("dave")))
}
