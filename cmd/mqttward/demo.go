package main

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/internal/app"
	"github.com/mqttward/mqttward/internal/demo"
)

func newDemo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the main job: an unprotected broker, and mqttward in front of it",
		Long: `Show the main job on this machine, with nothing installed: an embedded broker
stands for the legacy one, mqttward protects it with TLS, users and rules, and a
few clients try what is allowed and what is not. It stays up until Ctrl-C.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return demo.Run(ctx, c.OutOrStdout(), app.Build{Version: version, Commit: commit, Date: date})
		},
	}
}
