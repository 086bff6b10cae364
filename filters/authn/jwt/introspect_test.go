package jwt

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters/authn"
)

// server answers as an authorization server, and counts.
func server(t *testing.T, answer http.HandlerFunc) (at string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func asking(t *testing.T, at string, ttl time.Duration) *Authenticator {
	t.Helper()
	o := options(nil)
	o.Source, o.Issuer, o.Audience = nil, "", ""
	o.Introspection = &Introspection{
		URL: at, ClientID: "proxy:1", Secret: "pass word%", Client: authn.NewHTTPClient(nil, 2, time.Minute),
		Guard: authn.NewGuard(authn.GuardOptions{Timeout: time.Minute, Concurrent: 2, TTL: ttl, NegativeTTL: ttl, Size: 10, Failures: 100, Cooldown: time.Minute}),
	}
	return newMethod(t, o)
}

func TestIntrospection(t *testing.T) {
	soon := time.Now().Add(time.Hour).Unix()
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"active", 200, fmt.Sprintf(`{"active":true,"sub":"alice","exp":%d}`, soon), ""},
		{"without expiry", 200, `{"active":true,"sub":"alice"}`, ""},
		{"not active", 200, `{"active":false}`, "not active"},
		{"not active, with claims", 200, fmt.Sprintf(`{"active":false,"sub":"alice","exp":%d}`, soon), "not active"},
		{"expired", 200, `{"active":true,"sub":"alice","exp":1}`, "has expired"},
		{"not yet", 200, fmt.Sprintf(`{"active":true,"sub":"alice","nbf":%d}`, soon), "not valid yet"},
		{"nobody", 200, `{"active":true}`, "no usable user name"},
		{"bound", 200, `{"active":true,"sub":"alice","cnf":{"x5t#S256":"x"}}`, "the client has shown none"},
		{"active in words", 200, `{"active":"true","sub":"alice"}`, "source: does not say whether"},
		{"says nothing", 200, `{}`, "source: does not say whether"},
		{"no object", 200, `[true]`, "source: no JSON object"},
		{"two objects", 200, `{"active":true,"sub":"alice"}{}`, "source: no JSON object"},
		{"nothing", 200, ``, "source: no JSON object"},
		{"who are we", 401, `{"active":true,"sub":"alice"}`, "source: the server answers 401"},
		{"elsewhere", 302, ``, "source: the server answers 302"},
		{"broken", 500, ``, "source: the server answers 500"},
		{"huge", 200, `{"active":true,"sub":"alice","x":"` + strings.Repeat("x", 2<<20) + `"}`, "source: larger than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var request, login string
			at, asked := server(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				user, secret, _ := r.BasicAuth()
				request, login = r.Method+" "+string(body), user+" "+secret
				w.Header().Set("Location", "/")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			const token = "an opaque+token&scope=all with twenty bytes"
			id, err := present(t, asking(t, at, 0), token)
			wants(t, err, test.want, token)
			if err == nil && id.Username != "alice" {
				t.Errorf("got %+v", id)
			}
			if want := "POST token=" + url.QueryEscape(token) + "&token_type_hint=access_token"; request != want || login != "proxy%3A1 pass+word%25" {
				t.Errorf("asked %q as %q", request, login)
			}
			if asked.Load() != 1 {
				t.Errorf("asked %d times", asked.Load())
			}
		})
	}
}

// What belongs to one client is not remembered for another, and failures are not
// remembered at all.
func TestIntrospectionIsRemembered(t *testing.T) {
	var down atomic.Bool
	at, asked := server(t, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = r.ParseForm()
		fmt.Fprintf(w, `{"active":%t,"sub":"alice"}`, r.Form.Get("token") == "good")
	})
	a := asking(t, at, time.Minute)
	a.ClientID = template("client-1")
	login := func(token, clientID, want string, times int64) {
		t.Helper()
		c := withPassword(token)
		c.ClientID = clientID
		_, err := a.Authenticate(t.Context(), c)
		wants(t, err, want, "")
		if got := asked.Load(); got != times {
			t.Errorf("asked %d times, want %d", got, times)
		}
	}
	down.Store(true)
	login("good", "client-1", "source: 502", 1)
	down.Store(false)
	login("good", "client-1", "", 2)
	login("good", "client-1", "", 2)
	login("good", "client-2", "another client identifier", 3)
	login("bad", "client-1", "not active", 4)
	down.Store(true)
	login("good", "client-1", "", 4)
	login("bad", "client-1", "not active", 4)
	login(strings.Repeat("x", maxToken+1), "client-1", "longer than", 4)
	login("", "client-1", "not mine", 4)
}

func TestIntrospectionOfIssuer(t *testing.T) {
	body := `{"active":true,"sub":"alice","iss":"` + issuer + `","aud":["mqtt"]}`
	at, _ := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	a := asking(t, at, 0)
	a.Issuer, a.Audience, a.MaxLifetime = issuer, "mqtt", time.Hour
	id, err := present(t, a, "good")
	if err != nil || time.Until(id.Expires) > time.Hour || time.Until(id.Expires) < 50*time.Minute {
		t.Errorf("expires %v, %v: want what max_lifetime says, as the server says nothing", id.Expires, err)
	}
	a.Audience = "other"
	_, err = present(t, a, "good")
	wants(t, err, "another audience", "")
	a.Issuer = "https://other.example"
	_, err = present(t, a, "good")
	wants(t, err, "another issuer", "")
}
