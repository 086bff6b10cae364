package webauth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
)

// future is a time in seconds as services give it.
var future = time.Now().Add(time.Hour).Unix()

func TestEMQX(t *testing.T) {
	json := func(body string) http.HandlerFunc {
		return reply(http.StatusOK, "application/json; charset=utf-8", body)
	}
	allow := func(more string) http.HandlerFunc { return json(`{"result":"allow"` + more + `}`) }
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
		id     filters.Identity // beside user and method
	}{
		{"allow", allow(""), "admitted", filters.Identity{}},
		{"deny", json(`{"result":"deny"}`), "wrong", filters.Identity{}},
		{"ignore", json(`{"result":"ignore"}`), "not mine", filters.Identity{}},
		{"no content", reply(http.StatusNoContent, "", ""), "admitted", filters.Identity{}},
		{"another type", reply(http.StatusOK, "text/plain", `{"result":"allow"}`), "failure", filters.Identity{}},
		{"no type", reply(http.StatusOK, " ", `{"result":"allow"}`), "failure", filters.Identity{}},
		{"created", reply(http.StatusCreated, "application/json", `{"result":"allow"}`), "failure", filters.Identity{}},
		{"unauthorized", reply(http.StatusUnauthorized, "", ""), "wrong", filters.Identity{}},
		{"forbidden", reply(http.StatusForbidden, "", ""), "wrong", filters.Identity{}},
		{"not found", reply(http.StatusNotFound, "", ""), "wrong", filters.Identity{}},
		{"bad request", reply(http.StatusBadRequest, "", ""), "wrong", filters.Identity{}},

		{"another name", allow(`,"username":"root","clientid":"x","method":"other"`), "admitted", filters.Identity{}},
		{"not a superuser", allow(`,"is_superuser":false`), "admitted", filters.Identity{}},
		{"nulls", allow(`,"is_superuser":null,"client_attrs":null,"expire_at":null,"acl":null`), "admitted", filters.Identity{}},
		{"a superuser", allow(`,"is_superuser":true,"acl":[{"permission":"deny","action":"all","topic":"#"}]`), "admitted", filters.Identity{Permissions: &filters.Permissions{
			Rules: []filters.Permission{
				{Name: "is_superuser", Publish: true, Subscribe: true, Topics: []string{"#"}},
				{Name: "is_superuser", Subscribe: true, Topics: []string{"$SYS/#"}},
			},
		}}},
		{"perhaps a superuser", allow(`,"is_superuser":"true"`), "unusable", filters.Identity{}},
		{"one more", allow(`,"is_superuser":1`), "unusable", filters.Identity{}},

		{"attributes", allow(`,"client_attrs":{"site":"a","SN":"1"}`), "admitted", filters.Identity{
			Claims: map[string]string{"client_attrs.site": "a", "client_attrs.SN": "1"},
		}},
		{"a number for an attribute", allow(`,"client_attrs":{"site":1}`), "unusable", filters.Identity{}},
		{"a list of attributes", allow(`,"client_attrs":["a"]`), "unusable", filters.Identity{}},
		{"a long attribute", allow(`,"client_attrs":{"site":"` + strings.Repeat("a", maxAttrSize) + `"}`), "unusable", filters.Identity{}},
		{"many attributes", allow(`,"client_attrs":{` + strings.TrimSuffix(many(maxAttrs+1), ",") + `}`), "unusable", filters.Identity{}},

		{"until later", allow(fmt.Sprintf(`,"expire_at":%d`, future)), "admitted", filters.Identity{Expires: time.Unix(future, 0)}},
		{"until now", allow(fmt.Sprintf(`,"expire_at":%d`, time.Now().Unix())), "unusable", filters.Identity{}},
		{"until 1970", allow(`,"expire_at":0`), "unusable", filters.Identity{}},
		{"until before", allow(`,"expire_at":-1`), "unusable", filters.Identity{}},
		{"in milliseconds", allow(fmt.Sprintf(`,"expire_at":%d`, future*1000)), "unusable", filters.Identity{}},
		{"until the end of time", allow(`,"expire_at":9223372036854775807`), "unusable", filters.Identity{}},
		{"a text for a time", allow(fmt.Sprintf(`,"expire_at":"%d"`, future)), "unusable", filters.Identity{}},
		{"a fraction", allow(fmt.Sprintf(`,"expire_at":%d.5`, future)), "unusable", filters.Identity{}},

		{"permissions", allow(`,"acl":[{"permission":"allow","action":"publish","topic":"a","username_re":"^bob$","clientid_re":"^c1$","listener":"mqtts","ipaddr":"192.0.2.7"}]`), "admitted", filters.Identity{
			Permissions: &filters.Permissions{Rules: []filters.Permission{{Name: "acl[0]", Publish: true, Topics: []string{"a"}}}},
		}},
		{"closed permissions", allow(`,"acl":{}`), "admitted", filters.Identity{Permissions: &filters.Permissions{Closed: true}}},
		{"no permissions", allow(`,"acl":"none"`), "unusable", filters.Identity{}},
		{"a permission that is not understood", allow(`,"acl":[{"permission":"maybe","action":"all","topic":"a"}]`), "unusable", filters.Identity{}},
		{"nor by a superuser", allow(`,"is_superuser":true,"acl":[{}]`), "unusable", filters.Identity{}},

		{"the same identifier", allow(`,"clientid_override":"c1"`), "admitted", filters.Identity{}},
		{"another identifier", allow(`,"clientid_override":"c2"`), "unusable", filters.Identity{}},
		{"a number for an identifier", allow(`,"clientid_override":1`), "unusable", filters.Identity{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, err := ask(t, "emqx", "", bob(), test.answer)
			if outcome(err) != test.want {
				t.Fatalf("%v, want %s", err, test.want)
			}
			if err != nil {
				return
			}
			test.id.Username, test.id.Method = "bob", "service"
			if !reflect.DeepEqual(id, test.id) {
				t.Errorf("got %+v\nwant %+v", id, test.id)
			}
		})
	}
}

// many are n attributes.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"a%d":"",`, i)
	}
	return b.String()
}

func TestEMQXCertificate(t *testing.T) {
	o, heard := service(t, reply(http.StatusNoContent, "", ""))
	o.Contract = "emqx"
	c := bob()
	name := pkix.Name{CommonName: "plc-1"}
	name.Names = []pkix.AttributeTypeAndValue{{Type: []int{2, 5, 4, 3}, Value: "plc-1"}}
	c.Certificate = &x509.Certificate{Subject: name}
	if _, err := New(o).Authenticate(t.Context(), c); err != nil || !strings.Contains(heard.body, `"cert_common_name":"plc-1"`) {
		t.Errorf("%v: %s", err, heard.body)
	}
}

func TestVerneMQ(t *testing.T) {
	json := func(body string) http.HandlerFunc { return reply(http.StatusOK, "text/json", body) }
	ok := func(modifiers string) http.HandlerFunc { return json(`{"result":"ok","modifiers":` + modifiers + `}`) }
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"ok":                            {json(`{"result":"ok"}`), "admitted"},
		"next":                          {json(`{"result":"next"}`), "not mine"},
		"error":                         {json(`{"result":{"error":"not_allowed"}}`), "wrong"},
		"error of 5.0":                  {json(`{"result":{"error":{"reason_code":"banned"}}}`), "wrong"},
		"error that says nothing":       {json(`{"result":{}}`), "wrong"},
		"allow":                         {json(`{"result":"allow"}`), "failure"},
		"no content":                    {reply(http.StatusNoContent, "", ""), "failure"},
		"unauthorized":                  {reply(http.StatusUnauthorized, "", `{"result":"ok"}`), "wrong"},
		"not found":                     {reply(http.StatusNotFound, "", `{"result":"ok"}`), "wrong"},
		"no modifiers":                  {ok(`{}`), "admitted"},
		"no modifiers, as Erlang":       {ok(`[]`), "admitted"},
		"null":                          {ok(`null`), "unusable"},
		"a list of modifiers":           {ok(`[{"username":"root"}]`), "unusable"},
		"a text":                        {ok(`"username"`), "unusable"},
		"limits":                        {ok(`{"max_message_size":1,"max_inflight_messages":1,"retry_interval":1,"properties":{}}`), "admitted"},
		"the same client":               {ok(`{"client_id":"c1","mountpoint":"","username":"bob"}`), "admitted"},
		"another subscriber":            {ok(`{"subscriber_id":{"client_id":"c1","mountpoint":""}}`), "unusable"},
		"another client":                {ok(`{"client_id":"c2","mountpoint":""}`), "unusable"},
		"another mountpoint":            {ok(`{"mountpoint":"m"}`), "unusable"},
		"another user":                  {ok(`{"username":"root"}`), "unusable"},
		"a number for a user":           {ok(`{"username":1}`), "unusable"},
		"all that is allowed":           {ok(`{"allow_register":true,"allow_publish":true,"allow_subscribe":true}`), "admitted"},
		"not registering":               {ok(`{"allow_register":false}`), "unusable"},
		"not publishing":                {ok(`{"allow_publish":false}`), "unusable"},
		"not subscribing":               {ok(`{"allow_subscribe":0}`), "unusable"},
		"a lifetime that is no number":  {ok(`{"max_connection_lifetime":"1"}`), "unusable"},
		"a lifetime that is over":       {ok(`{"max_connection_lifetime":-1}`), "unusable"},
		"a lifetime beyond all numbers": {ok(`{"max_connection_lifetime":9223372036854775807}`), "unusable"},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := ask(t, "vernemq", "", bob(), test.answer)
			if outcome(err) != test.want {
				t.Fatalf("%v, want %s", err, test.want)
			}
			if want := (filters.Identity{Username: "bob", Method: "service"}); err == nil && !reflect.DeepEqual(id, want) {
				t.Errorf("got %+v, want %+v", id, want)
			}
		})
	}
	id, err := ask(t, "vernemq", "", bob(), ok(`{"max_connection_lifetime":3600}`))
	if left := time.Until(id.Expires); err != nil || left > time.Hour || left < time.Hour-time.Minute {
		t.Errorf("a lifetime of an hour: %v, %v", left, err)
	}
}

func TestMaxAge(t *testing.T) {
	for header, want := range map[string]string{
		"":                               "any",
		"private":                        "any",
		"max-age=60":                     "1m0s",
		"Max-Age=60, private":            "1m0s",
		`private, max-age="60"`:          "1m0s",
		"max-age=60, max-age=5":          "5s",
		"max-age=0":                      "0s",
		"max-age=-1":                     "0s",
		"max-age=a":                      "0s",
		"max-age=":                       "0s",
		"max-age=99999999999999":         "0s",
		"no-store":                       "0s",
		"max-age=60, no-cache":           "0s",
		"s-maxage=5":                     "any",
		"max-age=60\nno-store, no-cache": "0s",
		"private\nmax-age=60":            "1m0s",
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(header, "\n") {
			h.Add("Cache-Control", line)
		}
		got := "any"
		if age, ok := maxAge(h); ok {
			got = age.String()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestGoAuth(t *testing.T) {
	for _, test := range []struct {
		form   string
		status int
		body   string
		want   string
	}{
		{"status", 200, "", "admitted"},
		{"status", 204, "", "admitted"},
		{"status", 299, "no", "admitted"},
		{"status", 300, "", "failure"},
		{"status", 302, "", "failure"},
		{"status", 400, "", "wrong"},
		{"status", 401, "", "wrong"},
		{"status", 404, "", "wrong"},
		{"status", 408, "", "failure"},
		{"status", 429, "", "failure"},
		{"status", 500, "", "failure"},
		{"status", 503, "", "failure"},

		{"json", 200, `{"Ok":true,"Error":""}`, "admitted"},
		{"json", 201, `{"ok":true}`, "admitted"},
		{"json", 200, `{"Ok":false,"Error":"no such user"}`, "wrong"},
		{"json", 200, `{"ok":false}`, "wrong"},
		{"json", 200, `{"Ok":true,"ok":false}`, "failure"},
		{"json", 200, `{"Ok":"true"}`, "failure"},
		{"json", 200, `{"Ok":null}`, "failure"},
		{"json", 200, `{"Error":""}`, "failure"},
		{"json", 200, `ok`, "failure"},
		{"json", 204, ``, "failure"},
		{"json", 403, `{"Ok":true}`, "wrong"},
		{"json", 500, `{"Ok":true}`, "failure"},

		{"text", 200, "ok", "admitted"},
		{"text", 200, "ok\n", "wrong"},
		{"text", 200, "OK", "wrong"},
		{"text", 200, "", "wrong"},
		{"text", 200, "<p>ok</p>", "wrong"},
		{"text", 403, "ok", "wrong"},
		{"text", 500, "ok", "failure"},

		{"", 200, "ok", "failure"},
	} {
		id, err := ask(t, "go-auth", test.form, bob(), reply(test.status, "text/plain", test.body))
		if outcome(err) != test.want {
			t.Errorf("%s, %d %q: %v, want %s", test.form, test.status, test.body, err, test.want)
		}
		if want := (filters.Identity{Username: "bob", Method: "service"}); err == nil && !reflect.DeepEqual(id, want) {
			t.Errorf("%s, %d %q: got %+v, want %+v", test.form, test.status, test.body, id, want)
		}
	}
}

// token is an unsigned token, which here is as good as any: the service judges.
func token(payload string) string {
	code := base64.RawURLEncoding.EncodeToString
	return code([]byte(`{"alg":"HS256"}`)) + "." + code([]byte(payload)) + "." + code([]byte("signature"))
}

func TestGoAuthJWT(t *testing.T) {
	good := token(`{"sub":"bob","name":"root"}`)
	for name, test := range map[string]struct {
		token, want string
		id          filters.Identity
	}{
		"a token":                 {good, "admitted", filters.Identity{Username: "bob"}},
		"until later":             {token(fmt.Sprintf(`{"sub":"bob","exp":%d.5}`, future)), "admitted", filters.Identity{Username: "bob", Expires: time.Unix(future, 0)}},
		"expired":                 {token(`{"sub":"bob","exp":1}`), "unusable", filters.Identity{}},
		"until whenever":          {token(`{"sub":"bob","exp":true}`), "unusable", filters.Identity{}},
		"in milliseconds":         {token(fmt.Sprintf(`{"sub":"bob","exp":%d000}`, future)), "unusable", filters.Identity{}},
		"a wildcard":              {token(`{"sub":"+"}`), "unusable", filters.Identity{}},
		"a control character":     {token(`{"sub":"a\u0000"}`), "unusable", filters.Identity{}},
		"of nobody":               {token(`{"name":"bob"}`), "not mine", filters.Identity{}},
		"of an empty name":        {token(`{"sub":""}`), "not mine", filters.Identity{}},
		"of a number":             {token(`{"sub":1}`), "not mine", filters.Identity{}},
		"of two":                  {token(`{"sub":"bob","sub":"root"}`), "not mine", filters.Identity{}},
		"of two, in capitals":     {token(`{"sub":"bob","SUB":"root"}`), "not mine", filters.Identity{}},
		"in capitals":             {token(`{"SUB":"bob"}`), "not mine", filters.Identity{}},
		"not an object":           {token(`["bob"]`), "not mine", filters.Identity{}},
		"not JSON":                {token(`bob`), "not mine", filters.Identity{}},
		"a name":                  {"bob", "not mine", filters.Identity{}},
		"three names":             {"eyJ.b.c", "not mine", filters.Identity{}},
		"without a signature":     {good[:strings.LastIndexByte(good, '.')+1], "not mine", filters.Identity{}},
		"in two parts":            {good[:strings.LastIndexByte(good, '.')], "not mine", filters.Identity{}},
		"in four parts":           {good + ".x", "not mine", filters.Identity{}},
		"with a line end":         {strings.Replace(good, ".", ".\n", 1), "not mine", filters.Identity{}},
		"with padding":            {strings.Replace(good, ".", "=.", 1), "not mine", filters.Identity{}},
		"with a header":           {good + "\r\nX: y", "not mine", filters.Identity{}},
		"that logs would not see": {"a" + good, "not mine", filters.Identity{}},
		"too long":                {good + strings.Repeat("a", maxToken), "not mine", filters.Identity{}},
	} {
		t.Run(name, func(t *testing.T) {
			o, heard := service(t, reply(http.StatusOK, "application/json", `{"Ok":true,"Error":"","username":"root"}`))
			o.Contract, o.Answer = "go-auth-jwt", "json"
			c := bob()
			c.Username, c.Password, c.HasPassword = test.token, nil, false
			id, err := New(o).Authenticate(t.Context(), c)
			if outcome(err) != test.want {
				t.Fatalf("%v, want %s", err, test.want)
			}
			if err != nil {
				if heard.method != "" {
					t.Error("the service was asked")
				}
				return
			}
			test.id.Method = "service"
			if !reflect.DeepEqual(id, test.id) {
				t.Errorf("got %+v, want %+v", id, test.id)
			}
		})
	}
	for status, want := range map[int]string{401: "wrong", 500: "failure", 302: "failure"} {
		c := bob()
		c.Username = good
		if _, err := ask(t, "go-auth-jwt", "status", c, reply(status, "", "")); outcome(err) != want {
			t.Errorf("%d: %v, want %s", status, err, want)
		}
	}
}

func FuzzPayload(f *testing.F) {
	for _, text := range []string{token(`{"sub":"bob"}`), token(`{"sub":"bob","exp":4102444800}`), "a.b.c", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := bob()
		c.Username = text
		q, id, err := (goAuthJWT{}).question(c)
		if err != nil {
			return
		}
		if id.Username == "" || !filters.PlainName(id.Username) || q.fields["username"] != id.Username {
			t.Errorf("%q is %+v", text, id)
		}
		if h := q.header["Authorization"]; h != "Bearer "+text || strings.ContainsAny(text, " \r\n\x00") || len(text) > maxToken {
			t.Errorf("header %q", h)
		}
	})
}
