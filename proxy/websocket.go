package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gobwas/ws"
)

// WebSocket is how clients come by WebSocket (RFC 6455; MQTT 5.0 section 6).
type WebSocket struct {
	Path string // that clients ask for; what follows a question mark is not looked at

	// Origins are where pages come from whose scripts may connect: scheme://host[:port],
	// in small letters, or scheme://*.host[:port] for all below a name. Nil lets pages of
	// the Web in that come from the same host and port as they connect to, by https if
	// TLS ends here. Who is no browser sends no Origin, and is not asked for one.
	Origins []string
}

// maxRequest bounds a request for a WebSocket with all its headers, in bytes.
const maxRequest = 8 << 10

// The refusals of a request, each with the status of its answer.
var (
	errNotHTTP     = refusal(http.StatusBadRequest, "not an HTTP request")
	errRequestSize = refusal(http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("request of more than %d bytes", maxRequest))
	errTooEarly    = refusal(http.StatusBadRequest, "something follows the request before it was answered")
	errPath        = refusal(http.StatusNotFound, "another path than that of MQTT")
	errTwice       = refusal(http.StatusBadRequest, "Host or Origin stands there twice")
	errSubprotocol = refusal(http.StatusBadRequest, "the subprotocol mqtt is not offered") // [MQTT-6.0.0-3]
)

func refusal(status int, reason string) error {
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason(reason))
}

// upgrade makes a WebSocket of the connection, if the listener wants one.
func (c *conn) upgrade() error {
	w := c.policy.WebSocket
	if w == nil {
		return nil
	}
	if err := c.setDeadline(c.wire.Conn, c.policy.Limits.ConnectTimeout); err != nil {
		return err
	}
	request, err := c.readRequest()
	var answer []byte
	if err == nil {
		answer, err = w.answer(request, c.tls != nil)
	}
	refused, ok := errors.AsType[*ws.ConnectionRejectedError](err)
	switch {
	case err != nil && !ok:
		return readConnectError(err)
	case ok && c.policy.Silent:
		return &ending{end: EndUpgrade, err: err}
	case ok:
		answer = refusalAnswer(refused.StatusCode())
	}
	if _, failed := c.client.Write(answer); err == nil && failed != nil {
		return readConnectError(failed)
	}
	if err != nil {
		return &ending{end: EndUpgrade, err: err}
	}
	f := newFrames(c.client)
	c.wire.frames = f
	c.client, c.toClient.out = f, f
	return nil
}

// readRequest reads up to the empty line behind the headers, behind which nothing
// may be: who asks has to wait for the answer (RFC 6455 section 4.1). The buffer grows
// with what comes, and is not there before something does.
func (c *conn) readRequest() ([]byte, error) {
	var request []byte
	for dry := true; ; {
		if dry {
			if err := c.wire.await(); err != nil {
				return nil, err
			}
		}
		request = slices.Grow(request, 512)
		room := request[len(request):cap(request)]
		n, err := c.client.Read(room)
		dry = n < len(room) // or TLS may hold more
		request = request[:len(request)+n]
		head, behind, whole := bytes.Cut(request, []byte("\r\n\r\n"))
		switch {
		case len(request) > 0 && (request[0] < 'A' || request[0] > 'Z'): // no method: most likely MQTT
			return nil, errNotHTTP
		case len(head) > maxRequest:
			return nil, errRequestSize
		case whole && len(behind) > 0:
			return nil, errTooEarly
		case whole:
			return request, nil
		case err != nil:
			return nil, err
		}
	}
}

// answer is what a request is answered, or why it is refused, a
// *ws.ConnectionRejectedError. No extension is ever agreed on. overTLS says that TLS ends
// here.
func (w *WebSocket) answer(request []byte, overTLS bool) ([]byte, error) {
	if bytes.Count(request, []byte("\n")) != bytes.Count(request, []byte("\r\n")) {
		return nil, errNotHTTP // a line may end in two ways, and a header be read in two
	}
	var hosts, origins []string
	u := ws.Upgrader{
		ReadBufferSize:  maxRequest,
		WriteBufferSize: 512,
		Protocol:        func(name []byte) bool { return string(name) == "mqtt" || string(name) == "mqttv3.1" },
		OnRequest: func(uri []byte) error {
			if path, _, _ := strings.Cut(string(uri), "?"); path != w.Path {
				return errPath
			}
			return nil
		},
		OnHost: func(host []byte) error {
			hosts = append(hosts, string(host))
			return nil
		},
		OnHeader: func(key, value []byte) error {
			if string(key) == "Origin" {
				origins = append(origins, string(value))
			}
			return nil
		},
	}
	var both exchange
	both.Reader.Reset(request)
	agreed, err := u.Upgrade(&both)
	_, refused := errors.AsType[*ws.ConnectionRejectedError](err)
	switch {
	case errors.Is(err, ws.ErrMalformedRequest), err != nil && !refused:
		return nil, errNotHTTP
	case err != nil:
		return nil, err
	case len(hosts) > 1, len(origins) > 1:
		return nil, errTwice
	case len(origins) == 1 && !w.allows(origins[0], hosts[0], overTLS):
		return nil, refusal(http.StatusForbidden, fmt.Sprintf("no page of %q may connect", clip(origins[0])))
	case agreed.Protocol == "":
		return nil, errSubprotocol
	}
	return both.answer.Bytes(), nil
}

// exchange is a request that has been read and the answer to it.
type exchange struct {
	bytes.Reader
	answer bytes.Buffer
}

func (e *exchange) Write(b []byte) (int, error) { return e.answer.Write(b) }

// allows reports whether a page of origin may connect to host.
func (w *WebSocket) allows(origin, host string, overTLS bool) bool {
	scheme, at, ok := strings.Cut(strings.ToLower(origin), "://")
	switch {
	case !ok:
		return false
	case w.Origins == nil:
		// Neither says a port that is the usual one, and http has another than TLS.
		return (scheme == "https" || scheme == "http" && !overTLS) && at != "" && strings.EqualFold(at, host)
	}
	return slices.ContainsFunc(w.Origins, func(allowed string) bool {
		s, a, _ := strings.Cut(allowed, "://")
		below, wild := strings.CutPrefix(a, "*")
		if !wild {
			return s == scheme && a == at
		}
		name, ok := strings.CutSuffix(at, below)
		return s == scheme && ok && name != "" && strings.Trim(name, nameLetters) == ""
	})
}

// nameLetters are what the names of hosts are made of, in small letters. Of anything else
// in front of a name, that could be the end of another.
const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789-_."

// refusalAnswer is an answer with this status and nothing else.
func refusalAnswer(status int) []byte {
	var more string
	switch status {
	case http.StatusUpgradeRequired:
		more = "Sec-WebSocket-Version: 13\r\n" // RFC 6455 section 4.4
	case http.StatusMethodNotAllowed:
		more = "Allow: GET\r\n"
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n%s\r\n", status, http.StatusText(status), more)
}
