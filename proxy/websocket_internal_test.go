package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// asking is a request for a WebSocket as a browser makes it, with changes: pairs of what
// is replaced and by what.
func asking(changes ...string) string {
	return strings.NewReplacer(changes...).Replace("GET /mqtt HTTP/1.1\r\n" +
		"Host: broker.example:8084\r\n" +
		"Connection: keep-alive, Upgrade\r\n" +
		"Upgrade: websocket\r\n" +
		"Origin: https://broker.example:8084\r\n" +
		"Sec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
		"Sec-WebSocket-Protocol: mqtt\r\n" +
		"\r\n")
}

const originLine = "Origin: https://broker.example:8084\r\n"

// TestAnswer: the answers to requests.
func TestAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		want          int
	}{
		{"a browser", asking(), 101},
		{"no browser", asking(originLine, ""), 101},
		{"a query", asking("/mqtt", "/mqtt?a=b"), 101},
		{"MQTT 3.1", asking("Protocol: mqtt", "Protocol: mqttv3.1"), 101},
		{"one of several", asking("Protocol: mqtt", "Protocol: chat, mqtt"), 101},
		{"small letters", asking("Upgrade: websocket", "upgrade: WebSocket", "Origin", "origin"), 101},
		{"another path", asking("/mqtt", "/"), 404},
		{"a path below", asking("/mqtt", "/mqtt/a"), 404},
		{"the path after a host", asking("/mqtt", "http://a/mqtt"), 404},
		{"POST", asking("GET", "POST"), 405},
		{"HTTP/1.0", asking("HTTP/1.1", "HTTP/1.0"), 505},
		{"no host", asking("Host: broker.example:8084\r\n", ""), 400},
		{"two hosts", asking("Host:", "Host: a\r\nHost:"), 400},
		{"no upgrade", asking("Upgrade: websocket\r\n", ""), 400},
		{"no key", asking("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400},
		{"a short key", asking("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), 400},
		{"an old version", asking("Version: 13", "Version: 8"), 426},
		{"no subprotocol", asking("Sec-WebSocket-Protocol: mqtt\r\n", ""), 400},
		{"another subprotocol", asking("Protocol: mqtt", "Protocol: amqp, MQTT"), 400},
		{"a page of elsewhere", asking(originLine, "Origin: https://evil.example\r\n"), 403},
		{"a page of another port", asking("example:8084\r\nSec", "example\r\nSec"), 403},
		{"no page", asking(originLine, "Origin: null\r\n"), 403},
		{"an empty origin", asking(originLine, "Origin:\r\n"), 403},
		{"two origins", asking("Origin:", "Origin: https://broker.example:8084\r\nOrigin:"), 400},
		{"a header that is none", asking("Upgrade: websocket", "Upgrade"), 400},
		{"a bare line feed", asking("Origin", "A: b\nOrigin"), 400},
		{"no HTTP", "MQTT\r\n\r\n", 400},
	} {
		answer, err := (&WebSocket{Path: "/mqtt"}).answer([]byte(tt.request), false)
		status := 400
		if refused, ok := errors.AsType[*ws.ConnectionRejectedError](err); ok {
			status, answer = refused.StatusCode(), refusalAnswer(refused.StatusCode())
		} else if err != nil {
			t.Errorf("%s: %v is no refusal", tt.name, err)
		}
		r, failed := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
		if failed != nil {
			t.Errorf("%s: the answer %q is not HTTP: %v", tt.name, answer, failed)
			continue
		}
		r.Body.Close()
		if err == nil {
			status = 101
			if r.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || !strings.HasPrefix(r.Header.Get("Sec-WebSocket-Protocol"), "mqtt") || r.Header["Sec-Websocket-Extensions"] != nil {
				t.Errorf("%s: answer %q", tt.name, answer)
			}
		} else if r.ContentLength != 0 || !r.Close || r.Header.Get("Sec-WebSocket-Version") != map[bool]string{true: "13"}[tt.want == 426] {
			t.Errorf("%s: answer %q", tt.name, answer)
		}
		if status != tt.want || r.StatusCode != tt.want {
			t.Errorf("%s: status %d, answer %q, want %d", tt.name, status, answer, tt.want)
		}
	}
}

func TestOrigins(t *testing.T) {
	w := &WebSocket{Origins: []string{"https://app.example", "http://app.example:8080", "https://*.plant.example"}}
	for origin, want := range map[string]bool{
		"https://app.example":                  true,
		"HTTPS://App.Example":                  true,
		"http://app.example:8080":              true,
		"https://a.plant.example":              true,
		"https://a.b.plant.example":            true,
		"http://app.example":                   false,
		"https://app.example:444":              false,
		"https://app.example.evil.example":     false,
		"https://plant.example":                false,
		"https://.plant.example":               false,
		"http://a.plant.example":               false,
		"https://a.plant.example:8080":         false,
		"https://evil.example/.plant.example":  false,
		"https://evil.example:1.plant.example": false,
		"https://evil.example@a.plant.example": false,
		"https://evil.example#.plant.example":  false, // no browser sends these
		"https://evil.example?.plant.example":  false,
		`https://evil.example\.plant.example`:  false,
		"https://evil.example .plant.example":  false,
		"https://broker.example":               false, // the host that it connects to is no exception
		"null":                                 false,
		"":                                     false,
	} {
		if got := w.allows(origin, "broker.example", true); got != want {
			t.Errorf("%q: allowed %v, want %v", origin, got, want)
		}
	}
	if (&WebSocket{Origins: []string{}}).allows("https://broker.example", "broker.example", true) {
		t.Error("an empty list allows something")
	}
}

// TestOwnOrigin: pages of the same host and port. Usual ports are said by nobody, so the
// scheme says which one it is.
func TestOwnOrigin(t *testing.T) {
	for _, tt := range []struct {
		origin, host   string
		plain, secured bool
	}{
		{"https://broker.example", "broker.example", true, true}, // plain: TLS ends in front of us
		{"HTTPS://broker.example", "BROKER.example", true, true},
		{"http://broker.example", "broker.example", true, false}, // whoever is on the way can write that page
		{"http://broker.example:8083", "broker.example:8083", true, false},
		{"https://broker.example", "broker.example:8084", false, false},
		{"https://broker.example.", "broker.example", false, false},
		{"app://broker.example", "broker.example", false, false},
		{"://broker.example", "broker.example", false, false},
		{"https://", "", false, false},
	} {
		w := &WebSocket{}
		if plain, overTLS := w.allows(tt.origin, tt.host, false), w.allows(tt.origin, tt.host, true); plain != tt.plain || overTLS != tt.secured {
			t.Errorf("%q at %q: allowed %v, over TLS %v", tt.origin, tt.host, plain, overTLS)
		}
	}
}

// FuzzAnswer: whatever is accepted, net/http reads as the request that is meant.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(asking()))
	f.Add([]byte(asking("GET", "POST")))
	f.Add([]byte(asking(originLine, "")))
	f.Fuzz(func(t *testing.T, request []byte) {
		answer, err := (&WebSocket{Path: "/mqtt"}).answer(request, false)
		if err != nil {
			if _, ok := errors.AsType[*ws.ConnectionRejectedError](err); !ok {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		head, _, ok := bytes.Cut(request, []byte("\r\n\r\n"))
		if !ok || !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) {
			return // readRequest does not return such a request
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(head, "\r\n\r\n"...))))
		if err != nil {
			return // it is stricter about headers that nobody looks at
		}
		if r.Method != http.MethodGet || !strings.HasPrefix(r.RequestURI, "/mqtt") || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			t.Fatalf("%q was accepted", request)
		}
		if o := r.Header.Get("Origin"); o != "" && !strings.EqualFold(o[strings.Index(o, "://")+3:], r.Host) {
			t.Fatalf("%q was accepted with the origin %q", request, o)
		}
	})
}
