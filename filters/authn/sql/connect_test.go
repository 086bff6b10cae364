package sql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

const password = "s3cret-of-the-login"

func TestDSN(t *testing.T) {
	const query = "SELECT hash FROM users WHERE name = $1"
	for _, test := range []struct{ name, driver, dsn, want string }{
		{"postgres", "postgres", "postgres://mqttward:" + password + "@db.example/users?sslmode=verify-full", ""},
		{"postgres in words", "postgres", "host=db.example user=mqttward sslmode=verify-full password=" + password, ""},
		{"postgres here", "postgres", "postgres://[::1]/users", ""},
		{"postgres by a socket", "postgres", "host=/run/postgresql", ""},
		{"postgres in the clear", "postgres", "host=db.example sslmode=disable", ""},
		{"mysql", "mysql", "mqttward:" + password + "@tcp(db.example:3306)/users?tls=true", ""},
		{"mysql here", "mysql", "mqttward@tcp(127.0.0.2)/users", ""},
		{"mysql by a socket", "mysql", "mqttward@unix(/run/mysqld/mysqld.sock)/users", ""},
		{"mysql in the clear", "mysql", "mqttward@tcp(db.example)/users?tls=false", ""},
		{"sqlite", "sqlite", "/var/lib/users.db", ""},
		{"sqlite URI", "sqlite", "file:/var/lib/users.db?_busy_timeout=10&mode=rwc", ""},

		{"empty", "postgres", "", "is empty"},
		{"unknown driver", "oracle", "x", "unknown driver"},
		{"postgres, port", "postgres", "postgres://mqttward:" + password + "@db.example:x/users", "data source name"},
		{"postgres, sslmode", "postgres", "host=db.example password=" + password + " sslmode=perhaps", "data source name"},
		{"postgres, words", "postgres", "host=db.example password='" + password, "data source name"},
		{"postgres, perhaps in the clear", "postgres", "postgres://mqttward:" + password + "@db.example/users", "must have sslmode"},
		{"postgres, another host", "postgres", "postgres://mqttward:" + password + "@localhost,db.example/users", "must have sslmode"},
		{"postgres, rather not in the clear", "postgres", "host=db.example sslmode=prefer", "must have sslmode"},
		{"postgres, sslmode as a name", "postgres", "host=db.example application_name=sslmode", "must have sslmode"},
		{"mysql, rather not in the clear", "mysql", "mqttward@tcp(db.example)/users?tls=preferred", "must have tls"},
		{"mysql, fallback", "mysql", "mqttward@tcp(db.example)/users?tls=true&allowFallbackToPlaintext=true", "must have tls"},
		{"mysql, our password in the clear", "mysql", "mqttward:" + password + "@tcp(db.example)/users?tls=skip-verify&allowCleartextPasswords=true", "allowCleartextPasswords"},
		{"mysql, perhaps in the clear", "mysql", "mqttward:" + password + "@tcp(db.example)/users", "must have tls"},
		{"mysql, slash", "mysql", "mqttward:" + password + "@tcp(db.example:3306)", "data source name"},
		{"mysql, value", "mysql", "mqttward@tcp(db.example:3306)/users?timeout=" + password, "data source name"},
		{"mysql, tls", "mysql", "mqttward@tcp(db.example:3306)/users?tls=" + password, "data source name"},
		{"mysql, statements", "mysql", "mqttward:" + password + "@tcp(db.example:3306)/users?tls=true&multiStatements=true", "multiStatements"},
		{"mysql, files", "mysql", "mqttward:" + password + "@tcp(db.example:3306)/users?tls=true&allowAllFiles=1", "allowAllFiles"},
		{"mysql, interpolation", "mysql", "mqttward:" + password + "@tcp(db.example:3306)/users?tls=true&interpolateParams=true", "interpolateParams"},
		{"sqlite URI, escape", "sqlite", "file:users.db?" + password + "=%zz", "data source name"},
		{"sqlite URI, two systems", "sqlite", "file:users.db?vfs=a&vfs=" + password, "data source name"},
	} {
		s, err := Open(test.driver, test.dsn, query, "", 1)
		if s != nil {
			_ = s.Close()
		}
		switch {
		case test.want == "":
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		case err == nil || !strings.Contains(err.Error(), test.want):
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		case strings.Contains(fmt.Sprintf("%v %+v", err, errors.Unwrap(err)), password):
			t.Errorf("%s: the error holds the password: %v", test.name, err)
		}
	}
}

func TestWeak(t *testing.T) {
	for _, test := range []struct{ driver, dsn, want string }{
		{"postgres", "host=db.example sslmode=verify-full", ""},
		{"postgres", "host=db.example sslmode=verify-ca", ""},
		{"postgres", "host=db.example sslmode=require", weakUnverified},
		{"postgres", "host=db.example sslmode=disable", weakPlain},
		{"postgres", "host=127.0.0.1 sslmode=disable", ""},
		{"mysql", "u@tcp(db.example)/users?tls=true", ""},
		{"mysql", "u@tcp(db.example)/users?tls=skip-verify", weakUnverified},
		{"mysql", "u@tcp(db.example)/users?tls=false", weakPlain},
		{"mysql", "u@tcp(127.0.0.1)/users", ""},
		{"sqlite", "users.db", ""},
	} {
		s, err := Open(test.driver, test.dsn, "SELECT 1", "", 1)
		if err != nil {
			t.Errorf("%s: %v", test.dsn, err)
			continue
		}
		if s.Weak() != test.want {
			t.Errorf("%s: %q, want %q", test.dsn, s.Weak(), test.want)
		}
		_ = s.Close()
	}
}

// newBlackHole accepts connections, reads what comes and says nothing. It counts
// the connections that have come, and those that the other side has ended.
func newBlackHole(t *testing.T) (address string, came, ended *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came, ended = new(atomic.Int32), new(atomic.Int32)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			done.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
				ended.Add(1)
			})
		}
	})
	t.Cleanup(func() { l.Close(); done.Wait() })
	return l.Addr().String(), came, ended
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

var silent = map[string]string{
	"postgres": "postgres://mqttward:" + password + "@%s/users",
	"mysql":    "mqttward:" + password + "@tcp(%s)/users",
}

// A database that says nothing takes no longer than the context.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for driver, dsn := range silent {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			address, came, ended := newBlackHole(t)
			s := open(t, driver, fmt.Sprintf(dsn, address), "SELECT 1", "")
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			answer := make(chan error, 1)
			go func() {
				_, _, err := s.User(ctx, "alice")
				answer <- err
			}()
			var err error
			eventually(t, "an answer", func() bool {
				select {
				case err = <-answer:
					return true
				default:
					return false
				}
			})
			if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), password) {
				t.Errorf("error %v, want that of the context without the password", err)
			}
			eventually(t, "the end of the connection", func() bool { return ended.Load() == came.Load() })
		})
	}
}

// It takes no place for ever either: not by the connection that database/sql opens
// by itself, when one that somebody waits for has failed.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for driver, dsn := range silent {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			address, came, _ := newBlackHole(t)
			s, err := Open(driver, fmt.Sprintf(dsn, address), "SELECT 1", "", 1)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var asked sync.WaitGroup
			ask := func() context.CancelFunc {
				ctx, cancel := context.WithCancel(t.Context())
				asked.Go(func() {
					if _, _, err := s.User(ctx, "alice"); !errors.Is(err, context.Canceled) {
						t.Errorf("error %v, want that of the context", err)
					}
				})
				return cancel
			}
			first := ask()
			eventually(t, "a connection", func() bool { return came.Load() == 1 })
			second := ask()
			eventually(t, "somebody who waits", func() bool { return s.db.Stats().WaitCount == 1 })
			first()
			eventually(t, "another connection", func() bool { return came.Load() == 2 })
			second()
			asked.Wait()
			eventually(t, "free places", func() bool { return s.db.Stats().OpenConnections == 0 })
		})
	}
}

func TestImpossible(t *testing.T) {
	for _, test := range []struct {
		err      error
		username string
		want     bool
	}{
		{&pgconn.PgError{Code: "22P02"}, "alice", true},
		{fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "22021"}), "alicé", true},
		{&pgconn.PgError{Code: "22012"}, "alice", false}, // division by zero
		{&pgconn.PgError{Code: "42P01"}, "alice", false}, // no such table
		{&mysql.MySQLError{Number: 1267}, "alicé", true},
		{&mysql.MySQLError{Number: 1267}, "alice", false},
		{&mysql.MySQLError{Number: 1146}, "alicé", false}, // no such table
		{context.DeadlineExceeded, "alicé", false},
		{io.EOF, "alicé", false},
	} {
		if got := impossible(test.err, test.username); got != test.want {
			t.Errorf("%v, %s: %v, want %v", test.err, test.username, got, test.want)
		}
	}
}
