package webauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// secret is in no error.
const secret = "s3cret-<&>-ü"

// bob is a client with everything that a service may be told.
func bob() filters.Credentials {
	return filters.Credentials{
		Version: packets.V311, ClientID: "c1", Username: "bob", HasUsername: true, Password: filters.Secret(secret), HasPassword: true,
		RemoteAddr: netip.MustParseAddr("::ffff:192.0.2.7"), Listener: "mqtts",
	}
}

// asked is what a service heard.
type asked struct {
	method, path string
	header       http.Header
	body         string
}

// service is an HTTP server which answers as it is told.
func service(t *testing.T, answer http.HandlerFunc) (o Options, heard *asked) {
	t.Helper()
	heard = &asked{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*heard = asked{r.Method, r.URL.RequestURI(), r.Header, string(body)}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	client := authn.NewHTTPClient(nil, 2, 5*time.Second)
	t.Cleanup(client.CloseIdleConnections)
	return Options{Name: "service", URL: s.URL + "/auth?realm=x", Client: client}, heard
}

// reply is an answer that does not depend on the question.
func reply(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// outcome is an error in one word.
func outcome(err error) string {
	e, refused := errors.AsType[*packets.Error](err)
	switch {
	case err == nil:
		return "admitted"
	case errors.Is(err, authn.ErrNotMine):
		return "not mine"
	case refused && e.Code == packets.BadUserNameOrPassword:
		return "wrong"
	case refused && e.Code == packets.NotAuthorized:
		return "unusable"
	case refused:
		return e.Code.String()
	}
	return "failure"
}

// ask asks a service with a contract which answers so.
func ask(t *testing.T, contract, form string, c filters.Credentials, answer http.HandlerFunc) (filters.Identity, error) {
	t.Helper()
	o, _ := service(t, answer)
	o.Contract, o.Answer = contract, form
	id, err := New(o).Authenticate(t.Context(), c)
	if err != nil {
		if !reflect.DeepEqual(id, filters.Identity{}) {
			t.Errorf("an identity along with %v: %+v", err, id)
		}
		for _, hidden := range []string{secret, "realm=x", c.Username + " "} {
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("the error tells %q: %v", hidden, err)
			}
		}
	}
	return id, err
}

func TestQuestions(t *testing.T) {
	v5 := bob()
	v5.Version, v5.CleanStart = packets.V5, true
	local := bob()
	local.RemoteAddr = netip.Addr{} // on a Unix socket
	jwt := bob()
	jwt.Username = token(`{"sub":"bob"}`)
	for _, test := range []struct {
		name, contract string
		form           bool
		c              filters.Credentials
		body           map[string]any
		header         map[string]string
	}{
		{"emqx", "emqx", false, bob(), map[string]any{"username": "bob", "password": secret, "clientid": "c1", "peerhost": "192.0.2.7"}, nil},
		{"emqx on a socket", "emqx", false, local, map[string]any{"username": "bob", "password": secret, "clientid": "c1"}, nil},
		{"emqx as a form", "emqx", true, bob(), map[string]any{"username": "bob", "password": secret, "clientid": "c1", "peerhost": "192.0.2.7"}, nil},
		{
			"vernemq", "vernemq", false, bob(),
			map[string]any{
				"peer_addr": "192.0.2.7", "peer_port": 0.0, "mountpoint": "", "client_id": "c1", "username": "bob", "password": secret,
				"clean_session": false,
			},
			map[string]string{"Vernemq-Hook": "auth_on_register"},
		},
		{
			"vernemq in 5.0", "vernemq", false, v5,
			map[string]any{
				"peer_addr": "192.0.2.7", "peer_port": 0.0, "mountpoint": "", "client_id": "c1", "username": "bob", "password": secret,
				"clean_start": true, "properties": map[string]any{},
			},
			map[string]string{"Vernemq-Hook": "auth_on_register_m5"},
		},
		{
			"vernemq on a socket", "vernemq", false, local,
			map[string]any{
				"peer_addr": nil, "peer_port": 0.0, "mountpoint": "", "client_id": "c1", "username": "bob", "password": secret,
				"clean_session": false,
			},
			nil,
		},
		{"go-auth", "go-auth", false, bob(), map[string]any{"username": "bob", "password": secret, "clientid": "c1"}, nil},
		{"go-auth as a form", "go-auth", true, bob(), map[string]any{"username": "bob", "password": secret, "clientid": "c1"}, nil},
		{"go-auth-jwt", "go-auth-jwt", false, jwt, map[string]any{"username": "bob"}, map[string]string{"Authorization": "Bearer " + jwt.Username}},
		{"go-auth-jwt as a form", "go-auth-jwt", true, jwt, map[string]any{"username": "bob"}, map[string]string{"Authorization": "Bearer " + jwt.Username}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, heard := service(t, reply(http.StatusTeapot, "", ""))
			o.Contract, o.Form, o.Answer = test.contract, test.form, "status"
			header := map[string]string{"Content-Type": "application/json", "User-Agent": "mqttward"}
			if test.contract != "go-auth-jwt" {
				o.Token = "ours"
				header["Authorization"] = "Bearer ours"
			}
			_, _ = New(o).Authenticate(t.Context(), test.c)
			got := map[string]any{}
			if test.form {
				header["Content-Type"] = "application/x-www-form-urlencoded"
				form, err := url.ParseQuery(heard.body)
				if err != nil {
					t.Fatal(err)
				}
				for name, v := range form {
					got[name] = strings.Join(v, " and ")
				}
			} else if err := json.Unmarshal([]byte(heard.body), &got); err != nil {
				t.Fatal(err)
			}
			if heard.method != http.MethodPost || heard.path != "/auth?realm=x" || !reflect.DeepEqual(got, test.body) {
				t.Errorf("%s %s\n got %v\nwant %v", heard.method, heard.path, got, test.body)
			}
			maps.Copy(header, test.header)
			for name, want := range header {
				if got := heard.header[name]; !reflect.DeepEqual(got, []string{want}) {
					t.Errorf("header %s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestNotAsked: what no service hears of.
func TestNotAsked(t *testing.T) {
	for _, contract := range []string{"emqx", "vernemq", "go-auth"} {
		for _, test := range []struct {
			change func(*filters.Credentials)
			want   string
		}{
			{func(c *filters.Credentials) { c.Username, c.HasUsername = "", false }, "not mine"},
			{func(c *filters.Credentials) { c.Username = "" }, "not mine"},
			{func(c *filters.Credentials) { c.Password, c.HasPassword = nil, false }, "wrong"},
			{func(c *filters.Credentials) { c.Password = nil }, "wrong"},
			{func(c *filters.Credentials) { c.Password = filters.Secret("a\x00b") }, "wrong"},
			{func(c *filters.Credentials) { c.Password = filters.Secret("\xff") }, "wrong"},
		} {
			c := bob()
			test.change(&c)
			o, heard := service(t, reply(http.StatusNoContent, "", ""))
			o.Contract, o.Answer = contract, "status"
			if _, err := New(o).Authenticate(t.Context(), c); outcome(err) != test.want {
				t.Errorf("%s, %+v: %v, want %s", contract, c, err, test.want)
			}
			if heard.method != "" {
				t.Errorf("%s, %+v: the service was asked", contract, c)
			}
		}
	}
}

// TestLyingServices: none of them lets anybody in.
func TestLyingServices(t *testing.T) {
	yes := map[string]string{
		"emqx": `{"result":"allow"}`, "vernemq": `{"result":"ok"}`, "go-auth": `{"Ok":true}`,
	}
	type lie struct {
		name   string
		answer func(yes string) http.HandlerFunc
	}
	body := func(text func(yes string) string) func(string) http.HandlerFunc {
		return func(yes string) http.HandlerFunc { return reply(http.StatusOK, "application/json", text(yes)) }
	}
	lies := []lie{
		{"a huge body", body(func(yes string) string { return yes + strings.Repeat(" ", 1<<20) })},
		{"an endless body", func(yes string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				for r.Context().Err() == nil {
					_, _ = io.WriteString(w, strings.Repeat(yes, 1000))
				}
			}
		}},
		{"huge headers", func(yes string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Large", strings.Repeat("x", 100<<10))
				reply(http.StatusOK, "application/json", yes)(w, r)
			}
		}},
		{"a redirection to itself", func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			}
		}},
		{"a redirection with a good body", func(yes string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				reply(http.StatusFound, "application/json", yes)(w, r)
			}
		}},
		{"a connection that is closed", func(string) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}},
		{"a body that is cut off", func(yes string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Length", fmt.Sprint(len(yes)+1))
				_, _ = io.WriteString(w, yes)
			}
		}},
		{"not HTTP", func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n")
					conn.Close()
				}
			}
		}},
		{"HTML", func(string) http.HandlerFunc {
			return reply(http.StatusOK, "text/html", "<!doctype html><p>ok</p>")
		}},
		{"HTML that says it is JSON", body(func(string) string { return "<!doctype html>" })},
		{"nothing", body(func(string) string { return "" })},
		{"null", body(func(string) string { return "null" })},
		{"an empty object", body(func(string) string { return "{}" })},
		{"a list", body(func(yes string) string { return "[" + yes + "]" })},
		{"a text", body(func(string) string { return `"ok"` })},
		{"two objects", body(func(yes string) string { return yes + yes })},
		{"an object that is cut off", body(func(yes string) string { return yes[:len(yes)-1] })},
		{"ill-formed UTF-8", body(func(yes string) string { return `{"a":"` + "\xff" + `",` + yes[1:] })},
		{"a name that stands twice", body(func(yes string) string { return yes[:len(yes)-1] + "," + yes[1:] })},
		{"a name that stands twice, in other letters", body(func(yes string) string {
			return yes[:len(yes)-1] + "," + strings.ToUpper(yes[1:strings.IndexByte(yes, ':')]) + `:"deny"}`
		})},
		{"a name that stands twice within", body(func(yes string) string { return yes[:len(yes)-1] + `,"x":[{"a":1,"a":2}]}` })},
		{"other letters", body(func(yes string) string { return strings.ToUpper(yes[:3]) + yes[3:] + "" })},
		{"unknown names only", body(func(string) string { return `{"success":true,"allow":true,"status":"allow","OK":true}` })},
		{"null for the result", body(func(yes string) string { return yes[:strings.IndexByte(yes, ':')] + ":null}" })},
		{"a number for the result", body(func(yes string) string { return yes[:strings.IndexByte(yes, ':')] + ":1}" })},
		{"another text for the result", body(func(yes string) string { return yes[:strings.IndexByte(yes, ':')] + `:"true"}` })},
		{"a list for the result", body(func(yes string) string { return yes[:strings.IndexByte(yes, ':')] + `:["allow","ok"]}` })},
		{"much nesting", body(func(yes string) string {
			return yes[:len(yes)-1] + `,"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}"
		})},
		{"much to come back for", func(yes string) http.HandlerFunc {
			return reply(http.StatusPartialContent, "application/json", yes[:len(yes)-1])
		}},
		{"an error", func(yes string) http.HandlerFunc {
			return reply(http.StatusInternalServerError, "application/json", yes)
		}},
		{"no gateway", func(yes string) http.HandlerFunc { return reply(http.StatusBadGateway, "application/json", yes) }},
		{"too many", func(yes string) http.HandlerFunc { return reply(http.StatusTooManyRequests, "application/json", yes) }},
		{"a timeout", func(yes string) http.HandlerFunc { return reply(http.StatusRequestTimeout, "application/json", yes) }},
	}
	for contract, yes := range yes {
		if _, err := ask(t, contract, "json", bob(), reply(http.StatusOK, "application/json", yes)); err != nil {
			t.Fatalf("%s: %v", contract, err)
		}
		for _, lie := range lies {
			if contract == "go-auth" && lie.name == "other letters" {
				continue // which mean the same
			}
			if _, err := ask(t, contract, "json", bob(), lie.answer(yes)); outcome(err) != "failure" {
				t.Errorf("%s, %s: %v, want a failure", contract, lie.name, err)
			}
		}
	}
}

// TestSlowServices give up in time, before and after the headers.
func TestSlowServices(t *testing.T) {
	for _, sent := range []string{"", `{"result":`} {
		end := make(chan struct{})
		o, _ := service(t, func(w http.ResponseWriter, _ *http.Request) {
			if sent != "" {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, sent)
				_ = http.NewResponseController(w).Flush()
			}
			<-end
		})
		o.Contract = "emqx"
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := New(o).Authenticate(ctx, bob())
		cancel()
		close(end)
		if !errors.Is(err, context.DeadlineExceeded) || outcome(err) != "failure" {
			t.Errorf("after %q: %v", sent, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	for _, contract := range []string{"emqx", "vernemq", "go-auth"} {
		a := New(Options{Name: "service", URL: s.URL + "/auth?key=" + secret, Contract: contract, Client: authn.NewHTTPClient(nil, 1, time.Second)})
		if _, err := a.Authenticate(t.Context(), bob()); outcome(err) != "failure" || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", contract, err)
		}
	}
}

func TestRecheck(t *testing.T) {
	a := New(Options{Name: "service", Contract: "emqx"})
	for method, want := range map[string]error{"service": nil, "other": authn.ErrNotMine} {
		s := &filters.Session{Identity: filters.Identity{Username: "bob", Method: method}}
		if err := a.Recheck(t.Context(), s); !errors.Is(err, want) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// FuzzAnswers: whatever a service answers, an identity is that of the client and
// comes without an error, or not at all.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`{"result":"allow","is_superuser":true,"client_attrs":{"a":"b"},"expire_at":4102444800,"acl":[{"permission":"allow","action":"all","topic":"a"}]}`,
		`{"result":"ok","modifiers":{"max_message_size":1,"client_id":"c1","max_connection_lifetime":60}}`,
		`{"Ok":true,"Error":""}`, `{"result":{"error":"not_allowed"}}`, "ok",
	} {
		f.Add(200, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		r := authn.Reply{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
		for _, c := range []contract{emqx{}, vernemq{}, goAuth{"json"}, goAuth{"text"}} {
			id := filters.Identity{Username: "bob"}
			err := c.answer(t.Context(), r, bob(), &id)
			switch {
			case id.Username != "bob" || id.Groups != nil || id.Tenant != "":
				t.Errorf("%T: %+v", c, id)
			case err == nil && (status < 200 || status > 299):
				t.Errorf("%T: admitted with %d", c, status)
			case err == nil && !id.Expires.IsZero() && !time.Now().Before(id.Expires):
				t.Errorf("%T: admitted until %v", c, id.Expires)
			}
		}
	})
}
