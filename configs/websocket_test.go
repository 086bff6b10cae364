package configs

import (
	"strings"
	"testing"
)

func TestPlainOrigin(t *testing.T) {
	for origin, want := range map[string]bool{
		"https://app.example":         true,
		"http://localhost:8080":       true,
		"http://[::1]:8080":           true,
		"app://obsidian.md":           true,
		"https://*.app.example":       true,
		"https://*.app.example:8443":  true,
		"https://app.example/":        false,
		"https://app.example/page":    false,
		"https://app.example?a":       false,
		"https://App.example":         false,
		"https://user@app.example":    false,
		"https://app.example:":        false,
		"https://app.example:https":   false,
		"https://app.example:443":     false,
		"https://*.app.example:443":   false,
		"http://app.example:80":       false,
		"http://app.example:443":      true,
		"wss://app.example":           false,
		"ws://app.example":            false,
		"https://":                    false,
		"https://*":                   false,
		"https://*app.example":        false,
		"https://a.*.example":         false,
		"https://*.*.example":         false,
		"*":                           false,
		"*://app.example":             false,
		"app.example":                 false,
		"null":                        false,
		"":                            false,
		"https://app.example https:b": false,
	} {
		if got := plainOrigin(origin); got != want {
			t.Errorf("%q: %v, want %v", origin, got, want)
		}
	}
}

func TestPlainPath(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/mqtt": true, "/a/b": true, "/a%20b": false, "/a b": false, "mqtt": false, "": false, "//host/mqtt": false,
		"/mqtt?a=b": false, "/mqtt#a": false, "/ä": false, "*": false, "/a*b": true,
	} {
		if got := plainPath(path); got != want {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
}

// TestWebSocketMistakes: keys that would have no effect, and values that nobody can meet.
func TestWebSocketMistakes(t *testing.T) {
	const web = `"127.0.0.1:1884", transport: websocket`
	for _, test := range []struct{ name, with, want string }{
		{"another transport", `"127.0.0.1:1884", transport: quic`, `listeners[0].transport: wants tcp or websocket, not "quic"`},
		{"idle path", `"127.0.0.1:1884", path: /mqtt`, "listeners[0].path: has no effect without transport: websocket"},
		{"idle origins", `"127.0.0.1:1884", transport: tcp, origins: []`, "listeners[0].origins: has no effect without transport: websocket"},
		{"misspelt transport", `"127.0.0.1:1884", tranport: websocket, path: /mqtt`, `listeners[0].tranport: unknown key; did you mean "transport"?`},
		{"path", web + `, path: mqtt`, `listeners[0].path: wants a path such as /mqtt, not "mqtt"`},
		{"no origins", web + `, origins: []`, "listeners[0].origins: is an empty list: no browser could connect; left out, pages of the same host can"},
		{"origin", web + `, origins: ["https://a.example", "*"]`, `listeners[0].origins[1]: wants the origin of pages as browsers say it, such as https://app.example or http://app.example:8080, without the usual port, or https://*.example.com for all below a name, not "*"`},
		{"plaintext off loopback", `"192.0.2.1:1884", transport: websocket`, "listeners[0].tls: is required on 192.0.2.1:1884, which is not loopback (insecure_plaintext: true does without)"},
	} {
		_, err := parse(t, strings.Replace(minimal, `"127.0.0.1:1884"`, test.with, 1))
		if want := "mqttward.yaml:2: " + test.want; err == nil || err.Error() != want {
			t.Errorf("%s:\n%v, want\n%s", test.name, err, want)
		}
	}
}
