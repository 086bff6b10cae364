package sql

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
)

const (
	connectTimeout = 5 * time.Second

	maxMessage = 1 << 20 // bytes of a message of PostgreSQL
)

// errDSN stands for the drivers' own errors, which quote the DSN.
var errDSN = errors.New("is not a data source name as the driver wants it")

// parse returns what connects, and what is weak in how it does, if anything.
func parse(driverName, dsn string) (c driver.Connector, weak string, err error) {
	if dsn == "" {
		return nil, "", errors.New("is empty")
	}
	switch driverName {
	case "postgres":
		return parsePostgres(dsn)
	case "mysql":
		return parseMySQL(dsn)
	case "sqlite":
		c, err = parseSQLite(dsn)
		return c, "", err
	}
	return nil, "", errors.New("is for an unknown driver")
}

// What is weak off this machine. Whoever can change what the database answers can log
// in as anybody.
const (
	weakPlain      = "no TLS to the database: hashes cross the network in the clear, and anybody there can change them"
	weakUnverified = "the certificate of the database is not verified: anybody on the network can pass for it"
)

func parsePostgres(dsn string) (driver.Connector, string, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, "", errDSN
	}
	for _, f := range c.Fallbacks {
		if f.TLSConfig == nil && c.TLSConfig != nil && !local(f.Host) { // prefer, which is the default too
			return nil, "", errors.New("must have sslmode off this machine: verify-full, or disable for hashes that cross the network in the clear")
		}
	}
	weak := ""
	switch t := c.TLSConfig; {
	case local(c.Host):
	case t == nil:
		weak = weakPlain
	case t.InsecureSkipVerify && t.VerifyPeerCertificate == nil && t.VerifyConnection == nil:
		weak = weakUnverified
	}
	// Binds, without statements that the server would have to keep: they do not
	// get on with PgBouncer.
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	c.MaxProtocolMessageBodyLen = maxMessage
	return stdlib.GetConnector(*c), weak, nil
}

func parseMySQL(dsn string) (driver.Connector, string, error) {
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, "", errDSN
	}
	host, _, _ := net.SplitHostPort(c.Addr)
	remote := c.Net == "tcp" && !local(host)
	switch {
	case c.MultiStatements:
		return nil, "", errors.New("must not have multiStatements: one query asks for a user")
	case c.AllowAllFiles:
		return nil, "", errors.New("must not have allowAllFiles: the server could read our files")
	case c.InterpolateParams:
		return nil, "", errors.New("must not have interpolateParams: the user name is bound to the query")
	case remote && (c.TLSConfig == "" || c.TLSConfig == "preferred" || c.AllowFallbackToPlaintext):
		return nil, "", errors.New("must have tls off this machine: true, or false for hashes that cross the network in the clear")
	case remote && c.AllowCleartextPasswords && c.TLSConfig != "true":
		return nil, "", errors.New("must not have allowCleartextPasswords without tls=true: anybody on the network could have our password")
	}
	weak := ""
	switch {
	case remote && c.TLSConfig == "false":
		weak = weakPlain
	case remote && c.TLSConfig == "skip-verify":
		weak = weakUnverified
	}
	c.Logger = &mysql.NopLogger{} // the errors say it
	connector, err := mysql.NewConnector(c)
	return connector, weak, err
}

// local reports whether host is this machine, or the folder of a socket.
func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || host == "localhost" || strings.HasPrefix(host, "/")
}

// parseSQLite takes the name of a file, or a URI file:name?parameters. The
// database is only read, and not created if it is missing.
func parseSQLite(dsn string) (driver.Connector, error) {
	name, uri := strings.CutPrefix(dsn, "file:")
	var query string
	if uri {
		name, query, _ = strings.Cut(name, "?")
	} else {
		name = (&url.URL{Path: name}).EscapedPath()
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return nil, errDSN
	}
	parameters.Set("mode", "ro")
	if !parameters.Has("_busy_timeout") {
		parameters.Set("_busy_timeout", "250") // ms in which ctx does not count
	}
	c, err := sqlite.NewConnector("file:" + name + "?" + parameters.Encode())
	if err != nil {
		return nil, errDSN
	}
	return c, nil
}

// patient gives up a connection that does not come about.
type patient struct{ driver.Connector }

// Connect has a deadline of its own: database/sql opens some connections for
// whoever comes next, without one, and they would take the places of others for
// ever.
func (p patient) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return p.Connector.Connect(ctx)
}

// impossible reports whether err says that the column of the user name cannot
// hold username, such as letters for a column of numbers. The client is to blame
// for it: as a failure of the database it would let anybody open the circuit
// breaker.
func impossible(err error, username string) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains([]string{
			"22P02", // invalid_text_representation
			"22003", // numeric_value_out_of_range
			"22021", // character_not_in_repertoire
			"22P05", // untranslatable_character
		}, e.Code)
	}
	// Of a name in ASCII it would be the query's fault: every character set has it.
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && strings.ContainsFunc(username, func(r rune) bool { return r >= utf8.RuneSelf }) && slices.Contains([]uint16{
		1267, // ER_CANT_AGGREGATE_2COLLATIONS
		3854, // ER_CANNOT_CONVERT_STRING
	}, e.Number)
}
