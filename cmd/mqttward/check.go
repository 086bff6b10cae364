package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/app"
)

func newCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Validate a configuration and everything that it names",
		Long: `Validate a configuration and everything that it names: keys, certificates,
password files, rules. Nothing is changed and no address is opened. All mistakes
are printed at once; weak settings are warned of.`,
		Args: noArgs,
	}
	path := configFlag(c)
	configs.Flags(c.Flags())
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		warnings, err := app.Check(*path, c.Flags())
		if err != nil {
			return err
		}
		for _, w := range warnings {
			fmt.Fprintln(c.OutOrStdout(), "warning:", w)
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: well\n", *path)
		return nil
	})
	return c
}
