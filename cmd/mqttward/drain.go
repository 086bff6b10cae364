package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/internal/app"
)

func newDrain() *cobra.Command {
	c := &cobra.Command{
		Use:   "drain -c FILE [--backend B --server S [--undo]]",
		Short: "Empty a running instance, or one server behind it",
		Long: `Empty a running instance, as SIGTERM does: it accepts no more connections, ends
its sessions at the rate of the configuration's drain, and then itself. With a
server of a backend only that one is emptied, and gets no new sessions until
--undo. The command does not wait for the end. The exit code is 1 if there is no
such server.`,
		Args: noArgs,
	}
	path := configFlag(c)
	f := c.Flags()
	backend := f.String("backend", "", "the `name` of the server's backend")
	server := f.String("server", "", "the `address` of the server, as in the configuration")
	undo := f.Bool("undo", false, "let the server have sessions again")
	asJSON := f.Bool("json", false, "print JSON")
	configs.Flags(f)
	c.RunE = withConfig(path, func(c *cobra.Command, _ []string) error {
		what := admin.DrainRequest{Undo: *undo}
		if f.Changed("backend") {
			what.Backend = backend
		}
		if f.Changed("server") {
			what.Server = server
		}
		if err := what.Check(); err != nil {
			return usageError{err}
		}
		remote, err := app.OpenRemote(*path, f)
		if err != nil {
			return err
		}
		n, err := remote.Drain(c.Context(), what)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c, admin.Draining{Sessions: n})
		}
		if *undo {
			fmt.Fprintf(c.OutOrStdout(), "undone, %d stay\n", n)
			return nil
		}
		fmt.Fprintf(c.OutOrStdout(), "%d draining\n", n)
		return nil
	})
	return c
}
