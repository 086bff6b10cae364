package e2e

import (
	"database/sql"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// database holds the users of the recipe. Of PostgreSQL and MariaDB it is a server
// of its own, in which the proxy may read and no more.
type database struct {
	*process        // nil for SQLite
	name     string // of the driver in this process
	recipe   []string
	dsn      string   // of the proxy
	owner    string   // DSN of the test
	command  []string // that runs the server
	end      syscall.Signal
}

const tables = `
CREATE TABLE mqtt_users (username VARCHAR(255) PRIMARY KEY, password_hash VARCHAR(255));
CREATE TABLE mqtt_groups (username VARCHAR(255), group_name VARCHAR(255))`

// startPostgres starts a PostgreSQL without users.
func startPostgres(t *testing.T) *database {
	t.Helper()
	dir := serverFolder(t, "postgres")
	owner := filepath.Join(dir, "owner")
	write(t, owner, password("owner"))
	give(t, owner, "postgres")
	data := filepath.Join(dir, "data")
	bin, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bin) == 0 {
		t.Fatal("PostgreSQL is not installed: run e2e/install.sh")
	}
	runAs(t, "postgres", filepath.Join(bin[0], "initdb"), "-D", data, "-U", "owner", "--pwfile", owner,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	for range 10 {
		port := freePort(t)
		at := "@127.0.0.1:" + port + "/postgres"
		d := &database{
			name: "pgx",
			dsn:  "postgres://mqttward:" + password("mqttward") + at, owner: "postgres://owner:" + password("owner") + at,
			command: as("postgres", filepath.Join(bin[0], "postgres"), "-D", data, "-h", "127.0.0.1", "-p", port, "-k", "", "-F"),
			end:     syscall.SIGQUIT, // at once, its children too
		}
		if d.start(t) {
			d.exec(t, tables+`;
				CREATE ROLE mqttward LOGIN PASSWORD '`+password("mqttward")+`';
				GRANT SELECT ON mqtt_users, mqtt_groups TO mqttward`)
			return d
		}
	}
	t.Fatal("no port for postgres")
	return nil
}

// startMariaDB starts a MariaDB without users. Its collation is the usual one,
// which knows neither case nor accents nor blanks at the end.
func startMariaDB(t *testing.T) *database {
	t.Helper()
	dir := serverFolder(t, "mysql")
	first := filepath.Join(dir, "first.sql")
	write(t, first, strings.NewReplacer("OWNER", password("owner"), "PROXY", password("mqttward")).Replace(`
CREATE DATABASE IF NOT EXISTS mqtt CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE USER IF NOT EXISTS owner@127.0.0.1 IDENTIFIED BY 'OWNER';
GRANT ALL ON mqtt.* TO owner@127.0.0.1;
CREATE USER IF NOT EXISTS mqttward@127.0.0.1 IDENTIFIED BY 'PROXY';
GRANT SELECT ON mqtt.* TO mqttward@127.0.0.1;
`))
	give(t, first, "mysql")
	data := filepath.Join(dir, "data")
	// In a folder for all, a server that starts deletes the temporary tables of the others.
	runAs(t, "mysql", "mariadb-install-db", "--no-defaults", "--datadir="+data, "--tmpdir="+data, "--skip-test-db")
	for range 10 {
		port := freePort(t)
		at := "@tcp(127.0.0.1:" + port + ")/mqtt"
		d := &database{
			name: "mysql", recipe: []string{"postgres", "mysql", "$1", "?"},
			dsn: "mqttward:" + password("mqttward") + at, owner: "owner:" + password("owner") + at + "?multiStatements=true",
			command: as("mysql", "mariadbd", "--no-defaults", "--datadir="+data, "--tmpdir="+data, "--bind-address=127.0.0.1", "--port="+port,
				"--socket=s", "--init-file="+first, "--skip-name-resolve"),
			end: syscall.SIGKILL,
		}
		if d.start(t) {
			d.exec(t, tables)
			return d
		}
	}
	t.Fatal("no port for mariadbd")
	return nil
}

// newSQLite makes a database in a file.
func newSQLite(t *testing.T) *database {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users.db")
	d := &database{name: "sqlite", recipe: []string{"postgres", "sqlite", "$1", "?"}, dsn: file, owner: file}
	d.exec(t, tables)
	return d
}

// start starts the server, again if it was stopped. It reports false if its port is
// taken.
func (d *database) start(t *testing.T) bool {
	t.Helper()
	p := launch(t, newTranscript(), d.command[0], d.command[1:]...)
	t.Cleanup(func() { // before it is killed, which would leave children
		_ = p.cmd.Process.Signal(d.end)
		<-p.done
	})
	d.process = p
	text, ok := d.out.wait(d.done, func(text string) bool {
		return strings.Contains(text, "ready to accept connections") || strings.Contains(text, "ready for connections")
	})
	if !ok && !strings.Contains(text, "Address already in use") {
		t.Fatalf("%s does not run:\n%s", d.name, text)
	}
	return ok
}

// stop ends the server.
func (d *database) stop(t *testing.T) {
	t.Helper()
	d.signal(t, d.end)
	d.exit(t)
}

// restart starts the server on its port, which is its own but for the moment
// between two starts.
func (d *database) restart(t *testing.T) {
	t.Helper()
	eventually(t, "start of "+d.name+" on its old port", func() bool { return d.start(t) })
}

// exec runs statements. Those with parameters, which are written ?, go alone.
func (d *database) exec(t *testing.T, statements string, parameters ...any) {
	t.Helper()
	db, err := sql.Open(d.name, d.owner)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if d.name == "pgx" {
		for i := range parameters {
			statements = strings.Replace(statements, "?", "$"+strconv.Itoa(i+1), 1)
		}
	}
	if _, err := db.ExecContext(waiting(t), statements, parameters...); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// authn is the method of the recipe over this database; the DSN is in a file of the
// proxy's folder that secrets writes. On a busy machine a first connection may take
// longer than the usual timeout.
func (d *database) authn(t *testing.T, replace ...string) string {
	t.Helper()
	replace = append(replace, "dsn_file: sql.dsn\n", "dsn_file: sql.dsn\n    timeout: 20s\n")
	return recipe(t, "sql", append(d.recipe, replace...)...)
}

// secrets writes the file that the recipe names into the folder of a proxy.
func (d *database) secrets(t *testing.T, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "sql.dsn"), d.dsn+"\n")
}

// add makes a user with the password of that user.
func (d *database) add(t *testing.T, user string, groups ...string) {
	t.Helper()
	d.exec(t, "INSERT INTO mqtt_users VALUES (?, ?)", user, strings.TrimSpace(bcryptOf(user)))
	for _, g := range groups {
		d.exec(t, "INSERT INTO mqtt_groups VALUES (?, ?)", user, g)
	}
}

// remove makes a user unknown.
func (d *database) remove(t *testing.T, user string) {
	t.Helper()
	d.exec(t, "DELETE FROM mqtt_users WHERE username = ?", user)
	d.exec(t, "DELETE FROM mqtt_groups WHERE username = ?", user)
}

// serverFolder is a folder of a server that does not run as root.
func serverFolder(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // nobody else gets there
		t.Fatal(err)
	}
	give(t, dir, name)
	return dir
}

// give makes somebody the owner of a file, if we are root.
func give(t *testing.T, path, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
}

// as is a command that somebody else than root runs.
func as(name string, command ...string) []string {
	if os.Geteuid() != 0 {
		return command
	}
	return append([]string{"setpriv", "--reuid=" + name, "--regid=" + name, "--clear-groups", "--"}, command...)
}

func runAs(t *testing.T, name string, command ...string) {
	t.Helper()
	command = as(name, command...)
	if r := execute(t, "", command[0], command[1:]...); r.code != 0 {
		t.Fatalf("%s: exit %d\n%s%s", strings.Join(command, " "), r.code, r.stdout, r.stderr)
	}
}
