// Package sql knows the users of a database by a query of the operator's:
// PostgreSQL, MySQL and MariaDB, SQLite.
//
// It reads hashes and groups; comparing passwords is the password method's. The
// user name is bound to the query, never written into it. It believes the
// database and opens no connection before it is asked.
//
// Every error but a *packets.Error is a failure of the database. None holds the
// password of the login to it. What one user's rows hold too much of refuses
// that user.
package sql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mqttward/mqttward/packets"
)

const (
	maxValue  = 1024 // bytes of a hash or the name of a group
	maxGroups = 100

	// A connection ends after a while, so that a database that has moved to
	// another address is followed.
	maxIdle = time.Minute
	maxAge  = 10 * time.Minute
)

// Source is one database. It may be asked from many goroutines.
type Source struct {
	db          *sql.DB
	query       string
	groupsQuery string // "": there are no groups
	weak        string
}

// Weak returns what is weak in how the database is connected to, "" if nothing is.
func (s *Source) Weak() string { return s.weak }

// Open returns the database that dsn names in the form of its driver: postgres,
// mysql or sqlite. Each query has one parameter, the user name: $1 for postgres,
// ? for the others. Open does not connect.
func Open(driver, dsn, query, groupsQuery string, maxConnections int) (*Source, error) {
	c, weak, err := parse(driver, dsn)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(patient{c})
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	db.SetConnMaxIdleTime(maxIdle)
	db.SetConnMaxLifetime(maxAge)
	return &Source{db: db, query: query, groupsQuery: groupsQuery, weak: weak}, nil
}

// Close ends the connections. Nobody may ask afterwards.
func (s *Source) Close() error { return s.db.Close() }

// User returns the hash of a user's password, which is the first column of the
// query's first row, and the user's groups, the first column of the other's. The
// hash is "" without a row, and with NULL.
//
// Each query may return a second column, the user name as it is stored. Rows with
// another spelling are passed over: many collations take "Alice " for "alice",
// for which the rules of alice would not hold.
func (s *Source) User(ctx context.Context, username string) (hash string, groups []string, err error) {
	// No database has such a name, and some fail when they are asked for it.
	if !utf8.ValidString(username) || strings.ContainsRune(username, 0) {
		return "", nil, nil
	}
	rows, err := s.column(ctx, s.query, username, 1)
	if impossible(err, username) { // no row can have the name
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	if len(rows) > 0 {
		hash = rows[0]
	}
	if s.groupsQuery != "" {
		// Also for somebody unknown: the time must not tell who is.
		groups, err = s.column(ctx, s.groupsQuery, username, maxGroups+1)
		if impossible(err, username) { // none of some groups could be the one that a rule denies
			return "", nil, unusable("the groups of the user cannot be read")
		}
		if err != nil {
			return "", nil, err
		}
	}
	switch {
	case hash == "":
		return "", nil, nil
	case len(groups) > maxGroups:
		// To leave some out could be to leave out the one that a rule denies.
		return "", nil, unusable(fmt.Sprintf("the user has more than %d groups", maxGroups))
	}
	return hash, slices.DeleteFunc(groups, func(g string) bool { return g == "" }), nil
}

// column returns the first column of up to limit rows, "" for NULL.
func (s *Source) column(ctx context.Context, query, username string, limit int) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, query, username)
	if err != nil {
		return nil, failure(err)
	}
	defer rows.Close() //nolint:errcheck // what was read is whole
	names, err := rows.Columns()
	if err != nil {
		return nil, failure(err)
	}
	if len(names) != 1 && len(names) != 2 {
		return nil, fmt.Errorf("a query of the database returns %d columns, not one or two", len(names))
	}
	cells := make([]sql.RawBytes, len(names))
	places := make([]any, len(names))
	for i := range cells {
		places[i] = &cells[i]
	}
	var values []string
	for len(values) < limit && rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return nil, failure(err)
		}
		if len(cells) == 2 && string(cells[1]) != username {
			continue
		}
		if len(cells[0]) > maxValue {
			return nil, unusable(fmt.Sprintf("a value for the user in the database has more than %d bytes", maxValue))
		}
		values = append(values, string(cells[0]))
	}
	if err := rows.Err(); err != nil {
		return nil, failure(err)
	}
	return values, nil
}

func failure(err error) error { return fmt.Errorf("asking the database: %w", err) }

// unusable is the answer about a user who cannot be judged by what is stored.
func unusable(why string) error {
	return &packets.Error{Code: packets.ServerUnavailable, Msg: why}
}
