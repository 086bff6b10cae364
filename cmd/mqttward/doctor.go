package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/app"
)

func newDoctor() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor -c FILE",
		Short: "Probe a deployment: the broker, its known defects, certificates",
		Long: `Probe a deployment: whether the broker is there, which version it is and which
known defects that has, shielded or not; whether clients reach it around the
proxy; which certificates end soon; what is weak in the configuration. The exit
code is 1 if anything is marked fail.`,
		Args: noArgs,
	}
	path := configFlag(c)
	configs.Flags(c.Flags())
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		findings, err := app.Doctor(c.Context(), *path, c.Flags())
		if err != nil {
			return err
		}
		failed := false
		for _, f := range findings {
			fmt.Fprintf(c.OutOrStdout(), "%-4s  %s\n", f.Grade, f.Text)
			failed = failed || f.Grade == app.GradeFail
		}
		if failed {
			return errNo
		}
		return nil
	})
	return c
}
