package admin

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// read are the methods that change nothing.
var read = []string{http.MethodGet, http.MethodHead}

// only refuses every method but these.
func only(methods []string, next http.Handler) http.Handler {
	allow := strings.Join(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, m := range methods {
			if r.Method == m {
				next.ServeHTTP(w, r)
				return
			}
		}
		w.Header().Set("Allow", allow)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	})
}

// api is what the API asks for beside the token. The browser of somebody on this
// machine reaches loopback too, and sends there what the page of a stranger
// says: so no request is taken that comes from another page or, where no token
// tells friend from foe, that was sent to another name, which a stranger's name
// server can make lead here (DNS rebinding).
func (s *Server) api(methods []string, next http.Handler) http.Handler {
	return only(methods, s.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.token.Load().set && !isOurs(r.Host):
			http.Error(w, "without a token the API answers to localhost and to IP addresses alone", http.StatusForbidden)
		case isForeign(r):
			http.Error(w, "the request is from another page", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})))
}

// isOurs reports whether nobody else can have made host, of a Host header, lead
// here. Without a token the server listens on loopback, so no other name is
// configured.
func isOurs(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

// isForeign reports whether a page of another origin sends r. Who is no browser
// sends no Origin.
func isForeign(r *http.Request) bool {
	origin := r.Header.Values("Origin")
	if len(origin) == 0 {
		return false
	}
	u, err := url.Parse(origin[0])
	return err != nil || len(origin) > 1 || u.Host == "" || !strings.EqualFold(u.Host, r.Host)
}
