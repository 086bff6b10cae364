package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/app"
	"github.com/mqttward/mqttward/internal/handover"
)

func newRun() *cobra.Command {
	c := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Run the proxy in the foreground",
		Long: `Run the proxy in the foreground.

SIGHUP reloads the configuration and reopens the audit log; a change of the
configuration or of a file that it names reloads too. No session ends by a
reload. SIGTERM and SIGINT stop accepting and end the sessions at the rate of
the configuration's drain; a second one ends at once.

SIGUSR2 upgrades: the program is started anew, from the file that is there
now and with the same arguments; when it is ready it takes over the listening
sockets, no connection is refused, and this process ends as by SIGTERM. If it
does not get ready, this one goes on.

Sockets that systemd passes (LISTEN_FDS) serve the listeners that have their
address or their FileDescriptorName. systemd is told how the service is
(NOTIFY_SOCKET).`,
		Args: noArgs,
	}
	path := configFlag(c)
	configs.Flags(c.Flags())
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		s := catch() // before all else: an early one must not kill
		defer s.stop()
		program := handover.ThisProgram()
		inherited, err := handover.Inherit()
		if err != nil {
			return err
		}
		a, err := app.StartWith(inherited, *path, c.Flags(), app.Build{Version: version, Commit: commit, Date: date})
		if err != nil {
			return err
		}
		return serve(a, program, s)
	})
	return c
}

// signals are what the process is told.
type signals struct {
	reload, upgrade chan os.Signal
	ended           context.Context // ends with the first that ends the process; the next one does so at once
	letEnd          context.CancelFunc
}

func catch() signals {
	s := signals{reload: make(chan os.Signal, 1), upgrade: make(chan os.Signal, 1)}
	signal.Notify(s.reload, syscall.SIGHUP)
	notifyUpgrade(s.upgrade)
	s.ended, s.letEnd = signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	// The first signal may come when the sessions end already, since somebody has asked
	// for that, or during the start: it is the next one that ends at once.
	context.AfterFunc(s.ended, s.letEnd)
	return s
}

func (s signals) stop() {
	signal.Stop(s.reload)
	signal.Stop(s.upgrade)
	s.letEnd()
}

// serve runs a until a signal ends it, or somebody who asks for that, or another
// process has taken over.
func serve(a *app.App, program handover.Program, s signals) error {
	watching := make(chan error, 1)
	go func() { watching <- a.Watch(s.ended) }()
	for {
		select {
		case <-s.reload:
			_ = a.Reload() // logged there
		case <-s.upgrade:
			if a.Upgrade(s.ended, program) == nil { // logged there
				s.letEnd()
				return a.Shutdown()
			}
		case err := <-watching:
			if err != nil {
				a.Log().Warn("changes of files will not be seen; SIGHUP reloads", "error", err)
			}
			watching = nil
		case <-s.ended.Done():
			return a.Shutdown()
		case <-a.Stopping():
			return a.Shutdown()
		}
	}
}
