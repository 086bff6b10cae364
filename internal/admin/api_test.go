package admin_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestAPIGuard: who may use the API, as far as the request tells.
func TestAPIGuard(t *testing.T) {
	const body = `{"client_id": "nobody"}`
	open := start(t, newCrowd(4).options())
	guarded := start(t, newCrowd(4).options(), newToken(t, secret))
	port := open[strings.LastIndexByte(open, ':'):]
	for _, tt := range []struct {
		name, method, path string
		url                string   // open, if empty
		header             []string // with Content-Type
		status             int
		allow              string
	}{
		{name: "clients", method: "GET", path: "clients", status: 200},
		{name: "clients, asked by HEAD", method: "HEAD", path: "clients", status: 200},
		{name: "clients cannot be posted", method: "POST", path: "clients", status: 405, allow: "GET, HEAD"},
		{name: "kick", method: "POST", path: "kick", status: 200},
		{name: "kick by GET", method: "GET", path: "kick", status: 405, allow: "POST"},
		{name: "kick by PUT", method: "PUT", path: "kick", status: 405, allow: "POST"},
		{name: "kick by OPTIONS", method: "OPTIONS", path: "kick", header: []string{"Origin", "http://evil.example"}, status: 405, allow: "POST"},
		{name: "nothing below it", method: "GET", path: "clients/x", status: 404},
		{name: "POST of nothing", method: "POST", path: "x", status: 405, allow: "GET, HEAD"},

		{name: "no token", url: guarded, method: "GET", path: "clients", status: 401},
		{name: "no token for kick", url: guarded, method: "POST", path: "kick", status: 401},
		{name: "another token", url: guarded, method: "POST", path: "kick", header: []string{"Authorization", "Bearer " + secret + "x"}, status: 401},
		{name: "the token", url: guarded, method: "POST", path: "kick", header: []string{"Authorization", "Bearer " + secret}, status: 200},
		{name: "the token under any name", url: guarded, method: "POST", path: "kick", header: []string{"Authorization", "Bearer " + secret, "Host", "gateway.example:9883"}, status: 200},
		{name: "the token from another page", url: guarded, method: "POST", path: "kick", header: []string{"Authorization", "Bearer " + secret, "Origin", "http://evil.example"}, status: 403},

		{name: "localhost", method: "POST", path: "kick", header: []string{"Host", "localhost" + port}, status: 200},
		{name: "without a port", method: "POST", path: "kick", header: []string{"Host", "LOCALHOST"}, status: 200},
		{name: "IPv6", method: "POST", path: "kick", header: []string{"Host", "[::1]" + port}, status: 200},
		{name: "IPv6 without a port", method: "POST", path: "kick", header: []string{"Host", "[::1]"}, status: 200},
		{name: "a rebound name", method: "POST", path: "kick", header: []string{"Host", "evil.example" + port}, status: 403},
		{name: "a rebound name reads", method: "GET", path: "clients", header: []string{"Host", "evil.example"}, status: 403},
		{name: "a name of digits", method: "GET", path: "clients", header: []string{"Host", "127.0.0.1.evil.example"}, status: 403},
		{name: "a name below localhost", method: "GET", path: "clients", header: []string{"Host", "evil.localhost"}, status: 403},
		{name: "a rebound name and its page", method: "POST", path: "kick", header: []string{"Host", "evil.example", "Origin", "http://evil.example"}, status: 403},

		{name: "our own page", method: "POST", path: "kick", header: []string{"Host", "localhost" + port, "Origin", "http://localhost" + port}, status: 200},
		{name: "another page", method: "POST", path: "kick", header: []string{"Origin", "http://evil.example"}, status: 403},
		{name: "another page reads", method: "GET", path: "clients", header: []string{"Origin", "http://evil.example"}, status: 403},
		{name: "another port", method: "POST", path: "kick", header: []string{"Host", "localhost" + port, "Origin", "http://localhost:1"}, status: 403},
		{name: "a page without a name", method: "POST", path: "kick", header: []string{"Origin", "null"}, status: 403},
		{name: "no sense", method: "POST", path: "kick", header: []string{"Origin", "http://%zz"}, status: 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.url == "" {
				tt.url = open
			}
			got, err := tryBody(t.Context(), tt.method, tt.url+"/api/v1/"+tt.path, body, append(tt.header, "Content-Type", "application/json")...)
			if err != nil {
				t.Fatal(err)
			}
			if got.status != tt.status || got.header.Get("Allow") != tt.allow {
				t.Errorf("status %d, want %d; Allow %q, want %q: %s", got.status, tt.status, got.header.Get("Allow"), tt.allow, got.body)
			}
			if got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("another page may read the answer")
			}
			if tt.status != http.StatusOK && got.header.Get("Cache-Control") != "no-store" {
				t.Error("the refusal may be cached")
			}
		})
	}
}
