package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/app"
)

func newReload() *cobra.Command {
	c := &cobra.Command{
		Use:   "reload -c FILE",
		Short: "Reload the configuration of a running instance",
		Long: `Reload the configuration and the files that it names, as SIGHUP does, and say
what came of it. No session ends but those of clients that would not be let in
any more. If anything is wrong the running configuration stays, the mistakes are
printed, and the exit code is 2.`,
		Args: noArgs,
	}
	path := configFlag(c)
	configs.Flags(c.Flags())
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		remote, err := app.OpenRemote(*path, c.Flags())
		if err != nil {
			return err
		}
		if err := remote.Reload(c.Context()); err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), "reloaded")
		return nil
	})
	return c
}
