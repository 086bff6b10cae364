package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// fake answers commands, as the protocol writes answers, and notes them.
type fake struct {
	address string
	answers map[string]string // by command with its arguments

	mu    sync.Mutex
	asked []string
}

func serve(t *testing.T, answers map[string]string) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f := &fake{address: l.Addr().String(), answers: answers}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.talk(c)
		}
	}()
	return f
}

func (f *fake) talk(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		command, err := readCommand(r)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.asked = append(f.asked, strings.Join(command, " "))
		f.mu.Unlock()
		answer, known := f.answers[strings.Join(command, " ")]
		if !known {
			answer = fmt.Sprintf("-ERR unknown command '%s', with args beginning with: '%s'", command[0], strings.Join(command[1:], "' '"))
		}
		if _, err := io.WriteString(c, answer+"\r\n"); err != nil {
			return
		}
	}
}

func readCommand(r *bufio.Reader) ([]string, error) {
	line := func() (string, error) {
		text, err := r.ReadString('\n')
		return strings.TrimSpace(text), err
	}
	head, err := line()
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimPrefix(head, "*"))
	command := make([]string, n)
	for i := range command {
		if _, err = line(); err == nil {
			command[i], err = line()
		}
		if err != nil {
			return nil, err
		}
	}
	return command, err
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s", len(s), s) }

func list(values ...string) string {
	text := fmt.Sprintf("*%d", len(values))
	for _, v := range values {
		text += "\r\n" + bulk(v)
	}
	return text
}

func template(t *testing.T, text string) filters.Template {
	t.Helper()
	parsed, err := filters.ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// source waits for an hour, so that only contexts end what hangs.
func source(t *testing.T, address string, change func(*Options)) *Source {
	t.Helper()
	o := Options{URL: "redis://" + address, Key: template(t, "user:{${username}}"), GroupsKey: template(t, "groups:${username}"), Connections: 2, Timeout: time.Hour}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestUser(t *testing.T) {
	const hash = "$2y$05$abc"
	many := make([]string, maxGroups+1)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	f := serve(t, map[string]string{
		"getrange user:{alice} 0 1024": bulk(hash), "srandmember groups:alice 101": list("b", "a"),
		"getrange user:{bob} 0 1024": bulk(hash), "srandmember groups:bob 101": list(),
		"getrange user:{nobody} 0 1024": bulk(""),
		"getrange user:{set} 0 1024":    "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"getrange user:{long} 0 1024":   bulk(strings.Repeat("x", maxHash+1)),
		"getrange user:{many} 0 1024":   bulk(hash), "srandmember groups:many 101": list(many...),
		"getrange user:{most} 0 1024": bulk(hash), "srandmember groups:most 101": list(many[1:]...),
		"getrange user:{odd} 0 1024": bulk(hash), "srandmember groups:odd 101": "-WRONGTYPE of groups",
		"getrange user:{loading} 0 1024": "-LOADING Redis is loading the dataset in memory",
	})
	s := source(t, f.address, nil)
	for _, test := range []struct {
		user, hash string
		groups     []string
		answer     bool   // the error is one about the user
		err        string // "": none
	}{
		{"alice", hash, []string{"a", "b"}, false, ""},
		{"bob", hash, []string{}, false, ""},
		{"nobody", "", nil, false, ""},
		{"a\x00b", "", nil, false, ""},
		{"a+", "", nil, false, ""},
		{strings.Repeat("x", maxName+1), "", nil, false, ""},
		{"set", "", nil, true, "the key of the user is of another type"},
		{"odd", hash, nil, true, "the key of the user is of another type"},
		{"long", "", nil, true, "the stored password of the user has more than 1024 bytes"},
		{"many", hash, nil, true, "the user is in more than 100 groups"},
		{"loading", "", nil, false, "redis: LOADING Redis is loading the dataset in memory"},
		{"unknown", "", nil, false, "redis: ERR unknown command 'getrange',"},
	} {
		hash, groups, err := s.User(t.Context(), test.user)
		got := ""
		if err != nil {
			got = err.Error()
		}
		e, answer := errors.AsType[*packets.Error](err)
		if hash != test.hash || !slices.Equal(groups, test.groups) || !strings.Contains(got, test.err) || (got == "") != (test.err == "") || answer != test.answer {
			t.Errorf("%.20q: %q, %q, %q", test.user, hash, groups, got)
		}
		if answer && e.Code != packets.ServerUnavailable {
			t.Errorf("%s: code %v", test.user, e.Code)
		}
	}
	if _, groups, err := s.User(t.Context(), "most"); err != nil || len(groups) != maxGroups {
		t.Errorf("%d groups, %v", len(groups), err)
	}
}

func TestField(t *testing.T) {
	f := serve(t, map[string]string{
		"hget user:{alice} password": bulk("h"), "hget user:{bob} password": "$-1",
		"hget user:{long} password": bulk(strings.Repeat("x", maxHash+1)),
	})
	s := source(t, f.address, func(o *Options) { o.Field, o.GroupsKey = "password", filters.Template{} })
	for user, want := range map[string]string{"alice": "h", "bob": ""} {
		if hash, groups, err := s.User(t.Context(), user); hash != want || groups != nil || err != nil {
			t.Errorf("%s: %q, %q, %v", user, hash, groups, err)
		}
	}
	if hash, _, err := s.User(t.Context(), "long"); err == nil {
		t.Errorf("%q accepted", hash)
	}
}

// A user name is one argument, whatever it holds, and the key around it stays.
func TestNameIsData(t *testing.T) {
	f := serve(t, nil)
	s := source(t, f.address, nil)
	for _, name := range []string{"a}b", "a b", "*", "$1", "${username}", "alice:x", "é"} {
		if _, _, err := s.User(t.Context(), name); err == nil {
			t.Errorf("%q: no failure", name)
		}
		f.mu.Lock()
		if last := f.asked[len(f.asked)-1]; last != "getrange user:{"+name+"} 0 1024" {
			t.Errorf("%q: asked %q", name, last)
		}
		f.mu.Unlock()
	}
}

// What a server says of a command that it does not know holds the password.
func TestPasswordStaysSecret(t *testing.T) {
	f := serve(t, nil)
	s := source(t, f.address, func(o *Options) { o.Password = "hush" })
	_, _, err := s.User(t.Context(), "alice")
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v", err)
	}
	if !slices.Contains(f.asked, "auth hush") {
		t.Errorf("the password was not given: %q", f.asked)
	}
}

// A server that accepts and says nothing holds nobody beyond the context.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := source(t, l.Addr().String(), nil)
	done := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, _, err := s.User(ctx, "alice")
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("no failure")
		}
	case <-time.After(30 * time.Second):
		t.Error("still waiting")
	}
}

func TestURL(t *testing.T) {
	for text, want := range map[string]string{
		"redis://h":               "h:6379 0 ",
		"redis://h:1/":            "h:1 0 ",
		"redis://u@[::1]:1/15":    "[::1]:1 15 u",
		"rediss://u@h/3":          "h:6379 3 u tls h",
		"redis://u:hush@h":        "must not hold the password",
		"redis://:hush@h":         "must not hold the password",
		"redis://h/x":             "wants the number of a database",
		"redis://h/-1":            "wants the number of a database",
		"redis://h/0/1":           "wants the number of a database",
		"redis://h?password=x":    "wants redis://",
		"redis:///0":              "wants redis://",
		"unix:///run/redis":       "wants redis://",
		"redis://u:hush@h:x":      "wants redis://",
		"h:6379":                  "wants redis://",
		"redis://u:hush@h/0#\x7f": "wants redis://",
	} {
		o, err := connection(Options{URL: text})
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(o.Addr, " ", o.DB, " ", o.Username)
			if o.TLSConfig != nil {
				got += " tls " + o.TLSConfig.ServerName
			}
		}
		if !strings.HasPrefix(got, want) || strings.Contains(got, "hush") || err == nil && got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
