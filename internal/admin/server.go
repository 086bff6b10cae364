// Package admin is the proxy's side door for its operators: health for
// supervisors and load balancers, metrics for Prometheus, an API to see and to
// end sessions and to ban, and the client of that API.
//
// It reads what the other packages report and changes nothing in them, except
// what the API is for. It does not judge MQTT, does not log traffic and serves
// no path but its own.
//
// Liveness depends on nothing, so that a broker that is down never gets the
// proxy restarted; readiness is whatever the application says. Where a token
// is set everything but health asks for it. A metric that cannot be counted
// under its own labels is counted under "other".
package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// The limits of the server. Its clients are few and near; whoever is slower
// or asks for more than this is not one of them.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	replyTimeout   = 30 * time.Second
	idleTimeout    = 2 * time.Minute // longer than a scrape interval
	maxHeader      = 8 << 10
	maxConnections = 64
)

// Options are what a Server serves. All are required.
type Options struct {
	Metrics *Metrics
	// Ready returns nil while the proxy takes clients, else a sentence why
	// not. It is told to everybody who can reach the server, may be called
	// from any goroutine and must not block.
	Ready func() error
	// Clients returns those whose sessions run, the oldest session first. The
	// list is the caller's.
	Clients func() []Client
	// Kick ends the sessions that match and returns how many these are; by says
	// on whose behalf.
	Kick func(by string, match func(Client) bool) int
	Bans Bans
	// Reload puts the configuration in force as it is now; by says on whose behalf.
	// The error is Mistakes if it is wrong.
	Reload  func(by string) error
	Status  func() Status
	Drainer Drainer
	// Reports are answered as JSON at their names below /api/v1/. What they return
	// is the caller's.
	Reports map[string]func() any
	Log     *slog.Logger
}

// Server is the admin HTTP server.
type Server struct {
	http  *http.Server
	token atomic.Pointer[Token]
}

// New returns a server that does not listen yet and asks for no token.
func New(o Options) *Server {
	s := &Server{}
	s.SetToken(Token{})
	s.http = &http.Server{
		Handler:           s.routes(o),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      replyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	return s
}

// SetToken asks for t from the next request on; for none if t is the zero
// Token.
func (s *Server) SetToken(t Token) { s.token.Store(&t) }

// Serve answers requests on l until Shutdown, which makes it return nil. It
// closes l.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(netutil.LimitListener(l, maxConnections))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown takes no new requests and waits for those in progress; when ctx
// ends first it cuts them off and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// routes are the paths of the server. The health of the proxy is no secret
// and its askers carry none; everything else, paths that do not exist
// included, is behind the token.
func (s *Server) routes(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/livez", only(read, http.HandlerFunc(live)))
	mux.Handle("/readyz", only(read, ready(o.Ready)))
	mux.Handle("/metrics", only(read, s.guard(o.Metrics.handler())))
	mux.Handle("/api/v1/clients", s.api(read, clients(o.Clients)))
	mux.Handle("/api/v1/kick", s.api([]string{http.MethodPost}, kick(o.Kick)))
	mux.Handle("/api/v1/bans", s.api(read, listBans(o.Bans)))
	mux.Handle("/api/v1/ban", s.api([]string{http.MethodPost}, ban(o.Bans)))
	mux.Handle("/api/v1/unban", s.api([]string{http.MethodPost}, unban(o.Bans)))
	mux.Handle("/api/v1/reload", s.api([]string{http.MethodPost}, reload(o.Reload)))
	mux.Handle("/api/v1/status", s.api(read, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply(w, o.Status()) })))
	mux.Handle("/api/v1/drain", s.api([]string{http.MethodPost}, drain(o.Drainer)))
	for name, report := range o.Reports {
		mux.Handle("/api/v1/"+name, s.api(read, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply(w, report()) })))
	}
	mux.Handle("/", only(read, s.guard(http.NotFoundHandler())))
	return closed(mux)
}

// closed keeps answers out of caches and from being taken for what they are not.
func closed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func live(w http.ResponseWriter, _ *http.Request) { ok(w) }

func ready(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		ok(w)
	}
}

func ok(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n") // who asked has gone: nothing to do
}
