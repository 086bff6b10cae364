package sql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
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

// A blackHole accepts connections, reads what comes and says nothing.
type blackHole struct {
	net.Listener
	closed chan struct{} // one for each connection that the other side has ended
}

func newBlackHole(t *testing.T) *blackHole {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &blackHole{l, make(chan struct{}, 100)}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
				h.closed <- struct{}{}
			})
		}
	})
	t.Cleanup(func() { l.Close(); done.Wait() })
	return h
}

const patience = 30 * time.Second

// A database that says nothing takes no longer than the context, and no place
// from a question to come: not even the connections that database/sql opens by
// itself, when one that somebody waits for has failed.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	for driver, dsn := range map[string]string{
		"postgres": "postgres://mqttward:" + password + "@%s/users",
		"mysql":    "mqttward:" + password + "@tcp(%s)/users",
	} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			hole := newBlackHole(t)
			s, err := Open(driver, fmt.Sprintf(dsn, hole.Addr()), "SELECT $1", "", 1)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var asked sync.WaitGroup
			for _, timeout := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond} {
				asked.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), timeout)
					defer cancel()
					_, _, err := s.User(ctx, "alice")
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("error %v, want that of the context", err)
					}
					if err != nil && strings.Contains(err.Error(), password) {
						t.Errorf("the error holds the password: %v", err)
					}
				})
			}
			answered := make(chan struct{})
			go func() { asked.Wait(); close(answered) }()
			for _, c := range []<-chan struct{}{answered, hole.closed} {
				select {
				case <-c:
				case <-time.After(patience):
					t.Fatal("the context is over, and the question is not")
				}
			}
			for deadline := time.Now().Add(patience); s.db.Stats().OpenConnections > 0; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("places are taken for ever: %+v", s.db.Stats())
				}
			}
		})
	}
}

func TestImpossible(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{&pgconn.PgError{Code: "22P02"}, true},
		{fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "22021"}), true},
		{&pgconn.PgError{Code: "22012"}, false}, // division by zero
		{&pgconn.PgError{Code: "42P01"}, false}, // no such table
		{&mysql.MySQLError{Number: 1267}, true},
		{&mysql.MySQLError{Number: 1146}, false}, // no such table
		{context.DeadlineExceeded, false},
		{io.EOF, false},
	} {
		if got := impossible(test.err); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
}
