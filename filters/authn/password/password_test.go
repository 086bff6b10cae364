package password

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/ratelimit"
)

func parse(t *testing.T, file string) *Users {
	t.Helper()
	users, err := Parse("users.passwd", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return users
}

// login is a CONNECT with a user name and a password.
func login(username, password string) filters.Credentials {
	return filters.Credentials{
		Username: username, HasUsername: true,
		Password: filters.Secret(password), HasPassword: true,
	}
}

// code returns the Reason Code of a refusal; 0 if err is none.
func code(err error) packets.ReasonCode {
	var refusal *packets.Error
	if !errors.As(err, &refusal) {
		return 0
	}
	return refusal.Code
}

func TestAuthenticate(t *testing.T) {
	users := parse(t, "alice:"+sha512Test+"\nbob:"+pbkdf2Word+"\ncarol:"+argon2Word+"\ndave:"+bcryptLong+"\n")
	withoutPassword := filters.Credentials{Username: "alice", HasUsername: true}
	withoutUsername := filters.Credentials{Password: filters.Secret("test"), HasPassword: true}
	// Left over from somewhere, but not in the CONNECT.
	ghost := login("alice", "test")
	ghost.HasPassword = false

	tests := []struct {
		name        string
		credentials filters.Credentials
		want        string             // user name
		code        packets.ReasonCode // of the refusal; neither: not mine
	}{
		{"SHA-512", login("alice", "test"), "alice", 0},
		{"PBKDF2", login("bob", "password"), "bob", 0},
		{"argon2id", login("carol", "password"), "carol", 0},
		{"bcrypt", login("dave", longPassword), "dave", 0},
		{"another's password", login("alice", "password"), "", packets.BadUserNameOrPassword},
		{"empty password", login("alice", ""), "", packets.BadUserNameOrPassword},
		{"no password", withoutPassword, "", packets.BadUserNameOrPassword},
		{"password that is not in the CONNECT", ghost, "", packets.BadUserNameOrPassword},
		{"password up to a NUL", login("alice", "test\x00"), "", packets.BadUserNameOrPassword},
		{"password that bcrypt cuts off", login("dave", longPassword+"x"), "", packets.BadUserNameOrPassword},
		{"unknown user", login("eve", "test"), "", 0},
		{"user name in another case", login("Alice", "test"), "", 0},
		{"user name with a blank", login("alice ", "test"), "", 0},
		{"empty user name", login("", "test"), "", 0},
		{"no user name", withoutUsername, "", 0},
		{"nothing", filters.Credentials{}, "", 0},
	}
	method := New("users", users, NewPool(1))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := method.Authenticate(t.Context(), tt.credentials)
			switch {
			case tt.want != "":
				if want := (filters.Identity{Username: tt.want, Method: "users"}); !reflect.DeepEqual(got, want) || err != nil {
					t.Errorf("got %+v, %v; want %+v", got, err, want)
				}
			case tt.code != 0:
				if !reflect.DeepEqual(got, filters.Identity{}) || code(err) != tt.code {
					t.Errorf("got %+v, %v; want a refusal with %#x", got, err, tt.code)
				}
			default:
				if !reflect.DeepEqual(got, filters.Identity{}) || !errors.Is(err, authn.ErrNotMine) {
					t.Errorf("got %+v, %v; want ErrNotMine", got, err)
				}
			}
		})
	}
}

// An empty password must not pass even if its hash is in the file.
func TestEmptyPasswordNeverMatches(t *testing.T) {
	users := parse(t, "alice:"+sha512Test)
	users.hashes["alice"] = hash{match: func([]byte) bool { return true }}
	method := New("users", users, NewPool(1))
	for _, password := range []string{"", "\x00"} {
		if _, err := method.Authenticate(t.Context(), login("alice", password)); code(err) != packets.BadUserNameOrPassword {
			t.Errorf("password %q: %v, want a refusal", password, err)
		}
	}
}

func TestEmptyFileHasNoUsers(t *testing.T) {
	method := New("users", parse(t, ""), NewPool(1))
	if _, err := method.Authenticate(t.Context(), login("alice", "test")); !errors.Is(err, authn.ErrNotMine) {
		t.Errorf("error %v, want ErrNotMine", err)
	}
}

// What an answer costs must not depend on whether the user exists, or on what
// is wrong with the password.
func TestEveryLoginCostsTheSame(t *testing.T) {
	users := parse(t, "alice:"+pbkdf2Word+"\nbob:"+pbkdf2Test+"\n")
	var work []string
	counted := func(h hash) hash {
		return hash{cost: h.cost, match: func(password []byte) bool {
			work = append(work, h.cost)
			return h.match(password)
		}}
	}
	for username, h := range users.hashes {
		users.hashes[username] = counted(h)
	}
	users.decoy = counted(users.decoy)

	logins := map[string]filters.Credentials{
		"right password":                  login("alice", "password"),
		"wrong password":                  login("alice", "wrong"),
		"password with NUL":               login("alice", "password\x00"),
		"no password":                     {Username: "alice", HasUsername: true},
		"unknown user":                    login("eve", "password"),
		"unknown user, password with NUL": login("eve", "password\x00"),
		"unknown user, no password":       {Username: "eve", HasUsername: true},
		"empty user name":                 login("", "password"),
	}
	method := New("users", users, NewPool(1))
	for name, credentials := range logins {
		work = nil
		_, _ = method.Authenticate(t.Context(), credentials)
		if want := []string{"$7$1000"}; !slices.Equal(work, want) {
			t.Errorf("%s: work %q, want %q", name, work, want)
		}
	}
}

func TestPoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots, logins = 2, 5
		pool := NewPool(slots)
		started, release := make(chan struct{}, logins), make(chan struct{})
		slow := hash{match: func([]byte) bool {
			started <- struct{}{}
			<-release
			return true
		}}
		answers := make(chan error, logins)
		for range logins {
			go func() {
				match, err := pool.match(t.Context(), filters.Credentials{}, slow)
				if err == nil && !match {
					err = errors.New("no match")
				}
				answers <- err
			}()
		}
		synctest.Wait()
		if len(started) != slots {
			t.Errorf("%d comparisons at once, want %d", len(started), slots)
		}
		close(release)
		for range logins {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(1)
		release := make(chan struct{})
		go pool.match(t.Context(), filters.Credentials{}, hash{match: func([]byte) bool { <-release; return true }})
		synctest.Wait()

		method := New("users", parse(t, "alice:"+sha512Test), pool)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := method.Authenticate(ctx, login("alice", "test"))
		if code(err) != packets.ServerBusy {
			t.Errorf("error %v, want ServerBusy", err)
		}
		if waited := time.Since(begin); waited != 3*time.Second {
			t.Errorf("waited %v, want 3s", waited)
		}

		close(release)
		synctest.Wait()
		if _, err := method.Authenticate(t.Context(), login("alice", "test")); err != nil {
			t.Errorf("once there is a slot: %v", err)
		}
		if _, err := method.Authenticate(ctx, login("alice", "test")); code(err) != packets.ServerBusy {
			t.Errorf("a slot, but no time left: %v, want ServerBusy", err)
		}
	})
}

// TestKnownComeFirst: a password of who has been here before does not wait for those
// of strangers, however many these are.
func TestKnownComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, release, order := NewPool(1), make(chan struct{}), make(chan string, 3)
		for _, who := range []string{"in the way", "stranger", "known"} {
			rank := map[string]int{"known": ratelimit.Known}[who]
			go pool.match(t.Context(), filters.Credentials{Rank: rank}, hash{match: func([]byte) bool {
				<-release
				order <- who
				return true
			}})
			synctest.Wait()
		}
		close(release)
		synctest.Wait()
		if first, second := <-order, <-order; first != "in the way" || second != "known" {
			t.Errorf("%s, then %s", first, second)
		}
	})
}

// TestWhoHasLeft costs no comparison.
func TestWhoHasLeft(t *testing.T) {
	for _, left := range []bool{false, true} {
		work := 0
		counting := hash{match: func([]byte) bool { work++; return true }}
		_, err := NewPool(1).match(t.Context(), filters.Credentials{Left: func() bool { return left }}, counting)
		if left != (code(err) == packets.ServerBusy) || left != (work == 0) {
			t.Errorf("left %v: %d comparisons, error %v", left, work, err)
		}
	}
}

// A comparison that panics must not keep its slot: the session that it served
// ends, the process goes on.
func TestPanicFreesTheSlot(t *testing.T) {
	pool := NewPool(1)
	func() {
		defer func() { _ = recover() }()
		_, _ = pool.match(t.Context(), filters.Credentials{}, hash{match: func([]byte) bool { panic("broken") }})
	}()
	if !pool.turns.Try(ratelimit.Stranger) {
		t.Error("the slot is taken for good")
	}
}

// TestRecheck: users who are gone from the file have ended, whoever had their
// password.
func TestRecheck(t *testing.T) {
	method := New("users", parse(t, "bob:"+pbkdf2Word+"\n"), NewPool(1))
	for _, tt := range []struct {
		identity filters.Identity
		want     string // of the error
	}{
		{filters.Identity{Username: "bob", Method: "users"}, ""},
		{filters.Identity{Username: "alice", Method: "users"}, "the user is gone from the password file"},
		{filters.Identity{Method: "users"}, "the user is gone from the password file"},
		{filters.Identity{Username: "bob", Method: "others"}, authn.ErrNotMine.Error()},
	} {
		err := method.Recheck(t.Context(), &filters.Session{Identity: tt.identity})
		if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%+v: %v, want %q", tt.identity, err, tt.want)
		}
	}
}
