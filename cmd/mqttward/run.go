package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/app"
)

func newRun() *cobra.Command {
	c := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Run the proxy in the foreground",
		Long: `Run the proxy in the foreground.

SIGHUP reloads the configuration and reopens the audit log; a change of the
configuration or of a file that it names reloads too. No session ends by a
reload. SIGTERM and SIGINT stop accepting and end the sessions at the rate of
the configuration's drain; a second one ends at once.`,
		Args: noArgs,
	}
	path := configFlag(c)
	configs.Flags(c.Flags())
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP) // before all else: an early one must not kill
		defer signal.Stop(hup)
		a, err := app.Start(*path, c.Flags(), app.Build{Version: version, Commit: commit, Date: date})
		if err != nil {
			return err
		}
		return serve(a, hup)
	})
	return c
}

// serve runs a until a signal ends it, or somebody who asks for that.
func serve(a *app.App, hup <-chan os.Signal) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// The first signal may come when the sessions end already, since somebody has asked
	// for that: it is the next one that ends at once.
	context.AfterFunc(ctx, stop)
	watching := make(chan error, 1)
	go func() { watching <- a.Watch(ctx) }()
	for {
		select {
		case <-hup:
			_ = a.Reload() // logged there
		case err := <-watching:
			if err != nil {
				a.Log().Warn("changes of files will not be seen; SIGHUP reloads", "error", err)
			}
			watching = nil
		case <-ctx.Done():
			stop() // the next signal ends at once
			return a.Shutdown()
		case <-a.Stopping():
			return a.Shutdown()
		}
	}
}
