// Package app turns a configuration into a running proxy: it builds the parts,
// opens the sockets, reloads and shuts down. It is the only package that knows
// all the others, and holds no logic of theirs.
//
// A configuration that cannot be built whole is not built at all: at start
// that is an error, on reload everything stays as it was.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/pflag"
	"golang.org/x/time/rate"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/internal/handover"
	"github.com/mqttward/mqttward/proxy"
)

// Build says which program this is.
type Build struct {
	Version, Commit, Date string
}

// drainTime is how long sessions may take to end at shutdown, once all are told to.
const drainTime = 10 * time.Second

// App is a running proxy.
type App struct {
	build   Build
	started time.Time
	path    string
	flags   *pflag.FlagSet
	logs    *Logs
	metrics *admin.Metrics
	server  *proxy.Server
	shared  shared

	collector collector
	emptying  *emptying

	admin       *admin.Server
	adminSocket *handover.Socket  // that is served, whatever a reload brings
	inherited   *handover.Sockets // until the first configuration is in force
	draining    atomic.Bool
	replaced    atomic.Bool     // another process serves the sockets
	asked       context.Context // ends when somebody asks for Shutdown
	ask         context.CancelFunc
	stopped     context.Context // ends with Shutdown
	stop        context.CancelFunc
	serving     sync.WaitGroup
	accepting   sync.WaitGroup // on the listeners
	keepingBans sync.WaitGroup
	stopBans    context.CancelFunc

	warnUnanswered rate.Sometimes

	reloading sync.Mutex // one reload at a time
	current   atomic.Pointer[built]
	reloaded  atomic.Pointer[admin.Reload] // the last one; nil: none yet

	mu         sync.Mutex         // guards the rest
	stopProbe  context.CancelFunc // ends the question what the broker is; nil: nobody asks
	stopStaple context.CancelFunc // ends what keeps answers of OCSP; nil before the first configuration
	listeners  []*listener
	retired    []*proxy.Listener // no longer configured, perhaps with sessions
}

// listener is an open socket and what serves it.
type listener struct {
	address configs.Address
	socket  *handover.Socket
	proxy   *proxy.Listener
}

// Start loads the configuration at path and begins to serve it. The error is
// a configs.Errors if the configuration is wrong.
func Start(path string, flags *pflag.FlagSet, b Build) (*App, error) {
	return StartWith(nil, path, flags, b)
}

// StartWith is Start with sockets that are open already. It takes over from the
// process that they come from, if it is one of this kind.
func StartWith(inherited *handover.Sockets, path string, flags *pflag.FlagSet, b Build) (*App, error) {
	a := &App{
		build: b, started: time.Now(), path: path, flags: flags, shared: newShared(), emptying: newEmptying(), inherited: inherited,
		metrics:        admin.NewMetrics(admin.Build{Version: b.Version, Commit: b.Commit}),
		warnUnanswered: rate.Sometimes{Interval: 10 * time.Second},
	}
	a.stopped, a.stop = context.WithCancel(context.Background())
	a.asked, a.ask = context.WithCancel(context.Background())
	a.metrics.CountBans(a.shared.bans.Tally)
	a.metrics.CountServers(a.backendStatus)
	a.shared.unanswered = a.unanswered
	a.shared.sourceChanged = a.sourceChanged
	a.shared.serverChanged = a.serverChanged
	built, err := load(path, flags, a.shared, nil)
	if err != nil {
		return nil, err
	}
	cfg := built.config
	logs, err := OpenLogs(cfg.Log, a.metrics.AuditLost)
	if err != nil {
		return nil, configs.Errors{cfg.Errorf("log.audit", "%v", err)}
	}
	a.logs = logs
	a.server = proxy.NewServer(a.metrics, logs.Log, logs.Audit)
	if err := a.openAdmin(cfg); err != nil {
		built.close(nil)
		return nil, err
	}
	if err := a.apply(built); err != nil {
		built.close(nil)
		return nil, errors.Join(err, a.Shutdown())
	}
	a.serveAdmin()
	a.tune(cfg.Runtime)
	a.serving.Go(func() { a.collector.giveBack(a.stopped) })
	var keep context.Context
	keep, a.stopBans = context.WithCancel(a.stopped)
	a.keepingBans.Go(func() { a.keepBans(keep) })
	a.serving.Go(a.watchdog)
	a.serving.Go(a.keepEmpty)
	for _, w := range append(cfg.Warnings(), built.warnings...) {
		logs.Log.Warn("weak setting", "warning", w)
	}
	logs.Log.Info("ready", "version", b.Version, "config", path)
	a.notify(daemon.SdNotifyReady)
	return a, nil
}

// sourceChanged returns what tells operators of a source of identities that fails
// or is back.
func (a *App) sourceChanged(method string) func(error) {
	return func(failure error) {
		if failure != nil {
			a.logs.Log.Warn("a source of identities is given up for now: nobody logs in by it", "method", method, "error", failure)
			return
		}
		a.logs.Log.Info("a source of identities answers again", "method", method)
	}
}

// Addrs returns the addresses of the listeners, in the order of the
// configuration.
func (a *App) Addrs() []net.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	var addrs []net.Addr
	for _, l := range a.listeners {
		addrs = append(addrs, l.socket.Addr())
	}
	return addrs
}

// AdminAddr returns the address of health and metrics, nil if there is none.
func (a *App) AdminAddr() net.Addr {
	if a.adminSocket == nil {
		return nil
	}
	return a.adminSocket.Addr()
}

// Log returns the log for operators.
func (a *App) Log() *slog.Logger { return a.logs.Log }

func (a *App) openAdmin(cfg *configs.Config) error {
	if cfg.Admin.Address == "" {
		return nil
	}
	token, err := readToken(cfg)
	if err != nil {
		return err
	}
	socket, err := a.socket("admin", cfg.Admin.Address, cfg.Admin.Mode)
	if err != nil {
		return fmt.Errorf("admin.address: %w", err)
	}
	a.adminSocket = socket
	a.admin = admin.New(admin.Options{Metrics: a.metrics, Ready: a.ready, Clients: a.clients, Kick: a.kick, Bans: bans{a}, Reload: a.reloadFor, Status: a.status, Drainer: a, Reports: a.reports(), Log: a.logs.Log})
	a.admin.SetToken(token)
	return nil
}

// serveAdmin is called when the proxy is ready: until then another process may
// answer.
func (a *App) serveAdmin() {
	if a.admin == nil {
		return
	}
	a.serving.Go(func() {
		if err := a.admin.Serve(a.adminSocket); err != nil {
			a.logs.Log.Error("admin stopped", "error", err)
		}
	})
}

// readToken returns the zero Token if the configuration names none.
func readToken(cfg *configs.Config) (admin.Token, error) {
	if cfg.Admin.TokenFile == "" {
		return admin.Token{}, nil
	}
	secret, err := os.ReadFile(cfg.Admin.TokenFile)
	if err != nil {
		return admin.Token{}, configs.Errors{cfg.Errorf("admin.token_file", "%v", err)}
	}
	token, err := admin.NewToken(secret)
	if err != nil {
		return admin.Token{}, configs.Errors{cfg.Errorf("admin.token_file", "%v", err)}
	}
	return token, nil
}

// readyTimeout bounds the question whether the broker is there.
const readyTimeout = 2 * time.Second

// ready reports why no clients should be sent here.
func (a *App) ready() error {
	if a.draining.Load() {
		return errors.New("draining")
	}
	b := a.current.Load()
	if b == nil {
		return errors.New("starting")
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	answers := make(chan error, len(b.pools)) // of all at once: the time is for each
	for _, p := range b.pools {
		go func() { answers <- p.Ready(ctx) }()
	}
	for range b.pools {
		if <-answers == nil {
			return nil
		}
	}
	return errors.New("no broker can be reached")
}

// stopAdmin closes the socket too, which nobody serves if the start has failed.
func (a *App) stopAdmin(ctx context.Context) error {
	if a.admin == nil {
		return nil
	}
	err := a.admin.Shutdown(ctx)
	_ = a.adminSocket.Close() // it is, mostly
	return err
}

// Shutdown stops accepting, drains the sessions, ends those that are left and waits
// for them, for drainTime at most.
func (a *App) Shutdown() error {
	a.notify(daemon.SdNotifyStopping)
	a.draining.Store(true)
	a.mu.Lock()
	if a.stopProbe != nil {
		a.stopProbe()
	}
	if a.stopStaple != nil {
		a.stopStaple()
	}
	a.emptying.stop() // all sessions end now, at one rate
	a.mu.Unlock()
	a.stopAccepting() // from here on it is known who has come
	a.drain()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := a.server.Shutdown(ctx)
	err = errors.Join(err, a.stopAdmin(ctx))
	a.stop()
	a.keepingBans.Wait()
	a.serving.Wait()
	if b := a.current.Load(); b != nil {
		usePools(&built{}, b)
		b.close(nil)
	}
	a.collector.stop()
	a.logs.Log.Info("stopped")
	return errors.Join(err, a.logs.Close())
}
