package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// parseService is Parse of a configuration with an http method.
func parseService(t *testing.T, keys string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"token", "ca"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Replace(minimal, "{name: users, type: password, file: users}", "{name: service, type: http, "+keys+"}", 1)
	c, err := Parse([]byte(text), filepath.Join(dir, "mqttward.yaml"))
	if errs, ok := err.(Errors); ok {
		for i := range errs {
			errs[i].Source = filepath.Base(errs[i].Source)
		}
	}
	return c, err
}

func TestHTTPMistakes(t *testing.T) {
	const (
		at    = "mqttward.yaml:4: authn[0]"
		local = "url: http://127.0.0.1:1/auth"
		emqx  = local + ", contract: emqx"
	)
	for _, test := range []struct{ name, keys, want string }{
		{"nothing", "timeout: 1s", at + ".url: is required for type http\n" + at + ".contract: is required for type http"},
		{"contract", local + ", contract: nanomq", at + `.contract: wants emqx, go-auth, go-auth-jwt or vernemq, not "nanomq"`},
		{"in the clear", "url: http://192.0.2.1/auth, contract: emqx", at + ".url: wants https, since 192.0.2.1 is not this machine: credentials would cross the network in the clear"},
		{"in the clear by name", "url: http://localhost.example/auth, contract: emqx", at + ".url: wants https, since localhost.example is not this machine: credentials would cross the network in the clear"},
		{"no scheme", "url: auth.example, contract: emqx", at + ".url: wants a URL with https, or http on this machine"},
		{"no host", "url: 'https:///auth', contract: emqx", at + ".url: wants a URL with https, or http on this machine"},
		{"scheme", "url: unix:///run/auth, contract: emqx", at + ".url: wants a URL with https, or http on this machine"},
		{"not a URL", `url: "https://a.example/%zz", contract: emqx`, at + ".url: wants a URL with https, or http on this machine"},
		{"password in the URL", "url: https://u:p@a.example/, contract: emqx", at + ".url: holds a user: give a token_file instead"},
		{"fragment", "url: 'https://a.example/#a', contract: emqx", at + ".url: has a fragment, which is never sent"},
		{"CA without TLS", emqx + ", ca: ca", at + ".ca: has no effect without https"},
		{"answer of emqx", emqx + ", answer: json", at + ".answer: belongs to the contracts go-auth and go-auth-jwt: the others have one form of answer"},
		{"form of vernemq", local + ", contract: vernemq, body: form", at + ".body: is always json in the contract vernemq"},
		{"two tokens", local + ", contract: go-auth-jwt, token_file: token", at + ".token_file: contradicts contract: go-auth-jwt: the header has the client's token"},
		{"no such answer", local + ", contract: go-auth, answer: xml", at + `.answer: wants status, json or text, not "xml"`},
		{"key of another type", emqx + ", query: x", at + ".query: belongs to type sql, not http"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseService(t, test.keys)
			if err == nil || err.Error() != test.want {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestHTTPDefaults(t *testing.T) {
	for _, test := range []struct{ keys, answer string }{
		{"url: http://localhost:1/auth, contract: emqx", ""},
		{"url: 'http://[::1]:1/auth', contract: go-auth", "status"},
		{"url: 'https://a.example/auth?realm=x', contract: go-auth-jwt, ca: ca", "status"},
		{"url: https://a.example, contract: vernemq, token_file: token", ""},
	} {
		c, err := parseService(t, test.keys)
		if err != nil {
			t.Fatalf("%s: %v", test.keys, err)
		}
		m := c.Authn[0]
		if m.Body != "json" || m.Answer != test.answer || m.Timeout != 2*time.Second || m.MaxConnections != 8 ||
			m.Cache != (Cache{Size: 10_000}) || m.Breaker != (Breaker{5, 5 * time.Second}) {
			t.Errorf("%s: got %+v", test.keys, m)
		}
	}
}
